// One session computes a result, the others wait for it.
//
// A flight is a place in a fixed table, chosen by the hash of the key and of what else decides how long the computation
// takes and whether its result is stored: the settings of the planner and the cache that differ from the defaults. So
// nobody waits for a session that has made its own queries slow. Two flights that meet in one place just do not wait
// for each other. Each place has a spinlock over its fields and a condition variable that followers sleep on.
//
// A follower waits at most aggcache.wait_timeout, however many leaders it waits for, and answers interrupts. It may
// hold locks and a transaction id; every few milliseconds it looks whether anyone waits for what it holds, and leaves
// the flight if so. It leads no flight itself. So no wait here can be part of a deadlock that lasts: docs/internals.md.
//
// A flight that lands nothing would make a queue of its followers, so they all compute at once. Beside the flights is a
// table of what was computed last without being stored: for that there is no flight until a session has stored it.

#ifndef AGGCACHE_PG_CALL_SINGLE_FLIGHT_H
#define AGGCACHE_PG_CALL_SINGLE_FLIGHT_H

#include "pg/base/server.h"

namespace aggcache {

Size FlightTableBytes();
void AttachFlightTable(void *memory, bool fresh);

// Hashes of a key, of it under this session's settings, and of both under its kind of snapshot: one that is as old as
// the transaction may keep a result from being stored that others store.
struct FlightId {
  uint64_t key_hash;
  uint64_t hash;
  uint64_t outcome;
};

FlightId FlightOf(uint64_t key_hash);

enum class Boarding : uint8_t {
  kLeader,  // compute, then call EndFlight
  kStored,  // another session has stored a result meanwhile: look again
  kAlone,   // compute without telling others
};

// Becomes the leader, or waits for the one that is. *waited tells whether it slept.
Boarding BoardFlight(const FlightId &id, bool *waited);

// How many flights of this key have ended, or of one with the same place: if that has not changed since a look-up,
// nobody has stored under the key since, unless without a flight.
uint64_t CountFlights(uint64_t key_hash);

// Whether others wait for this session's flight, the innermost if calls nest.
bool OthersWait();

enum class Ending : uint8_t {
  kStored,
  kNotStored,  // there is a result, or an error, that others would get too: they compute, each for itself
  kAbandoned,  // something happened to this session: one of the others leads
};

// Ends this session's flight, the innermost if calls nest.
void EndFlight(Ending ending);

// Ends every flight of this session: a transaction or the session ends. Harmless when there is none.
void AbandonFlights();

// Remembers whether a computation, with or without a flight, has stored its result.
void NoteOutcome(const FlightId &id, bool stored);

}  // namespace aggcache

#endif
