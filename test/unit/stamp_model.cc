// The exploration of the model checker's worlds. See stamp_model.h.

#include "stamp_model.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "stamp_model_state.h"

namespace aggcache {
namespace model {
namespace {

enum class Move : uint8_t { kBegin, kWrite, kCommit, kAbort, kPublish };
struct WriterMove {
  int writer;
  Move move;
};

class Explorer {
 public:
  explicit Explorer(const World &world) : world_(world), start_(kBefore + world.lost) {
    for (Kind kind : world.writers) {
      locks_ |= kind == Kind::kTruncate || kind == Kind::kWatch;
      watches_ |= kind == Kind::kWatch;
    }
    stamps_ = world.row_slot || watches_ ? 2 : 1;
    bound_ = world.reader_of >= 0 || world.storer_of[0] >= 0 || world.storer_of[1] >= 0;
  }

  Counts Run() {
    for (int i = 0; i < world_.lost; i++) {
      state_.writers[i].xid = static_cast<uint8_t>(kBefore + 1 + i);
      state_.writers[i].statements = 1;
    }
    Push();
    while (!todo_.empty()) {
      Packed packed = todo_.back();
      todo_.pop_back();
      Packer<false>(&packed).Of(from_);
      Expand();
    }
    counts_.states = seen_.size();
    return counts_;
  }

 private:
  // --- one state's successors ---

  void Expand() {
    if (world_.reader_of >= 0 && Ended(from_.writers[world_.reader_of])) return;  // nothing left to be wrong
    state_ = from_;
    WriterMove moves[kWriters * 2];
    const int count = Moves(-1, moves);
    for (int i = 0; i < count; i++)
      Branch(moves[i].writer, [&] {
        Apply(moves[i]);
        Push();
      });
    for (int i = 0; i < world_.storers; i++) {
      if (from_.storers[i].step == kStorerDone) continue;
      const int own = world_.storer_of[i];
      if (own >= 0 && Ended(from_.writers[own])) continue;
      if (locks_ && from_.storers[i].step == 1 && TableIsLocked()) continue;
      Branch(own, [&] {
        Step(&state_.storers[i], own);
        Push();
      });
    }
    if (from_.reader == 0)
      Branch(world_.reader_of, [&] {
        state_.reader = 1;
        state_.reader_snapshot = TakeSnapshot(world_.reader_of);
        Push();
      });
    else if (from_.stored)
      Branch(world_.reader_of, [&] { CheckNext(); });
  }

  // Runs `step` from the state `from_` in every way that its races can go.
  template <class F>
  void Branch(int actor, F step) {
    script_.clear();
    do {
      script_at_ = 0;
      races_ = world_.racing ? kRaces : 0;
      actor_ = actor;
      state_ = from_;
      for (int i = 0; i < kSlots - 1; i++) {
        const ModelSlot &slot = state_.slots[i];
        slots_[i].version.store(slot.version, std::memory_order_relaxed);
        slots_[i].floor.store(slot.floor, std::memory_order_relaxed);
        slots_[i].overflow.store(slot.overflow, std::memory_order_relaxed);
        // Into the first places: where a writer stands makes no difference.
        Xid xid = kBefore;
        for (std::atomic<Xid> &writer : slots_[i].writers) {
          do xid++;
          while (xid <= kBefore + kWriters && (slot.writers & Bit(xid)) == 0);
          writer.store(xid <= kBefore + kWriters ? xid : kNoXid, std::memory_order_relaxed);
        }
      }
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
    State next = state_;
    for (int i = 0; i < kSlots - 1; i++) {
      const StampSlot &slot = slots_[i];
      Require(slot.sequence % 2 == 0, "slot left locked");
      next.slots[i] = {static_cast<uint8_t>(slot.version), static_cast<uint8_t>(slot.floor),
                       static_cast<uint8_t>(slot.overflow), 0};
      for (const std::atomic<Xid> &writer : slot.writers)
        if (writer != kNoXid) next.slots[i].writers |= Bit(writer);
    }
    // The order of interchangeable storers is no difference.
    if (!bound_) {
      Packed keys[2] = {};
      for (int i = 0; i < 2; i++) {
        Packer<true> packer(&keys[i]);
        packer.Field(next.storers[i].step, 3);
        packer.Of(next.storers[i].result);
      }
      if (keys[1] < keys[0]) std::swap(next.storers[0], next.storers[1]);
    }
    Packed packed = {};
    Packer<true>(&packed).Of(next);
    packed[2] |= 1ull << 63;
    if (seen_.Insert(packed)) todo_.push_back(packed);
  }

  // --- the server ---

  static bool Ended(const ModelWriter &w) { return w.outcome != Outcome::kRunning; }

  Outcome OutcomeOf(Xid xid) const {
    for (const ModelWriter &w : state_.writers)
      if (w.xid == xid) return w.outcome;
    Require(false, "asked about an unknown id");
    return Outcome::kUnknown;
  }

  // Answers, after others have perhaps moved.
  static Outcome AnswerOutcome(void *context, Xid xid) noexcept {
    auto *self = static_cast<Explorer *>(context);
    if (self->races_ > 0) {
      WriterMove moves[kWriters * 2];
      const int count = self->Moves(self->actor_, moves);
      const int choice = count == 0 ? 0 : self->Choose(count + 1);
      if (choice > 0) {
        const int races_left = self->races_ - 1;
        self->races_ = 0;
        self->Apply(moves[choice - 1]);
        self->races_ = races_left;
      }
    }
    return self->OutcomeOf(xid);
  }

  static bool AnswerKnown(void *context, Xid xid) noexcept {
    auto *self = static_cast<Explorer *>(context);
    return self->OutcomeOf(xid) != Outcome::kRunning && self->Choose(2) == 1;
  }

  Transactions For(int writer) {
    return {&AnswerOutcome, this, writer < 0 ? kNoXid : Xid{state_.writers[writer].xid},
            world_.knowing ? &AnswerKnown : nullptr};
  }

  ModelSnapshot TakeSnapshot(int own) const {
    Xid last = start_, last_finished = start_;
    for (const ModelWriter &w : state_.writers) {
      last = std::max(last, Xid{w.xid});
      if (w.xid != 0 && Ended(w)) last_finished = std::max(last_finished, Xid{w.xid});
    }
    ModelSnapshot snapshot;
    snapshot.xmax = static_cast<uint8_t>((world_.late_xmax ? last : last_finished) + 1);
    snapshot.xmin = snapshot.xmax;
    for (int i = 0; i < kWriters; i++) {
      const ModelWriter &w = state_.writers[i];
      if (w.xid == 0 || Ended(w)) continue;
      snapshot.xmin = std::min(snapshot.xmin, w.xid);
      if (w.xid < snapshot.xmax && (i != own || world_.own_is_running)) snapshot.running |= Bit(w.xid);
    }
    return snapshot;
  }

  // The core's form of a snapshot.
  struct CoreSnapshot {
    explicit CoreSnapshot(const ModelSnapshot &model) {
      for (Xid xid = kBefore + 1; xid <= kBefore + kWriters; xid++)
        if (model.running & Bit(xid)) running[snapshot.running_count++] = xid;
      snapshot.xmin = model.xmin;
      snapshot.xmax = model.xmax;
      snapshot.running = running;
    }
    CoreSnapshot(const CoreSnapshot &) = delete;

    Xid running[kWriters];
    Snapshot snapshot;
  };

  // --- the table ---

  // Whether somebody keeps even readers out.
  bool TableIsLocked() const {
    for (int i = 0; i < kWriters; i++) {
      const ModelWriter &w = from_.writers[i];
      if (world_.writers[i] == Kind::kTruncate && w.statements > 0 && !Ended(w)) return true;
    }
    return false;
  }

  bool MayWrite(int writer) const {
    if (!locks_) return true;
    const bool exclusive = world_.writers[writer] != Kind::kRow;
    for (int i = 0; i < kWriters; i++) {
      if (i == writer) continue;
      const ModelWriter &w = state_.writers[i];
      const bool holds = w.statements > 0 && (world_.writers[i] == Kind::kWatch ? !w.published : !Ended(w));
      if (holds && (exclusive || world_.writers[i] != Kind::kRow)) return false;
    }
    return true;
  }

  // What a computation that begins now shows: whose changes.
  uint8_t Compute(const ModelSnapshot &snapshot, int own) const {
    const CoreSnapshot core(snapshot);
    uint8_t value = 0;
    for (int i = 0; i < kWriters; i++) {
      const ModelWriter &w = state_.writers[i];
      if (w.statements == 0) continue;
      const bool committed = w.outcome == Outcome::kCommitted;
      if (world_.writers[i] == Kind::kRow && (i == own || (committed && !core.snapshot.IsRunning(w.xid))))
        value |= Bit(w.xid);
      if (world_.writers[i] == Kind::kTruncate && committed) value |= Bit(w.xid);
    }
    return value;
  }

  // Each watch change toggles between two watches.
  uint8_t Watch(Catalog catalog, const ModelSnapshot *snapshot) const {
    uint8_t watch = 0;
    for (int i = 0; i < kWriters; i++) {
      const ModelWriter &w = state_.writers[i];
      if (world_.writers[i] != Kind::kWatch || w.statements == 0 || w.outcome != Outcome::kCommitted) continue;
      if (catalog == Catalog::kRelcache && !w.published) continue;
      if (catalog == Catalog::kSnapshot && CoreSnapshot(*snapshot).snapshot.IsRunning(w.xid)) continue;
      watch ^= 1;
    }
    return watch;
  }

  uint32_t RowSlot(uint8_t watch) const { return watches_ ? 1 + watch : stamps_ - 1; }

  Stamp StampOf(const Result &result, int i) const {
    Stamp stamp;
    stamp.slot = i == 0 ? 0 : RowSlot(result.watch);
    stamp.immediate = i == 0 && locks_ && world_.immediate;
    stamp.version = result.versions[i];
    return stamp;
  }

  // --- the writers ---

  // What writers other than this one can do.
  int Moves(int except, WriterMove *moves) const {
    int count = 0;
    bool kind_begins[4] = {};
    for (int i = 0; i < kWriters; i++) {
      if (i == except) continue;
      const ModelWriter &w = state_.writers[i];
      const Kind kind = world_.writers[i];
      if (w.xid == 0) {
        // Of interchangeable writers that have not begun, one stands for all.
        bool *begins = &kind_begins[static_cast<int>(kind)];
        if (!*begins || bound_) moves[count++] = {i, Move::kBegin};
        *begins = true;
        continue;
      }
      if (Ended(w)) {
        if (kind == Kind::kWatch && w.statements > 0 && !w.published) moves[count++] = {i, Move::kPublish};
        continue;
      }
      const int statements = kind == Kind::kRow && i >= world_.lost ? world_.statements : 1;
      if (w.statements < statements && MayWrite(i)) moves[count++] = {i, Move::kWrite};
      if (w.statements > 0) {
        moves[count++] = {i, Move::kCommit};
        moves[count++] = {i, Move::kAbort};
      }
    }
    return count;
  }

  void Apply(const WriterMove &m) {
    ModelWriter &w = state_.writers[m.writer];
    switch (m.move) {
      case Move::kBegin: {
        Xid last = start_;
        for (const ModelWriter &other : state_.writers) last = std::max(last, Xid{other.xid});
        w.xid = static_cast<uint8_t>(last + 1);
        break;
      }
      case Move::kWrite:
        w.statements++;
        if (world_.writers[m.writer] == Kind::kRow)
          world_.protocol.enroll(slots_, start_, RowSlot(Watch(Catalog::kFresh, nullptr)), For(m.writer));
        else if (world_.writers[m.writer] != Kind::kBystander)
          world_.protocol.enroll(slots_, start_, 0, For(m.writer));
        break;
      case Move::kCommit: w.outcome = Outcome::kCommitted; break;
      case Move::kAbort: w.outcome = Outcome::kAborted; break;
      case Move::kPublish: w.published = true; break;
    }
    // A storer ends with its transaction.
    if (Ended(w))
      for (int i = 0; i < kStorers; i++)
        if (world_.storer_of[i] == m.writer) state_.storers[i] = Finished();
  }

  // --- storers and the reader ---

  static Storer Finished() {
    Storer storer;
    storer.step = kStorerDone;
    return storer;
  }

  void Step(Storer *storer, int own) {
    Result &result = storer->result;
    if (storer->step == 0) {
      result.snapshot = TakeSnapshot(own);
      storer->step = 1;
      return;
    }
    if (storer->step == 1) {
      result.value = Compute(result.snapshot, own);
      result.watch = Watch(world_.catalog, &result.snapshot);
      storer->step = 2;
      // Without locks, what it computes does not depend on when, so settling may follow at once.
      if (locks_) return;
    }
    const int at = storer->step - 2;
    Stamp stamp = StampOf(result, at);
    const CoreSnapshot core(result.snapshot);
    if (world_.protocol.settle(slots_, start_, &stamp, core.snapshot, For(own)) != StampCheck::kValid) {
      *storer = Finished();
      return;
    }
    result.versions[at] = static_cast<uint8_t>(stamp.version);
    storer->step++;
    if (at + 1 < stamps_) return;
    // A reader that has begun to check keeps its copy of the entry it found.
    if (state_.reader <= 1) {
      state_.entry = result;
      state_.stored = true;
    }
    *storer = Finished();
  }

  void CheckNext() {
    const int at = state_.reader - 1;
    const uint8_t first_truth = at == 0 ? Compute(state_.reader_snapshot, world_.reader_of) : state_.first_truth;
    const CoreSnapshot stored(state_.entry.snapshot), reader(state_.reader_snapshot);
    if (world_.protocol.check(slots_, start_, StampOf(state_.entry, at), stored.snapshot, reader.snapshot,
                              For(world_.reader_of)) != StampCheck::kValid) {
      counts_.misses++;
      return;
    }
    if (at + 1 < stamps_) {
      state_.reader++;
      state_.first_truth = first_truth;
      Push();
      return;
    }
    // Right is what computing at any moment of the check would have given: rows by the snapshot, so the same all the
    // time, and the truncations so far, which only become more.
    counts_.hits++;
    const uint8_t last_truth = Compute(state_.reader_snapshot, world_.reader_of);
    if ((first_truth & ~state_.entry.value) != 0 || (state_.entry.value & ~last_truth) != 0) counts_.wrong++;
  }

  const World world_;
  const Xid start_;
  bool locks_ = false;
  bool watches_ = false;
  bool bound_ = false;
  int stamps_ = 1;

  State from_;   // whose successors are being found
  State state_;  // the successor in the making; its slots are in slots_
  StampSlot slots_[kSlots] = {};
  int actor_ = -1;
  int races_ = 0;
  std::vector<std::pair<int, int>> script_;  // choice, of how many
  size_t script_at_ = 0;

  StateSet seen_;
  std::vector<Packed> todo_;
  Counts counts_;
};

}  // namespace

Protocol ShippedProtocol() {
  // StampTable keeps `start` by reference; each call makes it anew.
  return {[](StampSlot *slots, Xid start, uint32_t slot, const Transactions &transactions) noexcept {
            std::atomic<Xid> begin{kNoXid};
            StampTable table(slots, kSlots, &begin);
            table.Begin(start);
            (void)table.Register(slot, transactions);
          },
          [](StampSlot *slots, Xid start, Stamp *stamp, const Snapshot &snapshot,
             const Transactions &transactions) noexcept {
            std::atomic<Xid> begin{kNoXid};
            StampTable table(slots, kSlots, &begin);
            table.Begin(start);
            return table.Settle(stamp, snapshot, transactions);
          },
          [](StampSlot *slots, Xid start, const Stamp &stamp, const Snapshot &stored, const Snapshot &reader,
             const Transactions &transactions) noexcept {
            std::atomic<Xid> begin{kNoXid};
            StampTable table(slots, kSlots, &begin);
            table.Begin(start);
            return table.Check(stamp, stored, reader, transactions);
          }};
}

Counts Explore(const World &world) { return Explorer(world).Run(); }

}  // namespace model
}  // namespace aggcache
