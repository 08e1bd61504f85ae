// What a result that is being computed rests on besides what its own plan shows: the results of cached functions that
// its body calls.
//
// While a body runs, a call within it adds the slots of the entry that it hit, or of what it computed, to the innermost
// collection; the outer result is stored with them, settled under its own snapshot, which is theirs too. What cannot be
// added (a call that did not use the cache, a stale hit, another snapshot) spoils the collection: the outer result is
// not stored. Collections nest as calls do, and belong to the session.

#ifndef AGGCACHE_PG_CALL_COLLECTION_H
#define AGGCACHE_PG_CALL_COLLECTION_H

#include "pg/base/server.h"

#include "core/stamp.h"
#include "pg/watch/dependencies.h"

namespace aggcache {

struct Collection {
  Collection *outer;
  ::Snapshot snapshot;    // that the result is computed under
  MemoryContext context;  // of the computation
  Stamp *stamps;
  int count;
  int limit;
  int64_t expires_at;   // the earliest end of what was used; 0 = none
  const char *spoiled;  // why the result must not be stored, or NULL; static text or `text`
  char text[256];
};

// The innermost, or NULL: nothing is being computed.
Collection *InnermostCollection();

// At the end of a transaction.
void ForgetCollections();

// Begins one. *own must live until EndCollection, DropCollection or, by who catches an error, DropCollections.
void BeginCollection(Collection *own, ::Snapshot snapshot, MemoryContext context);

// Ends the innermost. If it lies in another, its result with the given slots is part of what that one rests on.
void EndCollection(Collection *own, const Stamp *stamps, int count, int64_t expires_at);

// Ends the innermost, of which nothing is used.
void DropCollection(Collection *own);

// Ends all that lie in `outer` (InnermostCollection() before they began), which is spoiled by the error that ended
// them.
void DropCollections(Collection *outer);

// Spoils the innermost, if there is one.
void SpoilCollection(Oid function, const char *why);

// Makes room for that many more stamps in the innermost. May raise an error.
void ReserveStamps(int count);
bool HasRoomForStamps(int count);

// The place in the innermost for so many stamps of a result that is used, which the caller fills. REQUIRES: there is
// one, with room for them.
Stamp *PlaceForStamps(int count);

// Adds to the innermost, if there is one, a result that was found under the snapshot.
void CollectFound(::Snapshot snapshot, int64_t expires_at);

// All slots that a result rests on, each once, in the current memory context: its own, those of catalogs that it
// depends on as a whole, and those collected.
int AllStamps(const Definition *definition, const Dependencies &dependencies, Collection *own, Stamp **stamps);

}  // namespace aggcache

#endif
