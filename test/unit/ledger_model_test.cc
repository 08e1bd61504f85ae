// Runs the model checker of the ledgers: no wrong answer in any world with the rules that ship, and wrong answers as
// soon as one is left out.

#include <gtest/gtest.h>

#include <cinttypes>
#include <cstdio>
#include <initializer_list>
#include <string>

#include "ledger_model.h"

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
  LedgerWorld world;
  bool large = false;  // left out under sanitizers, which find nothing more in it, and with 2 places
};

LedgerWorld Of(const char *first, const char *second, void (*change)(LedgerWorld *) = nullptr, const char *third = "") {
  LedgerWorld world;
  world.writers[0] = first;
  world.writers[1] = second;
  world.writers[2] = third;
  if (change) change(&world);
  return world;
}

const NamedWorld kOneStatement = {"two writers", Of("RLPE", "RLPE")};
const NamedWorld kRacing = {"two writers, racing", Of("RLPE", "RLPE", [](LedgerWorld *w) { w->racing = true; })};
const NamedWorld kLateXmax = {"two writers, xmax the next id",
                              Of("RLPE", "RLPE",
                                 [](LedgerWorld *w) {
                                   w->late_xmax = true;
                                   w->storers = 1;
                                 }),
                              true};
const NamedWorld kTwoStatements = {"two statements each", Of("RLRLPE", "RLRLPE"), true};
const NamedWorld kMixed = {"two statements, and one", Of("RLRLPE", "RLPE"), true};
const NamedWorld kThree = {"three writers, one storer",
                           Of(
                               "RLPE", "RLPE", [](LedgerWorld *w) { w->storers = 1; }, "RLPE"),
                           true};
const NamedWorld kSavepoint = {"a savepoint rolled back, and a statement after it", Of("RLBRLPE", "RLPE"), true};
const NamedWorld kLastSavepoint = {"a last statement rolled back",
                                   Of("RLRLBPE", "RLPE", [](LedgerWorld *w) { w->storers = 1; }), true};
const NamedWorld kOtherTag = {"a writer under the other tag", Of("SE", "RLPE")};
const NamedWorld kBothTags = {"a writer under both tags: a bulk write that stops counting", Of("RLSPE", "RLPE")};
const NamedWorld kLateRow = {"a row after publication", Of("RLPRGE", "RLPE")};
const NamedWorld kPrepared = {"prepared before a restart", Of("RLE", "RLPE", [](LedgerWorld *w) { w->lost = 1; })};
const NamedWorld kPreparedUnstamped = {"prepared before a restart, no other tag", Of("RLE", "RLPE", [](LedgerWorld *w) {
                                         w->lost = 1;
                                         w->stamped = false;
                                       })};
const NamedWorld kEvicted = {"an eviction between statements", Of("RLRLPE", "GRLPE"), true};
const NamedWorld kReaderWrites = {"the reader writes", Of("RLPE", "RLPE", [](LedgerWorld *w) { w->reader_of = 0; })};
const NamedWorld kStorerWrites = {"a storer writes", Of("RLPE", "RLPE", [](LedgerWorld *w) { w->storer_of = 0; }),
                                  true};
const NamedWorld kBothWrite = {"storer and reader write",
                               Of("RLPE", "RLPE", [](LedgerWorld *w) { w->storer_of = w->reader_of = 0; })};

struct NamedProtocol {
  const char *name;
  LedgerProtocol protocol;
};
const NamedProtocol kProtocols[] = {
    {"1 place, 1 delta", LedgersWith<AllLedgerRules, 1, 1>()},
    {"2 places, 1 delta", LedgersWith<AllLedgerRules, 2, 1>()},
    {"as shipped", ShippedLedgers()},
};

LedgerCounts RunModel(const NamedWorld &named, const NamedProtocol &protocol, bool until_wrong = false) {
  LedgerWorld world = named.world;
  world.protocol = protocol.protocol;
  const LedgerCounts counts = Explore(world, until_wrong);
  std::printf("  %-58s %-17s %8" PRIu64 " states %6" PRIu64 " served (%5" PRIu64 " patched) %6" PRIu64
              " missed %5" PRIu64 " wrong\n",
              named.name, protocol.name, counts.states, counts.served, counts.patched, counts.missed, counts.wrong);
  return counts;
}

void ExpectExact(const NamedWorld &world) {
  if (world.large && kSanitized) return;
  for (const NamedProtocol &protocol : kProtocols) {
    if (world.large && &protocol == &kProtocols[1]) continue;
    SCOPED_TRACE(std::string(world.name) + ", " + protocol.name);
    const LedgerCounts counts = RunModel(world, protocol);
    EXPECT_EQ(counts.wrong, 0u);
    EXPECT_GT(counts.served, 0u);  // and not by never answering
    EXPECT_GT(counts.patched, 0u);
    EXPECT_GT(counts.missed, 0u);
  }
}

TEST(LedgerModel, Writers) {
  ExpectExact(kOneStatement);
  ExpectExact(kRacing);
  ExpectExact(kLateXmax);
}
TEST(LedgerModel, TwoStatements) {
  ExpectExact(kTwoStatements);
  ExpectExact(kMixed);
}
TEST(LedgerModel, ThreeWriters) {
  if (kSanitized) return;
  // With 1 place, or 2 storers, it is right too, but takes long.
  const LedgerCounts counts = RunModel(kThree, kProtocols[2]);
  EXPECT_EQ(counts.wrong, 0u);
  EXPECT_GT(counts.patched, 0u);
}
TEST(LedgerModel, Savepoints) {
  ExpectExact(kSavepoint);
  ExpectExact(kLastSavepoint);
}
TEST(LedgerModel, OneTagByStamp) {
  ExpectExact(kOtherTag);
  ExpectExact(kBothTags);
}
TEST(LedgerModel, RowsAfterPublication) { ExpectExact(kLateRow); }
TEST(LedgerModel, Evictions) { ExpectExact(kEvicted); }
TEST(LedgerModel, Restart) {
  ExpectExact(kPrepared);
  ExpectExact(kPreparedUnstamped);
}
TEST(LedgerModel, OwnWrites) {
  ExpectExact(kReaderWrites);
  ExpectExact(kStorerWrites);
  ExpectExact(kBothWrite);
}

// --- each rule is needed ---

// Whether some of the worlds has a wrong answer.
template <class Rules>
bool IsWrong(std::initializer_list<const NamedWorld *> worlds) {
  for (const NamedWorld *world : worlds) {
    if (RunModel(*world, {"1 place, 1 delta", LedgersWith<Rules, 1, 1>()}, true).wrong > 0) return true;
    if (RunModel(*world, {"2 places, 1 delta", LedgersWith<Rules, 2, 1>()}, true).wrong > 0) return true;
  }
  return false;
}

#define EXPECT_NEEDED(rule, ...)           \
  struct Without##rule : AllLedgerRules {  \
    static constexpr bool k##rule = false; \
  };                                       \
  TEST(LedgerModelWithout, rule) { EXPECT_TRUE(IsWrong<Without##rule>({__VA_ARGS__})); }

EXPECT_NEEDED(Start, &kPreparedUnstamped)
EXPECT_NEEDED(OpenedFloor, &kOneStatement, &kMixed, &kLateXmax)
EXPECT_NEEDED(OpenedOverflow, &kOneStatement)
EXPECT_NEEDED(FloorAtBase, &kOneStatement, &kMixed)
EXPECT_NEEDED(Unknown, &kOneStatement)
EXPECT_NEEDED(UnknownAtRead, &kOneStatement)
EXPECT_NEEDED(InBase, &kOneStatement)
EXPECT_NEEDED(FloorOfDropped, &kOneStatement, &kMixed)
EXPECT_NEEDED(OwnWriteAtBase, &kStorerWrites)
EXPECT_NEEDED(Outcome, &kOneStatement)
EXPECT_NEEDED(FloorOfFolded, &kOneStatement)
EXPECT_NEEDED(Full, &kOneStatement)
EXPECT_NEEDED(Newer, &kOneStatement)
EXPECT_NEEDED(FloorAtRead, &kOneStatement)
EXPECT_NEEDED(StampsAtRead, &kOtherTag)
EXPECT_NEEDED(OwnWriteAtRead, &kReaderWrites)
EXPECT_NEEDED(SnapshotAtRead, &kOneStatement)

// --- what the callers must do ---

// Whether a way of calling gives wrong answers, with all rules.
bool IsWrongCall(const LedgerWorld &world) {
  const NamedWorld named = {"a wrong caller", world};
  return IsWrong<AllLedgerRules>({&named});
}

TEST(LedgerModelCallers, RegisterBeforeTheyLook) { EXPECT_TRUE(IsWrongCall(Of("LRPE", "RLPE"))); }
TEST(LedgerModelCallers, LookAtEveryRow) { EXPECT_TRUE(IsWrongCall(Of("RLRPE", "RLPE"))); }
TEST(LedgerModelCallers, PublishBeforeTheyEnd) { EXPECT_TRUE(IsWrongCall(Of("RLE", "RLPE"))); }
// The result must have the other tag, under which a bulk write registers once it keeps nothing any more.
TEST(LedgerModelCallers, StampTheTagOfBulkWrites) {
  EXPECT_TRUE(IsWrongCall(Of("RLSPE", "RLPE", [](LedgerWorld *w) { w->stamped = false; })));
}
TEST(LedgerModelCallers, GiveUpForRowsAfterPublication) { EXPECT_TRUE(IsWrongCall(Of("RLPRE", "RLPE"))); }
TEST(LedgerModelCallers, DropWhatASavepointTakesBack) {
  EXPECT_TRUE(IsWrongCall(Of("RLBRLPE", "RLPE", [](LedgerWorld *w) { w->keeps_rolled_back = true; })));
}
TEST(LedgerModelCallers, OpenBeforeTheSlotsAreCopied) {
  EXPECT_TRUE(IsWrongCall(Of("RLPE", "RLPE", [](LedgerWorld *w) { w->copies_first = true; })));
}

}  // namespace
}  // namespace model
}  // namespace aggcache
