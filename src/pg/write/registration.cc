// Slots have no lock: who finds one taken tries again, after a sleep on the latch. State: the tags that this
// transaction has left for later.

#include "pg/base/server.h"

#include "pg/write/registration.h"

#include "pg/base/settings.h"
#include "pg/base/shared.h"
#include "pg/base/transactions.h"

extern "C" {
#include "utils/wait_event.h"
}

namespace aggcache {

namespace {

constexpr long kLongestWaitMs = 100;

List *deferred = NIL;  // uint64_t *; in TopTransactionContext

// Sleeps as who waits for a spinlock does: a millisecond at first, then longer.
void WaitForSlot(long *delay_ms) {
  (void)WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, *delay_ms, PG_WAIT_EXTENSION);
  ResetLatch(MyLatch);
  CHECK_FOR_INTERRUPTS();
  *delay_ms = Min(*delay_ms * 2, kLongestWaitMs);
}

#ifdef AGGCACHE_DEBUG
bool SkipsRegistration() { return settings::debug_skip_registration; }
#else
bool SkipsRegistration() { return false; }
#endif

}  // namespace

void RegisterSlot(uint32_t slot) {
  BeginStamps();
  for (long delay_ms = 1; !shared::stamps.Register(slot, WriterTransactions());) WaitForSlot(&delay_ms);
}

void RegisterTags(const uint64_t *tags, int count) {
  if (count == 0 || SkipsRegistration()) return;
  BeginStamps();
  Transactions transactions = WriterTransactions();
  for (int i = 0; i < count; i++) {
    shared::stamps.Prefetch(shared::stamps.SlotOf(tags[i]));
    shared::stamps.Prefetch(shared::stamps.AlternativeSlotOf(tags[i]));
  }
  for (int i = 0; i < count; i++) {
    const uint32_t slots[] = {shared::stamps.SlotOf(tags[i]), shared::stamps.AlternativeSlotOf(tags[i])};
    for (uint32_t slot : slots)
      if (!shared::stamps.Register(slot, transactions)) RegisterSlot(slot);
  }
}

void RegisterTagOrDefer(uint64_t tag) {
  if (SkipsRegistration()) return;
  BeginStamps();
  Transactions transactions = WriterTransactions();
  if (shared::stamps.Register(shared::stamps.SlotOf(tag), transactions) &&
      shared::stamps.Register(shared::stamps.AlternativeSlotOf(tag), transactions))
    return;
  MemoryContext outer = MemoryContextSwitchTo(TopTransactionContext);
  auto *kept = static_cast<uint64_t *>(palloc(sizeof(uint64_t)));
  *kept = tag;
  deferred = lappend(deferred, kept);
  MemoryContextSwitchTo(outer);
}

void RegisterDeferred() {
  // One that an interrupt leaves is still there for who goes on after an error was caught.
  while (deferred != NIL) {
    RegisterTags(static_cast<uint64_t *>(llast(deferred)), 1);
    deferred = list_delete_last(deferred);
  }
}

bool HasDeferred() { return deferred != NIL; }

void ForgetDeferred() { deferred = NIL; }

void ExpireTag(uint64_t tag) {
  if (RecoveryInProgress()) return;  // nothing has been stored
  for (long delay_ms = 1; !shared::stamps.Expire(tag);) WaitForSlot(&delay_ms);
}

}  // namespace aggcache
