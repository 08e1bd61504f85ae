// Programs: what one row of a table contributes to a query that can be kept current (core/ledger.h).
//
// A query that can be kept reads one table, is restricted by expressions of its rows and of parameters, groups by some,
// and shows nothing but aggregates and groups, or expressions over these. Writers evaluate the program on rows that
// they change, so all that it holds can raise no error and means the same to everybody (watch/predicates.h).
//
// The program is a text, a tree of nodes, in the catalog aggcache.program, for the function that has it; writers look
// it up by its id, which a ledger names. A reader makes it anew from its own analysis. Where the two differ nobody
// keeps anything for the ledger, and it is given up.

#ifndef AGGCACHE_PG_KEEP_PROGRAM_H
#define AGGCACHE_PG_KEEP_PROGRAM_H

#include "pg/base/server.h"

#include "core/contribution.h"
#include "pg/body/definition.h"
#include "pg/keep/aggregates.h"

namespace aggcache {

struct Program {
  uint64_t id[2];  // the first bytes of the SHA-256 of the text, with the server's major version before it
  const char *text;
  bool may_fail;     // on a row: what it computes is one of PostgreSQL's own functions then
  List *conditions;  // of rows; implicitly ANDed
  List *groups;      // expressions
  bool has_values;   // some aggregate rests on its values (values.h)
  int aggregate_count;
  KeptAggregate *aggregates;
  ContributionShape shape;  // the first field is the number of rows
  uint32_t words;           // of a group
};

// What the query is about, through views: its columns are those of relation 1.
struct KeptParts {
  Oid relation;      // a table; InvalidOid: it is about something else
  List *conditions;  // implicitly ANDed
  List *groups;
  List *aggregates;  // Aggref
};

// The program of a definition's query, in the current memory context, or NULL; then *why says in words what is in the
// way. `query` is the definition's, with the groups as they were written.
const Program *MakeProgram(const Definition *definition, const Query *query, const KeptParts &parts, const char **why);

// The program that a text stands for, in the current memory context; NULL if the relation is not what it was.
Program *ReadProgram(const char *text, Relation relation);

// The groups and aggregates of the query, not normalised, as they stand in its target list: a list of expressions each.
void FindKeptParts(const Query *query, List **groups, List **aggregates);

}  // namespace aggcache

#endif
