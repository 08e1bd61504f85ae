// Exhaustive model checker of the ledgers, over the code that ships.
//
// A world is a ledger, the slot of its tag, the slot of one other tag of the result, some writers, two storers and one
// reader. Every interleaving of their steps is explored. In every state where the reader could have an answer the
// ledger is asked; it is wrong if it differs from what the reader's snapshot sees.
//
// What a writer does is written as a word, of which every letter is a step:
//   R  a row under the ledger's tag: registers in its slot. The first, third, ... of R and L begin a statement
//   L  looks for the ledger, and keeps the row's contribution if there is one
//   B  rolls back to a savepoint before the last statement
//   S  a row under the other tag: registers in that slot only. Or the rest of a bulk write, which keeps nothing
//   P  publishes
//   G  gives the ledger up
//   E  commits or aborts
// A transaction that is prepared is one for which the time between P and E is long. An eviction is a G.
//
// A storer opens the ledger (in two steps, the lock held in between), takes a snapshot, before that or after, settles
// the stamp of the other tag, and gives the base.
//
// With `racing`, a writer may also begin, register or end while an operation waits for what the server says of a
// transaction.

#ifndef AGGCACHE_TEST_LEDGER_MODEL_H
#define AGGCACHE_TEST_LEDGER_MODEL_H

#include <cstdint>

#include "core/ledger.h"
#include "core/ledger_rules.h"
#include "stamp_model.h"

namespace aggcache {
namespace model {

// The code under check.
struct LedgerProtocol {
  void (*enroll)(StampSlot *slot, const Transactions &transactions) noexcept;
  StampCheck (*settle)(StampSlot *slot, Xid start, Stamp *stamp, const Snapshot &snapshot,
                       const Transactions &transactions) noexcept;
  LedgerCode (*remember)(LedgerTable *table, const LedgerKey &key) noexcept;
  LedgerCode (*publish)(LedgerTable *table, const LedgerKey &key, Xid xid, const void *contribution, uint32_t size,
                        const Transactions &transactions, const Adding &adding) noexcept;
  LedgerCode (*set_base)(LedgerTable *table, const LedgerKey &key, const LedgerBase &base,
                         const Transactions &transactions) noexcept;
  LedgerCode (*read)(const LedgerTable &table, const LedgerKey &key, const Snapshot &reader,
                     const Transactions &transactions, const Adding &adding, LedgerTable::Answer *answer) noexcept;
};

// The rules as the library has them or with some removed, with fewer places in a slot and fewer deltas in a ledger.
template <class Rules, int Places, int Room>
LedgerProtocol LedgersWith() {
  using S = StampProtocol<aggcache::AllRules, Places>;
  using L = LedgerRules<Rules, Room>;
  return {
      [](StampSlot *slot, const Transactions &transactions) noexcept { (void)S::Register(slot, transactions); },
      [](StampSlot *slot, Xid start, Stamp *stamp, const Snapshot &snapshot,
         const Transactions &transactions) noexcept { return S::Settle(slot, start, stamp, snapshot, transactions); },
      &L::Remember,
      [](LedgerTable *table, const LedgerKey &key, Xid xid, const void *contribution, uint32_t size,
         const Transactions &transactions, const Adding &adding) noexcept {
        const LedgerCode code = L::Publish(table, key, xid, contribution, size, transactions, adding);
        if (code != LedgerCode::kOk && code != LedgerCode::kNone) table->GiveUp(key);
        return code;
      },
      &L::SetBase,
      &L::Read};
}

// The library's own entry points.
LedgerProtocol ShippedLedgers();

struct LedgerWorld {
  LedgerProtocol protocol = {};
  const char *writers[kWriters] = {"", "", ""};
  int lost = 0;  // the first so many had done all but E before a restart
  int storers = 2;
  int storer_of = -1;  // the writer in whose transaction the first storer runs
  int reader_of = -1;
  bool late_xmax = false;  // xmax is the next id rather than the one after the last that has finished
  bool racing = false;
  bool stamped = true;  // the result has the other tag
  // What callers must not do.
  bool keeps_rolled_back = false;  // rolling back to a savepoint drops nothing
  bool copies_first = false;       // the slots are copied before writers find the ledger
};

struct LedgerCounts {
  uint64_t states = 0;
  uint64_t served = 0;
  uint64_t patched = 0;  // of these, with deltas added
  uint64_t missed = 0;
  uint64_t wrong = 0;
};

// Explores all, or until an answer is wrong.
LedgerCounts Explore(const LedgerWorld &world, bool until_wrong = false);

}  // namespace model
}  // namespace aggcache

#endif
