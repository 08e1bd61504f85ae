// The relations that a definition depends on: what the body and the functions in it read, with the partitions, children
// and partitioned tables around it.

#ifndef AGGCACHE_PG_BODY_SOURCES_H
#define AGGCACHE_PG_BODY_SOURCES_H

#include "pg/base/server.h"

#include "pg/body/definition.h"

namespace aggcache {

// Adds what a tree depends on as it stands: Oids of relations, and PlanInvalItem for rows of catalogs.
void ExtractDependencies(Query *query, List **relations, List **items, bool *row_security_used);

// Adds relations that are read so; one that is there already is read by the one that prevails.
void AddRelations(Definition *definition, List *oids, ReadBy read_by);

// Adds what is below and above the relations that are there. Called once, after all that are read have been added.
void AddPartsAndAncestors(Definition *definition);

// Adds a relation that is not read but whose row type is: a change of the table changes it.
void AddRowType(Definition *definition, Oid relation);

// Whether the columns of what the body reads are still what they were when it was analysed, so that the analysed body
// can be run although the definition is not valid any more. Columns may have been added. Returns NULL, or the name of a
// relation that has changed or is gone. REQUIRES: locks on the named relations.
const char *FindChangedSource(const Definition *definition);

// Whether the parts that the definition knows are those that pg_inherits has now and that planning in this session
// would use; a plan made otherwise lacks rows that its snapshot sees. REQUIRES: locks on the named relations.
bool ArePartsCurrent(const Definition *definition);

}  // namespace aggcache

#endif
