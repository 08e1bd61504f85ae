# Builds the extension as any PGXS extension is built:
#
#   make && make install && make installcheck        PG_CONFIG=… chooses another PostgreSQL
#   make installcheck ISOLATION= TAP_TESTS=          of the three kinds of its tests only those in sql/
#   make unit                                        unit tests of src/core, no server needed
#   make DEBUG=1                                     with the switches that tests of the tests need
#   make PCH=1                                       faster, with gcc
#
# scripts/test runs every suite.

MODULE_big = pg_aggcache
EXTENSION = pg_aggcache
DATA = pg_aggcache--1.0.sql
PGFILEDESC = "pg_aggcache - exact result cache for aggregate queries"

CORE_SOURCES = $(wildcard $(srcdir)/src/core/*.cc)
REDIS_SOURCES = $(wildcard $(srcdir)/src/redis/*.cc)
PG_SOURCES = $(wildcard $(srcdir)/src/pg/*.cc $(srcdir)/src/pg/*/*.cc)
OBJS = $(patsubst $(srcdir)/%.cc,%.o,$(CORE_SOURCES) $(REDIS_SOURCES) $(PG_SOURCES))

REGRESS = $(patsubst $(srcdir)/sql/%.sql,%,$(sort $(wildcard $(srcdir)/sql/*.sql)))
REGRESS_OPTS = --inputdir=$(srcdir) --load-extension=pg_aggcache
SPECS = $(srcdir)/test/isolation/specs
ISOLATION = $(patsubst $(SPECS)/%.spec,%,$(sort $(wildcard $(SPECS)/*.spec)))
ISOLATION_OPTS = --inputdir=$(srcdir)/test/isolation --load-extension=pg_aggcache
TAP_TESTS = 1
PROVE_TESTS = test/t/*.pl
EXTRA_CLEAN = $(patsubst %.o,%.d,$(OBJS)) pch

SHLIB_LINK = -lstdc++ -lhiredis -lcares -llz4 $(TLS_LIBS)
# gcc's rules for bitcode do not know C++ flags
override with_llvm = no

ifndef srcdir
srcdir := $(dir $(lastword $(MAKEFILE_LIST)))
srcdir := $(patsubst %/,%,$(srcdir))
endif

include $(srcdir)/src/redis/tls.mk

PG_CONFIG ?= pg_config
PGXS := $(shell $(PG_CONFIG) --pgxs)
include $(PGXS)
# prove runs in $(srcdir)
PROVE := test/lib/prove_tests.sh $(PROVE)
PG_PROVE_FLAGS += -I test/lib
export PG_CONFIG

override CXXFLAGS := $(filter-out -Wdeclaration-after-statement -Wmissing-prototypes -Wstrict-prototypes,$(CXXFLAGS)) \
  -std=c++17 -fno-exceptions -fno-rtti -Wall -Wextra -Wno-unused-parameter -Wno-missing-field-initializers \
  -Wno-register -Wno-sign-compare -Wno-clobbered -I$(srcdir)/src -MMD -MP
ifdef DEBUG
override CXXFLAGS += -DAGGCACHE_DEBUG
endif
ifdef WERROR
override CXXFLAGS += -Werror
endif

src/redis/%.o: override CXXFLAGS += $(TLS_CXXFLAGS)

# Function-local statics need no guard: a backend has one thread.
override CXXFLAGS += -fno-threadsafe-statics

src/core/%.o src/redis/%.o: override CXXFLAGS += -fvisibility=hidden -include $(srcdir)/src/core/no_postgres.h

%.o: %.cc
	@mkdir -p $(@D)
	$(CXX) $(CXXFLAGS) $(CPPFLAGS) $(CFLAGS_SL) -c -o $@ $<

# PCH=1: what all of src/pg includes first, PostgreSQL's headers, is read once. gcc looks for it beside the header.
ifdef PCH
override CXXFLAGS := -Ipch $(CXXFLAGS)
SERVER_PCH = pch/pg/base/server.h.gch
$(SERVER_PCH): $(srcdir)/src/pg/base/server.h
	@mkdir -p $(@D)
	cp $< $(@:.gch=)
	$(CXX) $(CXXFLAGS) $(CPPFLAGS) $(CFLAGS_SL) -x c++-header -o $@ $(@:.gch=)
$(patsubst $(srcdir)/%.cc,%.o,$(PG_SOURCES)): $(SERVER_PCH)
-include $(SERVER_PCH:.gch=.d)
endif

-include $(patsubst %.o,%.d,$(OBJS))

.PHONY: unit
unit:
	$(MAKE) -C $(srcdir)/test/unit check
