# Whether the hiredis at hand has TLS: TLS_CXXFLAGS and TLS_LIBS are empty if not. Included by every Makefile that
# compiles src/redis.

ifneq ($(wildcard /usr/include/hiredis/hiredis_ssl.h /usr/local/include/hiredis/hiredis_ssl.h),)
TLS_CXXFLAGS := -DAGGCACHE_TLS
TLS_LIBS := -lhiredis_ssl -lssl -lcrypto
endif
