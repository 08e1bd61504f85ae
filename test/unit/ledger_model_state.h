// The states of the worlds of the ledgers' model checker.

#ifndef AGGCACHE_TEST_LEDGER_MODEL_STATE_H
#define AGGCACHE_TEST_LEDGER_MODEL_STATE_H

#include <cstdint>

#include "stamp_model_state.h"

namespace aggcache {
namespace model {

constexpr int kStatements = 3;  // of a writer: two under the ledger's tag, and the rows under the other tag
constexpr int kOtherRows = 2;   // the last
constexpr int kParts = kWriters * kStatements;

struct LedgerWriter {
  uint8_t step = 0;  // letters of its word that are done
  uint8_t xid = 0;
  Outcome outcome = Outcome::kRunning;
  uint8_t kept = 0;  // statements whose contribution it keeps, one bit each
};

struct LedgerStorer {
  bool opening = false;  // between the two steps
  bool opened = false;
  bool has_snapshot = false;
  bool settled = false;
  bool done = false;
  ModelSnapshot snapshot;
  uint8_t version = 0;  // of the other tag's stamp
};

struct ModelDelta {
  uint8_t xid = 0;
  uint8_t kept = 0;
};

struct ModelLedger {
  bool exists = false;
  ModelSlot opened;
  uint8_t floor = 0;
  uint8_t count = 0;
  ModelDelta deltas[kWriters];
  bool has_base = false;
  ModelSnapshot snapshot;
  uint8_t version = 0;
  uint8_t unknown = 0;
  uint8_t sum[kParts] = {};  // how often the rows of each statement are counted
};

struct LedgerState {
  LedgerWriter writers[kWriters];
  ModelSlot slots[2];  // of the ledger's tag, and of the other
  LedgerStorer storers[2];
  ModelLedger ledger;
  bool reading = false;
  ModelSnapshot reader;
};

template <bool Pack>
class LedgerPacker : public Packer<Pack> {
 public:
  using Packer<Pack>::Packer;
  using Packer<Pack>::Field;
  using Packer<Pack>::Of;

  void Of(ModelSlot &slot, int version_bits) {
    Field(slot.version, version_bits);
    Field(slot.floor, 3);
    Field(slot.overflow, 3);
    Field(slot.writers, kWriters);
  }
  void Of(LedgerStorer &s) {
    Field(s.opening, 1);
    Field(s.opened, 1);
    Field(s.has_snapshot, 1);
    Field(s.settled, 1);
    Field(s.done, 1);
    Of(s.snapshot);
    Field(s.version, 3);
  }
  void Of(LedgerState &s) {
    for (uint8_t &part : s.ledger.sum) Field(part, 2);
    for (LedgerWriter &w : s.writers) {
      Field(w.step, 3);
      Field(w.xid, 3);
      Field(w.outcome, 2);
      Field(w.kept, kStatements);
    }
    Of(s.slots[0], 1);
    Of(s.slots[1], 3);
    for (LedgerStorer &storer : s.storers) Of(storer);
    Field(s.ledger.exists, 1);
    Of(s.ledger.opened, 1);
    Field(s.ledger.floor, 3);
    Field(s.ledger.count, 2);
    for (ModelDelta &delta : s.ledger.deltas) {
      Field(delta.xid, 3);
      Field(delta.kept, kStatements);
    }
    Field(s.ledger.has_base, 1);
    Of(s.ledger.snapshot);
    Field(s.ledger.version, 3);
    Field(s.ledger.unknown, kWriters);
    Field(s.reading, 1);
    Of(s.reader);
  }
};

}  // namespace model
}  // namespace aggcache

#endif
