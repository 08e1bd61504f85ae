// What results are called in Redis, so that an operator can tell whose they are:
//
//   prefix:system identifier:database oid:boot:function oid:schema.function:hash of the key
//   aggcache:7301234567890123456:16384:9f86d081884c7d65:16401:public.cached_dept_workload:0123456789abcdef
//
// `boot` is another one after every start of the server, and in a copy of it, so that what was stored before is never
// asked for. The name is that of the function when it was analysed, for people only. The value holds the whole key,
// which is compared.

#ifndef AGGCACHE_PG_REDIS_NAMES_H
#define AGGCACHE_PG_REDIS_NAMES_H

#include "pg/base/server.h"

#include "pg/body/definition.h"
#include "pg/redis/settings.h"

namespace aggcache {

// The prefix, twice 63 bytes of schema and function, numbers.
struct RedisName {
  char text[512];
  size_t size;
};

// The name of the result of the call whose key has this hash.
void NameResult(const Definition *definition, uint64_t key_hash, RedisName *name);

// Makes it the name of another result of the same function.
void RenameResult(uint64_t key_hash, RedisName *name);

// A pattern for all results of a function, whatever its name was, of this boot; InvalidOid: of all functions of the
// database.
void NameResults(Oid function, RedisName *pattern);

// Of a name that fits a pattern of NameResults: the function, and the hash of the key. InvalidOid, 0: it is no such
// name.
Oid FunctionInName(const char *text, size_t size);
uint64_t HashInName(const char *text, size_t size);

}  // namespace aggcache

#endif
