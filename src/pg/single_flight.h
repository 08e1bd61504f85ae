// One session computes a result, the others wait for it.
//
// A flight is a place in a fixed table, chosen by the key's hash; two keys that meet in one place just do not wait for
// each other. Each place has a spinlock over its fields and a condition variable that followers sleep on. A follower
// waits at most aggcache.wait_timeout, answers interrupts, and never waits while it holds a transaction id or any lock
// that a leader could be waiting for: so no wait here can be part of a deadlock.

#ifndef AGGCACHE_PG_SINGLE_FLIGHT_H
#define AGGCACHE_PG_SINGLE_FLIGHT_H

#include "pg/server.h"

namespace aggcache {

struct FlightTable;

Size FlightTableBytes();
void InitFlightTable(FlightTable *table);

enum class Boarding : uint8_t {
  kLeader,  // compute, then call EndFlight
  kLanded,  // another session's computation ended meanwhile: look again
  kFailed,  // another session's computation failed or its session ended: board again
  kAlone,   // compute without telling others
};

// Becomes the leader for this key, or waits for the one that is. *waited tells whether it slept.
Boarding BoardFlight(uint64_t key_hash, bool *waited);

// How many flights have ended in this key's place: if that has not changed since a look-up, nobody has stored under the
// key since, unless without a flight.
uint64_t CountFlights(uint64_t key_hash);

// Whether others wait for this session's flight, the innermost if calls nest.
bool OthersWait();

// Ends this session's flight, the innermost if calls nest.
void EndFlight(bool stored);

// Ends every flight of this session: a transaction or the session ends. Harmless when there is none.
void AbandonFlights();

}  // namespace aggcache

#endif
