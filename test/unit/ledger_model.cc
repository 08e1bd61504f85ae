// The exploration of the worlds of the ledgers' model checker. See ledger_model.h.

#include "ledger_model.h"

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "ledger_model_memory.h"
#include "ledger_model_state.h"

namespace aggcache {
namespace model {
namespace {

class LedgerExplorer {
 public:
  LedgerExplorer(const LedgerWorld &world, bool until_wrong)
      : world_(world), until_wrong_(until_wrong), start_(kBefore + world.lost), memory_(start_, world.stamped) {
    for (int i = 0; i < kWriters; i++) length_[i] = static_cast<int>(strlen(world.writers[i]));
  }

  LedgerCounts Run() {
    memory_.Load(from_);
    for (int i = 0; i < world_.lost; i++) {
      state_.writers[i].xid = static_cast<uint8_t>(kBefore + 1 + i);
      state_.writers[i].step = static_cast<uint8_t>(length_[i] - 1);
    }
    Push();
    while (!todo_.empty() && !(until_wrong_ && counts_.wrong > 0)) {
      Packed packed = todo_.back();
      todo_.pop_back();
      from_ = LedgerState();
      LedgerPacker<false>(&packed).Of(from_);
      Expand();
    }
    counts_.states = seen_.size();
    return counts_;
  }

 private:
  // --- one state's successors ---

  void Expand() {
    if (world_.reader_of >= 0 && Ended(from_.writers[world_.reader_of])) return;  // nothing left to be wrong
    for (int i = 0; i < kWriters; i++) {
      const int options = Options(from_, i, false);
      for (int option = 0; option < options; option++)
        Branch(i, [&] {
          Move(i, option);
          Push();
        });
    }
    const bool locked = IsLocked(from_);
    for (int i = 0; i < world_.storers; i++) {
      const LedgerStorer &storer = from_.storers[i];
      const int own = i == 0 ? world_.storer_of : -1;
      if (storer.done || (own >= 0 && IsClosing(own))) continue;
      if (storer.opening || (!storer.opened && !locked)) StorerStep(i, &LedgerExplorer::OpenStep);
      if (!storer.opening && !storer.has_snapshot)
        StorerStep(i, [](LedgerExplorer *self, LedgerStorer *s, int) {
          s->snapshot = self->TakeSnapshot();
          s->has_snapshot = true;
        });
      if (storer.has_snapshot && !storer.settled && !storer.opening) StorerStep(i, &LedgerExplorer::SettleStep);
      if (storer.settled && storer.opened && !locked) StorerStep(i, &LedgerExplorer::BaseStep);
    }
    if (world_.reader_of >= 0 && IsClosing(world_.reader_of)) return;
    if (!from_.reading)
      Branch(world_.reader_of, [&] {
        state_.reading = true;
        state_.reader = TakeSnapshot();
        Push();
      });
    else if (!locked && from_.ledger.exists && from_.ledger.has_base)
      Branch(world_.reader_of, [&] { Read(); });
  }

  template <class F>
  void StorerStep(int i, F step) {
    const int own = i == 0 ? world_.storer_of : -1;
    Branch(own, [&] {
      step(this, &state_.storers[i], own);
      Push();
    });
  }

  // Runs `step` from the state `from_` in every way that its races can go.
  template <class F>
  void Branch(int actor, F step) {
    script_.clear();
    do {
      script_at_ = 0;
      actor_ = actor;
      may_race_ = world_.racing;
      state_ = from_;
      memory_.Load(from_);
      step();
    } while (NextScript());
  }

  int Choose(int options) {
    if (script_at_ == script_.size()) script_.push_back({0, options});
    return script_[script_at_++].first;
  }

  bool NextScript() {
    while (!script_.empty() && script_.back().first + 1 == script_.back().second) script_.pop_back();
    if (script_.empty()) return false;
    script_.back().first++;
    return true;
  }

  void Push() {
    memory_.Save(&state_);
    LedgerState next = state_;
    // The order of interchangeable storers is no difference, nor is that of deltas.
    if (world_.storer_of < 0) {
      Packed keys[2] = {};
      for (int i = 0; i < 2; i++) LedgerPacker<true>(&keys[i]).Of(next.storers[i]);
      if (keys[1] < keys[0]) std::swap(next.storers[0], next.storers[1]);
    }
    std::sort(next.ledger.deltas, next.ledger.deltas + next.ledger.count,
              [](const ModelDelta &a, const ModelDelta &b) { return a.xid < b.xid; });
    Packed packed = {};
    LedgerPacker<true>(&packed).Of(next);
    packed[2] |= 1ull << 63;
    if (seen_.Insert(packed)) todo_.push_back(packed);
  }

  // --- the server ---

  static bool Ended(const LedgerWriter &w) { return w.outcome != Outcome::kRunning; }

  static Outcome Answer(void *context, Xid xid) noexcept {
    auto *self = static_cast<LedgerExplorer *>(context);
    if (self->may_race_) {
      std::pair<int, int> moves[kWriters * 2];
      int count = 0;
      for (int i = 0; i < kWriters; i++) {
        if (i == self->actor_) continue;
        const int options = self->Options(self->state_, i, true);
        for (int option = 0; option < options; option++) moves[count++] = {i, option};
      }
      const int choice = count == 0 ? 0 : self->Choose(count + 1);
      if (choice > 0) {
        self->may_race_ = false;
        self->Move(moves[choice - 1].first, moves[choice - 1].second);
      }
    }
    for (const LedgerWriter &w : self->state_.writers)
      if (w.xid == xid) return w.outcome;
    Require(false, "asked about an unknown id");
    return Outcome::kUnknown;
  }

  Transactions For(int writer) {
    return {&Answer, this, writer < 0 ? kNoXid : Xid{state_.writers[writer].xid}, nullptr};
  }

  ModelSnapshot TakeSnapshot() const {
    Xid last = start_, last_finished = start_;
    for (const LedgerWriter &w : state_.writers) {
      last = std::max(last, Xid{w.xid});
      if (w.xid != 0 && Ended(w)) last_finished = std::max(last_finished, Xid{w.xid});
    }
    ModelSnapshot snapshot;
    snapshot.xmax = static_cast<uint8_t>((world_.late_xmax ? last : last_finished) + 1);
    snapshot.xmin = snapshot.xmax;
    for (const LedgerWriter &w : state_.writers) {
      if (w.xid == 0 || Ended(w)) continue;
      snapshot.xmin = std::min(snapshot.xmin, w.xid);
      if (w.xid < snapshot.xmax) snapshot.running |= Bit(w.xid);
    }
    return snapshot;
  }

  // --- the rows ---

  // The statement that a letter of a word belongs to.
  int StatementAt(int writer, int step) const {
    int before = 0;
    for (int i = 0; i < step; i++) before += strchr("RL", world_.writers[writer][i]) != nullptr;
    return before / 2;
  }

  // The statements whose rows are there, once the first `steps` letters are done.
  uint8_t RowsOf(int writer, int steps) const {
    uint8_t rows = 0;
    for (int i = 0; i < steps; i++) switch (world_.writers[writer][i]) {
        case 'R': rows |= static_cast<uint8_t>(1 << StatementAt(writer, i)); break;
        case 'S': rows |= 1 << kOtherRows; break;
        case 'B': rows &= static_cast<uint8_t>(~(1 << (StatementAt(writer, i) - 1))); break;
        default: break;
      }
    return rows;
  }

  // What the query would give.
  void Compute(const Snapshot &snapshot, int own, unsigned char parts[kParts]) const {
    memset(parts, 0, kParts);
    for (int i = 0; i < kWriters; i++) {
      const LedgerWriter &w = state_.writers[i];
      if (w.xid == 0) continue;
      if (i != own && (w.outcome != Outcome::kCommitted || snapshot.IsRunning(w.xid))) continue;
      const uint8_t rows = RowsOf(i, w.step);
      for (int s = 0; s < kStatements; s++) parts[i * kStatements + s] = rows >> s & 1;
    }
  }

  // --- the writers ---

  static bool IsLocked(const LedgerState &state) { return state.storers[0].opening || state.storers[1].opening; }
  bool IsClosing(int writer) const {
    const LedgerWriter &w = from_.writers[writer];
    if (Ended(w)) return true;
    return strchr(world_.writers[writer], 'P') < world_.writers[writer] + w.step;  // no user code runs from there on
  }

  // In how many ways the writer can move. `lockless`: as far as it takes no lock.
  int Options(const LedgerState &state, int i, bool lockless) const {
    const LedgerWriter &w = state.writers[i];
    if (length_[i] == 0 || Ended(w)) return 0;
    if (w.xid == 0) {
      // Of interchangeable writers that have not begun, one stands for all.
      for (int j = 0; j < i; j++)
        if (state.writers[j].xid == 0 && strcmp(world_.writers[j], world_.writers[i]) == 0 && world_.storer_of < 0 &&
            world_.reader_of < 0)
          return 0;
      return 1;
    }
    const bool blocked = lockless || IsLocked(state);
    switch (world_.writers[i][w.step]) {
      case 'E': return 2;
      case 'L': return !blocked || (!lockless && world_.copies_first) ? 1 : 0;
      case 'P':
      case 'G': return blocked ? 0 : 1;
      default: return 1;
    }
  }

  void Move(int i, int option) {
    LedgerWriter &w = state_.writers[i];
    if (w.xid == 0) {
      Xid last = start_;
      for (const LedgerWriter &other : state_.writers) last = std::max(last, Xid{other.xid});
      w.xid = static_cast<uint8_t>(last + 1);
      return;
    }
    const int statement = StatementAt(i, w.step);
    switch (world_.writers[i][w.step]) {
      case 'R':
        world_.protocol.enroll(&slots_[0], For(i));
        world_.protocol.enroll(&slots_[1], For(i));
        break;
      case 'S': world_.protocol.enroll(&slots_[kOtherSlot], For(i)); break;
      case 'L':
        // While a ledger is opened that is still hidden, there is none.
        if (!IsLocked(state_) && table_->MayHave(kKey.tag) && table_->Has(kKey))
          w.kept |= static_cast<uint8_t>(1 << statement);
        break;
      case 'B':
        if (!world_.keeps_rolled_back) w.kept &= static_cast<uint8_t>(~(1 << (statement - 1)));
        break;
      case 'P': {
        unsigned char bytes[kParts];
        Contribution(state_, w.xid, w.kept, bytes);
        world_.protocol.publish(table_, kKey, w.xid, bytes, w.kept != 0 ? kParts : 0, For(i), memory_.Work());
        w.kept = 0;
        break;
      }
      case 'G': table_->GiveUpAll(kKey.tag); break;
      case 'E':
        w.outcome = option == 0 ? Outcome::kCommitted : Outcome::kAborted;
        if (world_.storer_of == i) state_.storers[0].done = true;
        break;
      default: Require(false, "no such letter");
    }
    w.step++;
  }

  // --- storers and the reader ---

  static void Finish(LedgerStorer *storer) {
    *storer = LedgerStorer();
    storer->done = true;
  }

  static void OpenStep(LedgerExplorer *self, LedgerStorer *storer, int) {
    const bool copies = self->world_.copies_first ? !storer->opening : storer->opening;
    if (!storer->opening) {
      const LedgerCode code = self->table_->Announce(kKey);
      if (code != LedgerCode::kOk) {
        Require(code == LedgerCode::kExists, "no memory");
        storer->opened = true;
        return;
      }
    }
    if (copies) Require(self->world_.protocol.remember(self->table_, kKey) == LedgerCode::kOk, "slots cannot be read");
    storer->opened = storer->opening;
    storer->opening = !storer->opening;
  }

  static void SettleStep(LedgerExplorer *self, LedgerStorer *storer, int own) {
    Stamp stamp = OtherStamp(0);
    const CoreSnapshot core(storer->snapshot);
    if (self->world_.stamped && self->world_.protocol.settle(&self->slots_[kOtherSlot], self->start_, &stamp,
                                                             core.snapshot, self->For(own)) != StampCheck::kValid) {
      if (storer->opened) return Finish(storer);
      storer->has_snapshot = false;
      storer->snapshot = ModelSnapshot();
      return;
    }
    storer->settled = true;
    storer->version = static_cast<uint8_t>(stamp.version);
  }

  static void BaseStep(LedgerExplorer *self, LedgerStorer *storer, int own) {
    const CoreSnapshot core(storer->snapshot);
    const Stamp stamp = OtherStamp(storer->version);
    unsigned char parts[kParts];
    self->Compute(core.snapshot, own, parts);
    LedgerBase base;
    base.snapshot = core.snapshot;
    base.stamps = &stamp;
    base.stamp_count = self->world_.stamped ? 1 : 0;
    base.sum = parts;
    base.sum_size = kParts;
    self->world_.protocol.set_base(self->table_, kKey, base, self->For(own));
    Finish(storer);
  }

  void Read() {
    const CoreSnapshot reader(state_.reader);
    LedgerTable::Answer answer;
    if (world_.protocol.read(*table_, kKey, reader.snapshot, For(world_.reader_of), memory_.Work(), &answer) !=
        LedgerCode::kOk) {
      counts_.missed++;
      return;
    }
    unsigned char truth[kParts];
    Compute(reader.snapshot, world_.reader_of, truth);
    counts_.served++;
    counts_.patched += answer.added > 0;
    counts_.wrong += answer.size != kParts || memcmp(truth, memory_.work, kParts) != 0;
  }

  const LedgerWorld world_;
  const bool until_wrong_;
  const Xid start_;
  int length_[kWriters];

  LedgerState from_;   // whose successors are being found
  LedgerState state_;  // the successor in the making; its slots and its ledger are in the memory below
  LedgerModelMemory memory_;
  StampSlot *const slots_ = memory_.slots;
  LedgerTable *const table_ = &memory_.table;
  int actor_ = -1;
  bool may_race_ = false;
  std::vector<std::pair<int, int>> script_;  // choice, of how many
  size_t script_at_ = 0;

  StateSet seen_;
  std::vector<Packed> todo_;
  LedgerCounts counts_;
};

}  // namespace

LedgerProtocol ShippedLedgers() {
  LedgerProtocol shipped = LedgersWith<AllLedgerRules, kSlotWriters, kLedgerDeltas>();
  shipped.remember = [](LedgerTable *table, const LedgerKey &key) noexcept { return table->Remember(key); };
  shipped.publish = [](LedgerTable *table, const LedgerKey &key, Xid xid, const void *contribution, uint32_t size,
                       const Transactions &transactions, const Adding &adding) noexcept {
    return table->Publish(key, xid, contribution, size, transactions, adding);
  };
  shipped.set_base = [](LedgerTable *table, const LedgerKey &key, const LedgerBase &base,
                        const Transactions &transactions) noexcept { return table->SetBase(key, base, transactions); };
  shipped.read = [](const LedgerTable &table, const LedgerKey &key, const Snapshot &reader,
                    const Transactions &transactions, const Adding &adding, LedgerTable::Answer *answer) noexcept {
    return table.Read(key, reader, transactions, adding, answer);
  };
  return shipped;
}

LedgerCounts Explore(const LedgerWorld &world, bool until_wrong) { return LedgerExplorer(world, until_wrong).Run(); }

}  // namespace model
}  // namespace aggcache
