/*
 * One blocking GET by hiredis on a connection that stays open: what any function that asks Redis for something must at
 * least cost. Nothing is done with the value; only its length is returned.
 *
 * The Unix socket and the database are the settings bench.redis_socket and bench.redis_database. Waiting cannot be
 * interrupted, and an error of Redis is an error of the query: this is no model for anything.
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/guc.h"

#include <hiredis/hiredis.h>

PG_MODULE_MAGIC;

static redisContext *connection = NULL;

static void
open_connection(void)
{
	redisReply *reply;

	connection = redisConnectUnix(GetConfigOption("bench.redis_socket", false, false));
	if (connection == NULL || connection->err != 0)
		elog(ERROR, "could not connect to Redis: %s", connection ? connection->errstr : "out of memory");
	reply = redisCommand(connection, "SELECT %s", GetConfigOption("bench.redis_database", false, false));
	if (reply == NULL || reply->type == REDIS_REPLY_ERROR)
		elog(ERROR, "could not select the database of Redis: %s", reply ? reply->str : connection->errstr);
	freeReplyObject(reply);
}

/* The length of the value of a key. */
PG_FUNCTION_INFO_V1(redis_get);

Datum
redis_get(PG_FUNCTION_ARGS)
{
	text	   *key = PG_GETARG_TEXT_PP(0);
	redisReply *reply;
	int32		length;

	if (connection == NULL)
		open_connection();
	reply = redisCommand(connection, "GET %b", VARDATA_ANY(key), (size_t) VARSIZE_ANY_EXHDR(key));
	if (reply == NULL || reply->type != REDIS_REPLY_STRING)
		elog(ERROR, "there is no value: %s", reply ? "no such key" : connection->errstr);
	length = (int32) reply->len;
	freeReplyObject(reply);
	PG_RETURN_INT32(length);
}
