// Exhaustive model checker of the stamp protocol, over the code that ships.
//
// A world is a handful of writers, storers and one reader around one cache entry. Every interleaving of their steps
// is explored, and in every state where the reader could hit, the protocol is asked. A hit is wrong if the entry's
// value differs from what computing it under the reader's snapshot would give.
//
// The steps:
//   writer  gets an id; changes rows and registers (in one step: the end of the statement); commits or aborts, or
//           stays open
//   storer  takes a snapshot; computes; settles slot by slot; replaces the entry
//   reader  takes a snapshot; checks slot by slot. A check changes nothing, so one reader stands for any number
//
// With `racing`, other writers also move while an operation is between reading the slot and getting the answer about
// some transaction: all that a lock-free operation can meet, up to kRaces moves within one.

#ifndef AGGCACHE_TEST_STAMP_MODEL_H
#define AGGCACHE_TEST_STAMP_MODEL_H

#include <cstdint>

#include "core/snapshot.h"
#include "core/stamp.h"
#include "core/stamp_rules.h"

namespace aggcache {
namespace model {

constexpr int kWriters = 3;
constexpr int kStorers = 2;
constexpr int kSlots = 4;  // in the table; no world uses the last
constexpr int kRaces = 2;

// The code under check.
struct Protocol {
  void (*enroll)(StampSlot *slots, Xid start, uint32_t slot, const Transactions &transactions) noexcept;
  StampCheck (*settle)(StampSlot *slots, Xid start, Stamp *stamp, const Snapshot &snapshot,
                       const Transactions &transactions) noexcept;
  StampCheck (*check)(StampSlot *slots, Xid start, const Stamp &stamp, const Snapshot &stored, const Snapshot &reader,
                      const Transactions &transactions) noexcept;
};

// The rules as the library has them or with some removed, and with fewer places.
template <class Rules, int Places>
Protocol ProtocolWith() {
  using P = StampProtocol<Rules, Places>;
  return {[](StampSlot *slots, Xid, uint32_t slot, const Transactions &transactions) noexcept {
            (void)P::Register(&slots[slot], transactions);
          },
          [](StampSlot *slots, Xid start, Stamp *stamp, const Snapshot &snapshot,
             const Transactions &transactions) noexcept {
            return P::Settle(&slots[stamp->slot], start, stamp, snapshot, transactions);
          },
          [](StampSlot *slots, Xid start, const Stamp &stamp, const Snapshot &stored, const Snapshot &reader,
             const Transactions &transactions) noexcept {
            if (IsQuiet(slots[stamp.slot], start, stamp, reader.xmin)) return StampCheck::kValid;
            return P::Check(slots[stamp.slot], start, stamp, stored, reader, transactions);
          }};
}

// The library's own entry points.
Protocol ShippedProtocol();

enum class Kind : uint8_t {
  kRow,        // changes the tracked rows
  kBystander,  // has an id and changes nothing here
  kTruncate,   // waits until nobody else uses the table; its effect is seen by whoever computes after its commit
  kWatch,      // waits until no writer uses the table; later writers register, and results are tagged, by another watch
};

// Which watches a storer takes to be in force.
enum class Catalog : uint8_t {
  kFresh,     // what has committed when it plans
  kRelcache,  // what has committed and sent its invalidation messages, which PostgreSQL does a little later
  kSnapshot,  // what its snapshot sees
};

struct World {
  Protocol protocol = {};
  Kind writers[kWriters] = {Kind::kRow, Kind::kRow, Kind::kRow};
  int statements = 1;  // of each row writer: how often it registers, at most 2
  int lost = 0;        // the first so many wrote before a restart and are prepared
  int storers = kStorers;
  int storer_of[kStorers] = {-1, -1};  // the writer in whose transaction it runs
  int reader_of = -1;
  bool own_is_running = true;  // a snapshot counts its own transaction as running
  bool late_xmax = false;      // xmax is the next id rather than the one after the last that has finished
  bool row_slot = false;       // row changes have a slot of their own, apart from the wide tag's
  bool immediate = true;       // the wide tag's stamp is immediate
  Catalog catalog = Catalog::kFresh;
  bool racing = false;
  bool knowing = false;  // who registers may know of any that has finished that it has, or may not
};

struct Counts {
  uint64_t states = 0;
  uint64_t hits = 0;
  uint64_t misses = 0;
  uint64_t wrong = 0;
};

Counts Explore(const World &world);

}  // namespace model
}  // namespace aggcache

#endif
