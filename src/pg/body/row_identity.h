// Whether values tell rows apart: what a query proves about the rows of its FROM, its groups and its output from unique
// indexes, equalities, GROUP BY and DISTINCT. Only what row_order.cc asks: are two rows that agree in some expressions
// the same row, so that sorting by these leaves nothing open?

#ifndef AGGCACHE_PG_BODY_ROW_IDENTITY_H
#define AGGCACHE_PG_BODY_ROW_IDENTITY_H

#include "pg/base/server.h"

namespace aggcache {

// A query within the queries that its CTEs may be of.
struct QueryLevel {
  const Query *query;
  const QueryLevel *outer;
};

// Whether values of the type that are equal are the same to see: 1.0 and 1.00 are not.
bool IsEqualTheSame(Oid type, int32 typmod, Oid collation);
bool IsEqualTheSame(Node *expression);

// A value in which two rows are known to agree, by the equality of an operator; InvalidOid: they are the same.
struct KnownValue {
  Node *expression;
  Oid equality;
};

// Adds the expressions that clauses of the query sort or group by. A list of KnownValue.
List *AddKnown(const Query *query, const List *sort_clauses, List *known);

// Which rows of a query are asked about.
enum class RowsOf : uint8_t {
  kFrom,    // of FROM and WHERE
  kGroups,  // after GROUP BY: what window functions see
  kShown,   // with their output columns, before DISTINCT
  kUncut,   // before LIMIT
  kOutput
};

// Whether rows that agree in all the values are the same, or alike in all that is shown of them.
bool TellApart(const QueryLevel &level, const List *known, RowsOf rows);

// The query of an RTE_CTE, or NULL where a recursive one reads itself; *found is its level.
const Query *FindCte(const QueryLevel &level, const RangeTblEntry *entry, QueryLevel *found);

}  // namespace aggcache

#endif
