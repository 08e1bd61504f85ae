// What the functions that a body calls on rows add to its definition, and what the user states of those that cannot be
// seen through.
//
//   language cached_sql   analysed like the body, in the environment that it would run in. While the outer result is
//                         computed, its results bring their tags along (collection.h)
//   language sql          the same, if it is a single SELECT; which rows it reads does not show, so all count
//   anything else         opaque: what it reads must be stated by SET aggcache.depends_on on the cached function

#ifndef AGGCACHE_PG_BODY_COMPOSITION_H
#define AGGCACHE_PG_BODY_COMPOSITION_H

#include "pg/base/server.h"

#include "pg/body/definition.h"

namespace aggcache {

struct Composition {
  List *relations;          // Oids, of what cached functions read
  List *whole_relations;    // Oids, of what other functions read
  List *row_types;          // Oids of relations whose row types are used
  List *items;              // PlanInvalItem: rows of catalogs that matter
  NameSet names;            // names that could come to mean something else
  List *hidden;             // hidden parameters, of the body and of what it calls
  uint64_t fingerprint[2];  // of what is called
  const char *obstacle;     // in words, or NULL
};

// The setting aggcache.depends_on of the function's row, or NULL if it has none.
const char *StatedOf(HeapTuple row);

// Adds to the definition and to *composition what the calls (Oids) and the setting aggcache.depends_on of the
// function's row bring. composition->hidden holds the body's own hidden parameters, to which others are appended.
// REQUIRES: definition->query is analysed.
void ComposeBody(Definition *definition, HeapTuple row, List *calls, Composition *composition, Refusal *refusal);

}  // namespace aggcache

#endif
