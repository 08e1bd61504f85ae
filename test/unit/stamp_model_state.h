// The states of the model checker's worlds, and sets of them.

#ifndef AGGCACHE_TEST_STAMP_MODEL_STATE_H
#define AGGCACHE_TEST_STAMP_MODEL_STATE_H

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "stamp_model.h"

namespace aggcache {
namespace model {

constexpr Xid kBefore = 1;  // the last id given out before the world begins
constexpr int kStamps = 2;  // at most, of an entry
constexpr int kStorerDone = 7;

inline void Require(bool condition, const char *what) {
  if (condition) return;
  std::fprintf(stderr, "stamp model: %s\n", what);
  std::abort();
}

inline uint8_t Bit(Xid xid) { return static_cast<uint8_t>(1 << (xid - kBefore - 1)); }

// Ids are small: sets of them are bit masks.
struct ModelSnapshot {
  uint8_t xmin = 0, xmax = 0, running = 0;
};

struct ModelWriter {
  uint8_t statements = 0;  // done
  uint8_t xid = 0;
  Outcome outcome = Outcome::kRunning;
  bool published = false;  // a watch change: sent its invalidation messages, released its locks
};

struct ModelSlot {
  uint8_t version = 0, floor = 0, overflow = 0, writers = 0;
};

struct Result {
  ModelSnapshot snapshot;
  uint8_t value = 0;  // whose changes it shows
  uint8_t watch = 0;  // which watch its tags are of
  uint8_t versions[kStamps] = {};
};

struct Storer {
  uint8_t step = 0;  // 1 has a snapshot, 2 has computed, 2 + n has settled n slots
  Result result;
};

struct State {
  ModelWriter writers[kWriters];
  ModelSlot slots[kSlots - 1];
  Storer storers[kStorers];
  bool stored = false;
  Result entry;
  uint8_t reader = 0;  // 1 has a snapshot, 1 + n has checked n slots
  ModelSnapshot reader_snapshot;
  uint8_t first_truth = 0;  // what computing gave when the reader began to check
};

using Packed = std::array<uint64_t, 3>;

// Both directions of packing, so that they cannot differ.
template <bool Pack>
class Packer {
 public:
  explicit Packer(Packed *packed) : packed_(packed) {}

  template <class T>
  void Field(T &field, int bits) {
    if (word_bits_ + bits > 64) {
      word_++;
      word_bits_ = 0;
      Require(word_ < 3, "state does not fit");
    }
    if (Pack) {
      const uint64_t value = static_cast<uint64_t>(field);
      Require(value >> bits == 0, "field does not fit");
      (*packed_)[word_] |= value << word_bits_;
    } else {
      field = static_cast<T>((*packed_)[word_] >> word_bits_ & ((1u << bits) - 1));
    }
    word_bits_ += bits;
  }
  void Of(ModelSnapshot &s) {
    Field(s.xmin, 3);
    Field(s.xmax, 3);
    Field(s.running, 3);
  }
  void Of(Result &r) {
    Of(r.snapshot);
    Field(r.value, 3);
    Field(r.watch, 1);
    for (uint8_t &version : r.versions) Field(version, 4);
  }
  void Of(State &s) {
    for (ModelWriter &w : s.writers) {
      Field(w.statements, 2);
      Field(w.xid, 3);
      Field(w.outcome, 2);
      Field(w.published, 1);
    }
    for (ModelSlot &slot : s.slots) {
      Field(slot.version, 4);
      Field(slot.floor, 3);
      Field(slot.overflow, 3);
      Field(slot.writers, 3);
    }
    for (Storer &storer : s.storers) {
      Field(storer.step, 3);
      Of(storer.result);
    }
    Field(s.stored, 1);
    Of(s.entry);
    Field(s.reader, 3);
    Of(s.reader_snapshot);
    Field(s.first_truth, 3);
  }

 private:
  Packed *packed_;
  int word_ = 0;
  int word_bits_ = 0;
};

// Set of states by open addressing; all zero is free, which no state is (Push marks them).
class StateSet {
 public:
  StateSet() : table_(1 << 16) {}
  size_t size() const { return size_; }

  bool Insert(const Packed &packed) {
    if (size_ * 4 > table_.size() * 3) Grow();
    Packed *place = Find(table_, packed);
    if (*place == packed) return false;
    *place = packed;
    size_++;
    return true;
  }

 private:
  static Packed *Find(std::vector<Packed> &table, const Packed &packed) {
    uint64_t hash = packed[0];
    hash = (hash ^ hash >> 31) * 0xbf58476d1ce4e5b9u + packed[1];
    hash = (hash ^ hash >> 29) * 0x94d049bb133111ebu + packed[2];
    hash = (hash ^ hash >> 30) * 0x9e3779b97f4a7c15u;
    size_t i = (hash ^ hash >> 32) & (table.size() - 1);
    while (table[i] != packed && table[i] != Packed{}) i = (i + 1) & (table.size() - 1);
    return &table[i];
  }
  void Grow() {
    std::vector<Packed> bigger(table_.size() * 2);
    for (const Packed &packed : table_)
      if (packed != Packed{}) *Find(bigger, packed) = packed;
    table_.swap(bigger);
  }

  std::vector<Packed> table_;
  size_t size_ = 0;
};

}  // namespace model
}  // namespace aggcache

#endif
