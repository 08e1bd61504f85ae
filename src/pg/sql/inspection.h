// Looking at a cached function from outside of a call, for views and administration.
//
// Analysing a body can run code: functions that are IMMUTABLE are evaluated while planning. So it is done as the
// function's owner, in a security-restricted operation, and with a search path that the viewer cannot bend; and in a
// subtransaction, so that what is wrong with a function is told instead of raised. Who may only call a function looks
// at it as a call would. Neither runs the code of a third.

#ifndef AGGCACHE_PG_SQL_INSPECTION_H
#define AGGCACHE_PG_SQL_INSPECTION_H

#include "pg/base/server.h"

#include "pg/body/definition.h"

namespace aggcache {

// What of a function's catalog row is needed here.
struct FunctionRow {
  bool found;
  bool cached;       // of language cached_sql
  bool polymorphic;  // its types are known at the call only
  bool strict;
  bool definer;  // SECURITY DEFINER
  Oid owner;
  ArrayType *config;  // proconfig, or NULL
};
FunctionRow ReadFunctionRow(Oid function);

enum class ActAs : uint8_t {
  kOwner,   // with the session's search path if the role could become the owner, else with the owner's own
  kCaller,  // as a call of it runs: the owner if it is SECURITY DEFINER
};

// As whom the current role looks at a function that it may call: as the owner if it has the owner's privileges.
ActAs ActAsFor(const FunctionRow &function);

enum class Afterwards : uint8_t {
  kForget,  // the subtransaction is rolled back, and locks are waited for only briefly: for views
  kUndo,    // the subtransaction is rolled back, and locks are waited for as ever
  kKeep,
};

// Runs work(context) in a subtransaction, with the function's SET clauses in force, and no code as somebody else's
// (own_code.h). Returns NULL, or the message of the
// error that it raised, in the current memory context; one that may hold what the owner's code has computed is told
// only to who has the owner's privileges. Cancelling, shutting down and serialization failures are raised.
const char *RunGuarded(const FunctionRow &function, ActAs act_as, Afterwards afterwards, void (*work)(void *context),
                       void *context);

// Whether the current role is shown what is known only by analysing the function.
bool MayInspect(const FunctionRow &function);

// How changes of one relation reach a function's results.
struct RelationUse {
  Oid relation;
  const char *name;  // schema-qualified and quoted; NULL if it is gone
  bool view;         // seen through
  bool tracked;
  bool called;              // only cached functions in the body read it
  const char *granularity;  // as in aggcache.dependencies
  List *columns;            // attribute numbers of the key columns of the watches that are in force for it
  AttrNumber range;         // a range column of them, or 0
  const char *watch;        // the finest of them, in words, or NULL
  const char *reason;
};
// REQUIRES: inside RunGuarded. The list (RelationUse *) is in the current memory context.
List *DescribeRelations(const Definition *definition);

// The names of use.columns, as an array of name.
ArrayType *ColumnNames(const RelationUse &use);

// "schema.name" of a relation, quoted as needed, or NULL.
const char *QualifiedRelationName(Oid relation);

// aggcache.ttl and the like out of a proconfig, as an interval; false if it is not set there.
bool ReadDuration(ArrayType *config, const char *setting, Interval **value);

Interval *MakeInterval(int64_t microseconds);

// Raises the error that tells of a missing place in shared_preload_libraries.
void RequirePreloaded();

// The function's row; raises an error unless it exists and is of language cached_sql.
FunctionRow RequireCached(Oid function);

// Raises an error unless the relation exists and the current role owns it.
void RequireTableOwner(Oid relation);
void RequireFunctionOwner(Oid function);

// Oids of the functions of language cached_sql, those that the role owns or, for InvalidOid, all.
List *CachedFunctions(Oid owner);

}  // namespace aggcache

#endif
