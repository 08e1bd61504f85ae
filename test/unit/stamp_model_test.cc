// Runs the model checker: no wrong hit in any world with the rules that ship, and wrong hits as soon as one is left
// out.

#include <gtest/gtest.h>

#include <cinttypes>
#include <cstdio>
#include <ostream>
#include <string>
#include <vector>

#include "stamp_model.h"

namespace aggcache {
namespace model {
namespace {

// Under ASan only part of it runs; under TSan none (Makefile): there is one thread.
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif

struct NamedWorld {
  const char *name;
  World world;
  bool large = false;  // left out under sanitizers, which find nothing more in it
};

World With(void (*change)(World *)) {
  World world;
  change(&world);
  return world;
}

// Only rows change: the protocol as in the design.
const NamedWorld kRowWorlds[] = {
    {"rows", World()},
    {"rows, racing", With([](World *w) { w->racing = true; })},
    {"rows, xmax the next id", With([](World *w) { w->late_xmax = w->racing = true; }), true},
    {"rows, two statements", With([](World *w) { w->statements = 2; }), true},
    {"rows, two statements, racing, xmax the next id", With([](World *w) {
       w->statements = 2;
       w->late_xmax = w->racing = true;
     }),
     true},
    {"rows, knowing", With([](World *w) { w->knowing = true; })},
    {"rows, two statements, knowing, racing", With([](World *w) {
       w->statements = 2;
       w->knowing = w->racing = true;
     }),
     true},
    {"rows and a bystander", With([](World *w) {
       w->writers[0] = Kind::kBystander;
       w->racing = true;
     })},
    {"rows and two bystanders", With([](World *w) {
       w->writers[0] = w->writers[1] = Kind::kBystander;
       w->racing = true;
     })},
};

// Transactions that were prepared before a restart, which the slots do not know.
const NamedWorld kRestartWorlds[] = {
    {"one prepared before a restart", With([](World *w) {
       w->lost = 1;
       w->racing = true;
     })},
    {"two prepared before a restart", With([](World *w) {
       w->lost = 2;
       w->racing = true;
     })},
};

// Storers and readers that are writers themselves.
const NamedWorld kOwnWorlds[] = {
    {"a storer writes", With([](World *w) {
       w->storer_of[0] = 0;
       w->racing = true;
     })},
    {"the reader writes", With([](World *w) {
       w->reader_of = 0;
       w->racing = true;
     })},
    {"the reader stores and writes", With([](World *w) {
       w->storer_of[0] = w->reader_of = 0;
       w->racing = true;
     })},
};
const NamedWorld kUnlistedOwnWorld = {"a storer writes, its snapshot leaves it out", With([](World *w) {
                                        w->storer_of[0] = 0;
                                        w->own_is_running = false;
                                        w->racing = true;
                                      })};

// TRUNCATE, under the slot of the rows too, or under one of its own.
const NamedWorld kTruncateWorlds[] = {
    {"a truncation", With([](World *w) {
       w->writers[0] = Kind::kTruncate;
       w->racing = true;
     })},
    {"a truncation, rows in another slot", With([](World *w) {
       w->writers[0] = Kind::kTruncate;
       w->row_slot = w->racing = true;
     })},
    {"two truncations", With([](World *w) {
       w->writers[0] = w->writers[1] = Kind::kTruncate;
       w->racing = true;
     })},
    {"three truncations", With([](World *w) {
       w->writers[0] = w->writers[1] = w->writers[2] = Kind::kTruncate;
       w->racing = true;
     })},
};

// Changes of the watches: writers before and after use different slots.
World WatchWorld(int changes, Catalog catalog) {
  World world;
  for (int i = 0; i < changes; i++) world.writers[i] = Kind::kWatch;
  world.catalog = catalog;
  world.racing = true;
  return world;
}
const NamedWorld kWatchWorlds[] = {
    {"a watch change", WatchWorld(1, Catalog::kFresh), true},
    {"a watch change, catalog read by the snapshot", WatchWorld(1, Catalog::kSnapshot)},
    {"two watch changes", WatchWorld(2, Catalog::kFresh), true},
    {"two watch changes, catalog read by the snapshot", WatchWorld(2, Catalog::kSnapshot)},
};

struct NamedProtocol {
  const char *name;
  Protocol protocol;
};
const NamedProtocol kProtocols[] = {
    {"1 place", ProtocolWith<AllRules, 1>()},
    {"2 places", ProtocolWith<AllRules, 2>()},
    {"as shipped", ShippedProtocol()},
};

Counts Run(const NamedWorld &named, const NamedProtocol &protocol) {
  World world = named.world;
  world.protocol = protocol.protocol;
  const Counts counts = Explore(world);
  std::printf("  %-48s %-10s %9" PRIu64 " states %8" PRIu64 " hits %8" PRIu64 " misses %6" PRIu64 " wrong\n",
              named.name, protocol.name, counts.states, counts.hits, counts.misses, counts.wrong);
  return counts;
}

template <size_t N>
void ExpectNoWrongHit(const NamedWorld (&worlds)[N]) {
  for (const NamedWorld &world : worlds) {
    if (world.large && kSanitized) continue;
    for (const NamedProtocol &protocol : kProtocols) {
      if (kSanitized && &protocol == &kProtocols[1]) continue;
      SCOPED_TRACE(std::string(world.name) + ", " + protocol.name);
      const Counts counts = Run(world, protocol);
      EXPECT_EQ(counts.wrong, 0u);
      EXPECT_GT(counts.hits, 0u);  // and not by never hitting
      EXPECT_GT(counts.misses, 0u);
    }
  }
}

TEST(StampModel, RowChanges) { ExpectNoWrongHit(kRowWorlds); }
TEST(StampModel, Restart) { ExpectNoWrongHit(kRestartWorlds); }
TEST(StampModel, OwnWrites) {
  ExpectNoWrongHit(kOwnWorlds);
  ExpectNoWrongHit({kUnlistedOwnWorld});
}
TEST(StampModel, Truncations) { ExpectNoWrongHit(kTruncateWorlds); }
TEST(StampModel, WatchChanges) { ExpectNoWrongHit(kWatchWorlds); }

// --- each rule is needed ---

template <class Rules>
uint64_t WrongHits(const NamedWorld &world) {
  uint64_t wrong = Run(world, {"1 place", ProtocolWith<Rules, 1>()}).wrong;
  if (!kSanitized) wrong += Run(world, {"2 places", ProtocolWith<Rules, 2>()}).wrong;
  return wrong;
}

struct WithoutFloorAtStore : AllRules {
  static constexpr bool kFloorAtStore = false;
};
TEST(StampModelWithout, FloorAtStore) { EXPECT_GT(WrongHits<WithoutFloorAtStore>(kRowWorlds[0]), 0u); }

struct WithoutFloorAtHit : AllRules {
  static constexpr bool kFloorAtHit = false;
};
TEST(StampModelWithout, FloorAtHit) { EXPECT_GT(WrongHits<WithoutFloorAtHit>(kRowWorlds[0]), 0u); }

struct WithoutOverflowAtStore : AllRules {
  static constexpr bool kOverflowAtStore = false;
};
TEST(StampModelWithout, OverflowAtStore) { EXPECT_GT(WrongHits<WithoutOverflowAtStore>(kRowWorlds[0]), 0u); }

struct WithoutOverflowAtHit : AllRules {
  static constexpr bool kOverflowAtHit = false;
};
TEST(StampModelWithout, OverflowAtHit) { EXPECT_GT(WrongHits<WithoutOverflowAtHit>(kRowWorlds[0]), 0u); }

struct WithoutVersion : AllRules {
  static constexpr bool kVersion = false;
};
TEST(StampModelWithout, Version) { EXPECT_GT(WrongHits<WithoutVersion>(kRowWorlds[0]), 0u); }

struct WithoutVisibility : AllRules {
  static constexpr bool kVisibility = false;
};
TEST(StampModelWithout, Visibility) { EXPECT_GT(WrongHits<WithoutVisibility>(kRowWorlds[0]), 0u); }

struct WithoutStart : AllRules {
  static constexpr bool kStart = false;
};
TEST(StampModelWithout, Start) { EXPECT_GT(WrongHits<WithoutStart>(kRestartWorlds[0]), 0u); }

struct WithoutOwnWriteAtStore : AllRules {
  static constexpr bool kOwnWriteAtStore = false;
};
TEST(StampModelWithout, OwnWriteAtStore) { EXPECT_GT(WrongHits<WithoutOwnWriteAtStore>(kOwnWorlds[0]), 0u); }

struct WithoutOwnWriteAtHit : AllRules {
  static constexpr bool kOwnWriteAtHit = false;
};
TEST(StampModelWithout, OwnWriteAtHit) { EXPECT_GT(WrongHits<WithoutOwnWriteAtHit>(kOwnWorlds[1]), 0u); }

struct WithoutOwnIsRunning : AllRules {
  static constexpr bool kOwnIsRunning = false;
};
TEST(StampModelWithout, OwnIsRunning) { EXPECT_GT(WrongHits<WithoutOwnIsRunning>(kUnlistedOwnWorld), 0u); }

struct WithoutImmediateAtHit : AllRules {
  static constexpr bool kImmediateAtHit = false;
};
TEST(StampModelWithout, ImmediateAtHit) {
  EXPECT_GT(WrongHits<WithoutImmediateAtHit>(kTruncateWorlds[0]), 0u);
  EXPECT_GT(WrongHits<WithoutImmediateAtHit>(kTruncateWorlds[1]), 0u);
}

struct WithoutImmediate : WithoutImmediateAtHit {
  static constexpr bool kImmediateAtStore = false;
};
TEST(StampModelWithout, Immediate) {
  EXPECT_GT(WrongHits<WithoutImmediate>(kTruncateWorlds[0]), 0u);
  EXPECT_GT(WrongHits<WithoutImmediate>(kTruncateWorlds[1]), 0u);
  EXPECT_GT(WrongHits<WithoutImmediate>(kWatchWorlds[0]), 0u);
}

// The one condition that only saves work: what it keeps from being stored, the hit rule would refuse for ever.
struct WithoutImmediateAtStore : AllRules {
  static constexpr bool kImmediateAtStore = false;
};
TEST(StampModelWithout, ImmediateAtStoreIsCoveredByTheHitRule) {
  for (const NamedWorld &world : kTruncateWorlds) EXPECT_EQ(WrongHits<WithoutImmediateAtStore>(world), 0u);
  EXPECT_EQ(WrongHits<WithoutImmediateAtStore>(kWatchWorlds[1]), 0u);
}

// A stamp of the wide tag that is not marked immediate.
TEST(StampModelWithout, ImmediateStamps) {
  for (const NamedWorld *named : {&kTruncateWorlds[0], &kTruncateWorlds[1], &kWatchWorlds[0]}) {
    NamedWorld world = *named;
    world.world.immediate = false;
    EXPECT_GT(WrongHits<AllRules>(world), 0u);
  }
}

// What the glue must know: a transaction's changes of catalogs are visible to snapshots before it sends its
// invalidation messages. A storer that asks the relcache which watches are in force can miss a change that its
// snapshot sees, and no stamp tells.
TEST(StampModelWithout, CatalogAtLeastAsNewAsTheSnapshot) {
  EXPECT_GT(WrongHits<AllRules>({"a watch change, catalog from the relcache", WatchWorld(1, Catalog::kRelcache)}), 0u);
}

// A storer that takes the watches which its very snapshot sees needs no more than the plain rule for them.
TEST(StampModelWithout, ImmediateIfWatchesAreReadByTheSnapshot) {
  EXPECT_EQ(WrongHits<WithoutImmediate>(kWatchWorlds[1]), 0u);
}

}  // namespace
}  // namespace model
}  // namespace aggcache
