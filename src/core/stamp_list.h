// The rules about one stamp, put together for the stamps of a result: each tag stands as one stamp or as several in a
// row, all but the first marked `alternative`, of which one is enough.
//
// A list may lie in an entry's blocks or in an array, so these take one stamp after the other, in order. All inline: a
// hit runs through them.

#ifndef AGGCACHE_CORE_STAMP_LIST_H
#define AGGCACHE_CORE_STAMP_LIST_H

#include "core/snapshot.h"
#include "core/stamp.h"

namespace aggcache {

// The hit rule: the first tag that is not kValid decides, kOwnWrite above all others.
class ListCheck {
 public:
  ListCheck(const StampTable &table, const Snapshot &stored, const Snapshot &reader,
            const Transactions &transactions) noexcept
      : table_(table), stored_(stored), reader_(reader), transactions_(transactions) {}

  // Returns false if neither this stamp nor a later one can change the answer.
  bool Next(const Stamp &stamp) noexcept {
    if (stamp.alternative) {
      if (of_tag_ != StampCheck::kValid && Check(stamp) == StampCheck::kValid) of_tag_ = StampCheck::kValid;
      return true;
    }
    if (!Decide()) {
      of_tag_ = StampCheck::kValid;
      return false;
    }
    of_tag_ = Check(stamp);
    return true;
  }

  // After the last stamp, or when Next has returned false.
  StampCheck Answer() noexcept {
    Decide();
    return decided_;
  }

 private:
  StampCheck Check(const Stamp &stamp) const noexcept { return table_.Check(stamp, stored_, reader_, transactions_); }

  // Takes what the tag says into the answer. Returns whether to go on: only an own write could still change it.
  bool Decide() noexcept {
    if (of_tag_ == StampCheck::kValid) return true;
    if (decided_ == StampCheck::kValid || of_tag_ == StampCheck::kOwnWrite) decided_ = of_tag_;
    return of_tag_ != StampCheck::kOwnWrite && transactions_.own != kNoXid;
  }

  const StampTable &table_;
  const Snapshot &stored_;
  const Snapshot &reader_;
  const Transactions &transactions_;
  StampCheck decided_ = StampCheck::kValid;
  StampCheck of_tag_ = StampCheck::kValid;  // what the stamps of the tag at hand say so far
};

// The writer that makes ListCheck answer kChanged, as far as it is known.
class ListCulprit {
 public:
  ListCulprit(const StampTable &table, const Snapshot &stored, const Snapshot &reader,
              const Transactions &transactions) noexcept
      : table_(table), stored_(stored), reader_(reader), transactions_(transactions) {}

  // Returns false if it is found.
  bool Next(const Stamp &stamp) noexcept {
    if (!stamp.alternative && of_tag_ != kNoXid) return false;
    const StampCheck check = table_.Check(stamp, stored_, reader_, transactions_);
    if (stamp.alternative) {
      // Who is to blame is in all slots of the tag; who only shares the first is not.
      if (check == StampCheck::kValid) of_tag_ = kNoXid;
    } else if (check == StampCheck::kChanged) {
      of_tag_ = table_.Culprit(stamp, stored_, reader_, transactions_);
    }
    return true;
  }

  // After the last stamp, or when Next has returned false; kNoXid if there is none.
  Xid Answer() const noexcept { return of_tag_; }

 private:
  const StampTable &table_;
  const Snapshot &stored_;
  const Snapshot &reader_;
  const Transactions &transactions_;
  Xid of_tag_ = kNoXid;
};

// Whether some tag can never be valid again, for no snapshot.
class ListIsDead {
 public:
  explicit ListIsDead(const StampTable &table) noexcept : table_(table) {}

  // Returns false if it is so.
  bool Next(const Stamp &stamp) noexcept {
    if (stamp.alternative) {
      dead_ = dead_ && table_.IsDead(stamp);
      return true;
    }
    if (dead_) return false;
    dead_ = table_.IsDead(stamp);
    return true;
  }

  // After the last stamp, or when Next has returned false.
  bool Answer() const noexcept { return dead_; }

 private:
  const StampTable &table_;
  bool dead_ = false;  // all stamps of the tag at hand so far
};

}  // namespace aggcache

#endif
