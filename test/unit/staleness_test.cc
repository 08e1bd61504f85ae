// The rules on results that are accepted although they have changed, in every order of a few transactions.

#include "core/staleness.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "stamp_fixture.h"

namespace aggcache {
namespace {

constexpr Xid kFirst = 100;
constexpr int kCount = 4;

// What became of each transaction: a step begins one, the next step of the same ends it.
struct Timeline {
  std::vector<int> steps;  // a transaction each, twice

  // After so many steps.
  OwnedSnapshot SnapshotAt(size_t step, std::vector<Xid> *ids = nullptr) const {
    Xid id_of[kCount] = {};
    bool ended[kCount] = {};
    Xid next = kFirst, last_ended = kFirst - 1;
    for (size_t i = 0; i < step; i++) {
      const int t = steps[i];
      if (id_of[t] == kNoXid) {
        id_of[t] = next++;
      } else {
        ended[t] = true;
        last_ended = std::max(last_ended, id_of[t]);
      }
    }
    std::vector<Xid> running;
    Xid xmin = last_ended + 1;
    for (int t = 0; t < kCount; t++) {
      if (id_of[t] == kNoXid || ended[t] || id_of[t] > last_ended) continue;
      running.push_back(id_of[t]);
      xmin = std::min(xmin, id_of[t]);
    }
    if (ids) ids->assign(id_of, id_of + kCount);
    return OwnedSnapshot(xmin, last_ended + 1, running);
  }

  Xid NextAt(size_t step) const {
    std::vector<Xid> ids;
    SnapshotAt(step, &ids);
    return kFirst + kCount - std::count(ids.begin(), ids.end(), kNoXid);
  }

  size_t EndOf(int t) const { return steps.rend() - std::find(steps.rbegin(), steps.rend(), t); }
};

template <class F>
void ForEachTimeline(F visit) {
  Timeline timeline;
  for (int t = 0; t < kCount; t++) timeline.steps.insert(timeline.steps.end(), 2, t);
  do visit(timeline);
  while (std::next_permutation(timeline.steps.begin(), timeline.steps.end()));
}

Outcome AllCommitted(void *, Xid) noexcept { return Outcome::kCommitted; }
Outcome AllRunning(void *, Xid) noexcept { return Outcome::kRunning; }
Outcome AllAborted(void *, Xid) noexcept { return Outcome::kAborted; }
const Transactions kCommitted = {AllCommitted, nullptr, kNoXid};
const Transactions kRunning = {AllRunning, nullptr, kNoXid};
const Transactions kAborted = {AllAborted, nullptr, kNoXid};

TEST(Staleness, NothingNewerThanTheReader) {
  uint64_t accepted = 0, refused = 0;
  ForEachTimeline([&](const Timeline &timeline) {
    for (size_t stored = 0; stored <= timeline.steps.size(); stored++)
      for (size_t reader = 0; reader <= timeline.steps.size(); reader++) {
        const OwnedSnapshot s = timeline.SnapshotAt(stored), r = timeline.SnapshotAt(reader);
        const bool answer = IsNotNewer(s.Get(), r.Get());
        bool newer = false;
        for (Xid xid = kFirst; xid < kFirst + kCount; xid++) newer |= !s.Get().IsRunning(xid) && r.Get().IsRunning(xid);
        ASSERT_EQ(answer, !newer);
        if (stored <= reader) {
          ASSERT_TRUE(answer);
        }
        (answer ? accepted : refused)++;
      }
  });
  EXPECT_GT(accepted, 0u);
  EXPECT_GT(refused, 0u);
}

// A session's transactions follow each other; here one of them is the session's, and is committed in one of three ways.
TEST(Staleness, NothingThatMissesAnOwnCommit) {
  uint64_t accepted = 0, prepared_accepted = 0;
  ForEachTimeline([&](const Timeline &timeline) {
    for (int own = 0; own < kCount; own++) {
      const size_t end = timeline.EndOf(own);
      std::vector<Xid> ids;
      timeline.SnapshotAt(end, &ids);
      OwnCommits plain, by_this, by_another;
      plain.NoteCommit(ids[own]);
      by_this.NotePreparedCommit(timeline.NextAt(end));
      by_another.NotePrepare(ids[own]);
      for (size_t stored = 0; stored <= timeline.steps.size(); stored++) {
        const OwnedSnapshot s = timeline.SnapshotAt(stored);
        const bool seen = stored >= end;
        ASSERT_EQ(plain.AreSeenBy(s.Get(), kCommitted), seen);
        if (by_this.AreSeenBy(s.Get(), kCommitted)) {
          ASSERT_TRUE(seen);
          prepared_accepted++;
        }
        ASSERT_EQ(by_another.AreSeenBy(s.Get(), kCommitted), seen);
        if (!seen) {
          ASSERT_TRUE(by_another.AreSeenBy(s.Get(), kRunning));
          ASSERT_TRUE(by_another.AreSeenBy(s.Get(), kAborted));
        }
        accepted += seen;
      }
    }
  });
  EXPECT_GT(accepted, 0u);
  EXPECT_GT(prepared_accepted, 0u);
}

// Two in a row, of any kinds: the later one stands for both.
TEST(Staleness, TheLatestCommitStandsForAll) {
  ForEachTimeline([](const Timeline &timeline) {
    for (int first = 0; first < kCount; first++)
      for (int second = 0; second < kCount; second++) {
        if (timeline.EndOf(first) >= timeline.EndOf(second)) continue;
        std::vector<Xid> ids;
        timeline.SnapshotAt(timeline.steps.size(), &ids);
        OwnCommits plain, mixed, other;
        plain.NoteCommit(ids[first]);
        plain.NoteCommit(ids[second]);
        mixed.NoteCommit(ids[first]);
        mixed.NotePreparedCommit(timeline.NextAt(timeline.EndOf(second)));
        other.NotePreparedCommit(timeline.NextAt(timeline.EndOf(first)));
        other.NoteCommit(ids[second]);
        for (size_t stored = 0; stored < timeline.EndOf(second); stored++) {
          const OwnedSnapshot s = timeline.SnapshotAt(stored);
          ASSERT_FALSE(plain.AreSeenBy(s.Get(), kCommitted));
          ASSERT_FALSE(mixed.AreSeenBy(s.Get(), kCommitted));
          ASSERT_FALSE(other.AreSeenBy(s.Get(), kCommitted));
        }
      }
  });
}

TEST(Staleness, ManyPreparedOnes) {
  OwnCommits own;
  for (Xid xid = 100; xid < 200; xid++) own.NotePrepare(xid);
  // Of those that are not remembered one by one it is not known whether they have committed.
  EXPECT_FALSE(own.AreSeenBy(OwnedSnapshot(150, 200, {150}).Get(), kRunning));
  EXPECT_TRUE(own.AreSeenBy(OwnedSnapshot(190, 200, {190}).Get(), kRunning));
  EXPECT_FALSE(own.AreSeenBy(OwnedSnapshot(190, 200, {190}).Get(), kCommitted));
  EXPECT_TRUE(own.AreSeenBy(OwnedSnapshot(200, 200, {}).Get(), kCommitted));
}

TEST(Staleness, NothingCommittedYet) { EXPECT_TRUE(OwnCommits().AreSeenBy(OwnedSnapshot(1, 1, {}).Get(), kCommitted)); }

}  // namespace
}  // namespace aggcache
