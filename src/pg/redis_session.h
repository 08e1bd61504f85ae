// This session's connection to Redis: sends commands, and waits for replies together with the latch, so that a cancel,
// a timeout or the end of the server acts at once.
//
// A command that cannot be sent, or fails, is counted, and the breakers that all sessions share decide who may try next
// (redis_state.h). No error is ever raised but those of interrupts.

#ifndef AGGCACHE_PG_REDIS_SESSION_H
#define AGGCACHE_PG_REDIS_SESSION_H

#include "pg/server.h"

#include "redis/client.h"

namespace aggcache {

// Whether a command needs Redis to take data: it may refuse that and still answer others. Removing is no such command.
enum class RedisUse : uint8_t { kRead, kWrite };

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

// Sends a command without waiting for its reply. False: it cannot be sent now.
bool PostToRedis(RedisUse use, const redis::Argument *arguments, int count);
// Waits until Redis has answered all that was sent.
void AwaitAllOfRedis();

// Closes this session's connections, which are made anew when they are needed: what came was not the reply to what was
// asked, so the others might not be either. Commands on their way are lost.
void DistrustRedis();

// Why Redis cannot be used, in words; NULL if it can.
const char *RedisObstacle(RedisUse use);
// Whether a command would be sent now: Redis can be used, or is due to be tried again.
bool RedisIsTried(RedisUse use);

}  // namespace aggcache

#endif
