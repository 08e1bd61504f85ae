// This session's connection to Redis: sends commands, and waits for replies together with the latch, so that a cancel,
// a timeout or the end of the server acts at once.
//
// A command that cannot be sent, or fails, is counted, and redis/gate.h decides who may try next. No error is ever
// raised but those of interrupts.

#ifndef AGGCACHE_PG_REDIS_SESSION_H
#define AGGCACHE_PG_REDIS_SESSION_H

#include "pg/base/server.h"

#include "pg/redis/gate.h"
#include "redis/client.h"

namespace aggcache {

// Sends a command whose reply is awaited. kNoTicket: it cannot be sent now. The ticket has to be forgotten.
redis::Ticket SendToRedis(RedisUse use, const redis::Argument *arguments, int count);
// What is sent between these two goes out together, in one write to each server.
void HoldRedis();
void ReleaseRedis();
// As SendToRedis, to one master of several (redis::Client::SubmitTo).
redis::Ticket SendToRedisMaster(int master, RedisUse use, const redis::Argument *arguments, int count);
// How many masters there are; waits until that is known. 0: Redis cannot be asked now.
int CountRedisMasters();

// Waits for the reply; NULL: there is none. It is good until the ticket is forgotten. If an interrupt raises an error,
// the ticket is forgotten first.
const redis::Reply *AwaitRedis(redis::Ticket ticket);
void ForgetRedis(redis::Ticket ticket);

// Sends a command without waiting for its reply, unless not all of it can be sent at once: then the reply is the first
// sign that it has arrived. Returns NULL, or in words why it is known not to have been done.
const char *PostToRedis(RedisUse use, const redis::Argument *arguments, int count);
// Waits until Redis has answered all that was sent.
void AwaitAllOfRedis();

// Closes this session's connections, which are made anew when they are needed: what came was not the reply to what was
// asked, so the others might not be either. Commands on their way are lost.
void DistrustRedis();

}  // namespace aggcache

#endif
