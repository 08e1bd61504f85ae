// A definition is what this session knows of one cached function in one environment: its analysed body with hidden
// parameters taken out, its fingerprint, its relations, its result's shape, and, where it cannot be cached, why.
//
// Definitions belong to the session and hold no locks: whoever executes the body locks its relations and then asks
// again whether the definition is still valid. analysis.h makes them; definition_cache.h keeps those that are called
// until something they depend on changes.

#ifndef AGGCACHE_PG_BODY_DEFINITION_H
#define AGGCACHE_PG_BODY_DEFINITION_H

#include "pg/base/server.h"

#include "pg/base/reasons.h"
#include "pg/base/settings.h"
#include "pg/body/environment.h"
#include "pg/facts/names.h"

namespace aggcache {

// A maximal expression that reads no column and is not IMMUTABLE: evaluated at each call; its value joins the key. Of
// one that shows the clock, what does not is a hidden parameter too.
struct HiddenParameter {
  Expr *expression;   // planned, unless at the call
  bool plan_at_call;  // planning replaces something by its value of the moment
  Oid type;
  int16 length;
  bool by_value;
  bool condition;  // no part of the body: whether the arguments round the clock (clock.h)
  bool clock;      // shows the clock directly, so it never repeats; given in terms of earlier ones
  bool can_fail;   // evaluating it may raise an error
};

struct ResultChecks;

// How a function returns its result.
struct ResultShape {
  Oid type;
  bool returns_set;
  bool returns_tuple;  // whole rows, not one column
  int16 length;        // of a scalar
  bool by_value;
  TupleDesc
      descriptor;     // of rows; for a set of scalars one column; reference-counted as blessed, lives in the definition
  uint64_t row_type;  // fingerprint of all that decides how a result lies in memory
  const ResultChecks *checks;  // what is checked of bytes that come from Redis (wellformed.h)
};

enum class SourceRole : uint8_t {
  kNamed,     // the body reads it, or a view or a function in it does
  kPart,      // below a named one: a partition, or a child that inherits
  kAncestor,  // a partitioned table above a named one; writes that go through it may reach the named one
  kRowType,   // not read, but a row type that results or arguments are of
};

// Who reads a relation, and so what tells which of its rows count. The greater prevails.
enum class ReadBy : uint8_t {
  kCachedFunction,  // only cached functions that the body calls: their results bring their tags along
  kBody,            // planning shows which rows
  kFunction,        // functions into which planning does not look: all rows
};

inline bool IsRead(SourceRole role) { return role == SourceRole::kNamed || role == SourceRole::kPart; }

// A relation that the body depends on.
struct SourceRelation {
  Oid relation;
  bool tracked;          // verified through the relcache; never of a view or an ancestor
  const char *obstacle;  // why not, in words
  SourceRole role;
  ReadBy read_by;
  bool partitioned;    // holds no rows itself
  int column_count;    // of a named one
  uint64_t structure;  // hash of what its columns were
  Oid root;            // of a part or ancestor: the named relation
};

// Invalidation of a syscache row that the definition depends on.
struct CatalogDependency {
  int cache;
  uint32 hash;
};

// Other characters of names in keys are written as "?": they might be read as a pattern, or as a hash tag of Redis
// Cluster.
constexpr char kPlainKeyCharacters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.:/";

// Whether clauses show more of a body if the tables of its WITH clauses are opened for planning (dependencies.cc).
enum class Opening : uint8_t { kUnknown, kShowsMore, kShowsNothing };

struct Definition {
  Definition *next;  // of the same function
  MemoryContext context;
  Oid function;
  const Definition *caller;  // whose analysis needs this one; NULL for those that are called
  const char *name;          // qualified if need be, for messages
  const char *key_name;      // schema and name, alike in all sessions, for keys in Redis
  Oid collation;
  bool fixed_types;  // neither arguments nor result are polymorphic or of a type that the call decides
  int argument_count;
  Oid *argument_types;
  int16 *argument_lengths;
  bool *argument_by_value;

  bool valid;
  int pins;
  Environment environment;
  bool has_row_security;

  const char *source;  // text of the body
  Query *query;        // functions inlined, hidden parameters as $n+1 …
  int hidden_count;
  HiddenParameter *hidden;
  bool hidden_can_fail;
  bool hidden_built_in;  // they call built-in functions only, on values of built-in types
  bool reads_clock;
  bool shows_clock;  // the result may: of a function that hides what it does, too, and of those that it calls
  bool reads_settings;
  bool reads_names;          // labels of enums and the like: results rest on the tag of names (catalog_commits.h)
  bool shows_columns;        // names of columns are part of what is computed
  bool opaque;               // runs functions that cannot be seen through: all that they can notice joins the key
  bool hides_privileges;     // the privileges of others than the caller count, or it cannot be told whose
  bool calls_functions;      // runs functions that the plan does not show
  List *opaque_functions;    // Oids of those for which nothing states what they read
  List *argument_relations;  // Oids, read by hidden parameters that depend on arguments; only if there is a caller
  List *hidden_originals;    // the hidden parameters' expressions as they were written
  List *order_shows;         // Oids of relations of which any change can change the order of rows that the answer shows
  uint64_t fingerprint[2];

  int relation_count;
  SourceRelation *relations;
  int catalog_count;
  CatalogDependency *catalogs;
  NameSet names;
  List *permission_queries;  // Query nodes whose relations' privileges a caller needs
  List *functions;           // Oids whose EXECUTE privilege a caller needs
  List *executed_queries;    // Query nodes that running the body executes, as far as the caller's privileges count
  PlannedStmt *empty_plan;   // over their relations; made by privileges.cc when it is needed

  ResultShape result;
  Oid row_relation;      // whose row type the result is of, if it is no type by itself; or InvalidOid
  const char *obstacle;  // why the function is not cached, in words; NULL when it is

  mutable Opening opening;               // found at the first miss
  mutable const struct KeptState *kept;  // of keep/kept_state.h, made when it is needed
  uint64_t permitted_epoch;              // of privileges.h, when the role's privileges were found to suffice
};

// A refusal at creation, with its SQLSTATE; `primary` is NULL if there is none.
struct Refusal {
  int sqlstate = 0;
  const char *primary = nullptr;
  const char *detail = nullptr;
  const char *hint = nullptr;
};

// What in the settings keeps calls of the function from being cached.
inline Obstacle FindObstacleInSettings(const Definition *definition) {
  if (!settings::enabled) return Because(Reason::kDisabled);
  if (definition->reads_clock && settings::ttl_ms == 0) return Because(Reason::kClockWithoutTtl);
  return Because(Reason::kNone);
}

// Whether the definition, found earlier, is good for a call now.
inline bool IsCurrentDefinition(const Definition *definition) {
  return definition->valid && IsCurrentEnvironment(definition->environment);
}

}  // namespace aggcache

#endif
