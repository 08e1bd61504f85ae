// The lock is one of PostgreSQL's lock table, on an object that does not exist; it goes with the transaction. State:
// whether this transaction needs it.

#include "pg/base/server.h"

#include "pg/write/catalog_commits.h"

#include "core/tag.h"

extern "C" {
#include "catalog/pg_auth_members.h"
}

namespace aggcache {

namespace {

bool changed = false;  // by this transaction

// A lock that nothing of PostgreSQL's takes: there is no function with this oid.
LOCKTAG CommitLock() {
  LOCKTAG tag;
  SET_LOCKTAG_OBJECT(tag, MyDatabaseId, ProcedureRelationId, InvalidOid, 0);
  return tag;
}

// Roles and their memberships belong to no database.
LOCKTAG SharedCommitLock() {
  LOCKTAG tag;
  SET_LOCKTAG_OBJECT(tag, InvalidOid, AuthMemRelationId, InvalidOid, 0);
  return tag;
}

bool IsLockFree(const LOCKTAG &tag) {
  if (LockAcquire(&tag, ShareLock, false, true) == LOCKACQUIRE_NOT_AVAIL) return false;
  LockRelease(&tag, ShareLock, false);
  return true;
}

}  // namespace

uint64_t NamesTag() { return WideTag(MyDatabaseId, ProcedureRelationId); }
uint64_t RolesTag() { return WideTag(InvalidOid, AuthMemRelationId); }

void NoteChangedCatalogs() { changed = true; }

void AnnounceCommitOfCatalogs() {
  if (!changed) return;
  LOCKTAG tags[] = {CommitLock(), SharedCommitLock()};
  for (const LOCKTAG &tag : tags) (void)LockAcquire(&tag, RowExclusiveLock, false, false);
}

void ForgetChangedCatalogs() { changed = false; }

bool CatalogsAreSettled() {
  if (!IsLockFree(CommitLock()) || !IsLockFree(SharedCommitLock())) return false;
  AcceptInvalidationMessages();
  return true;
}

}  // namespace aggcache
