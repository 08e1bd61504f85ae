// For one appearance: by the keys that count in every case, then with each of those that arguments may leave out, with
// all of these, and with each key of a policy; within the limits below. Keeps no state.

#include "pg/base/server.h"

#include "pg/watch/proposals.h"

#include "pg/watch/clauses.h"
#include "pg/watch/dependencies.h"
#include "pg/watch/narrowing.h"
#include "pg/watch/predicates.h"

extern "C" {
#include "rewrite/rowsecurity.h"
}

namespace aggcache {

namespace {

// For one appearance of a relation: each watch costs every writer.
constexpr int kMostProposals = 8;
constexpr int kMostRangeColumns = 2;
constexpr int kMostJoinKeys = 2;

// What all watches of one appearance share.
struct Pattern {
  Relation relation;
  bool all_columns;
  Bitmapset *columns;
  List *predicate;
  List **proposals;
  int count;    // proposed for this appearance
  bool joined;  // for values that come from joins
};

bool IsHashable(Relation relation, AttrNumber column) {
  KeyColumn description;
  return DescribeKeyColumn(relation, column, &description, CurrentMemoryContext);
}

bool IsProposed(const List *proposals, Oid relation, uint64_t id) {
  ListCell *cell;
  foreach (cell, proposals) {
    auto *proposal = static_cast<WatchProposal *>(lfirst(cell));
    if (proposal->relation == relation && proposal->watch.id == id) return true;
  }
  return false;
}

// Adds one watch, unless it says nothing, is there, or there are too many.
void Propose(Pattern *pattern, const Bitmapset *keys, AttrNumber range_column) {
  auto *proposal = static_cast<WatchProposal *>(palloc0(sizeof(WatchProposal)));
  proposal->relation = RelationGetRelid(pattern->relation);
  proposal->joined = pattern->joined;
  Watch *watch = &proposal->watch;
  int column = -1;
  while ((column = bms_next_member(keys, column)) >= 0 && watch->key_count < kMostKeyColumns)
    watch->keys[watch->key_count++] = static_cast<AttrNumber>(column);
  if (range_column) {
    watch->range_column = range_column;
    watch->range_width = CellWidthOf(pattern->relation, range_column);
  }
  watch->all_columns = pattern->all_columns;
  watch->columns = pattern->columns;
  watch->predicate = pattern->predicate;
  // What the table tag tells as well.
  if (watch->key_count == 0 && range_column == 0 && watch->all_columns && watch->predicate == NIL) return;
  IdentifyWatch(watch);
  if (pattern->count >= kMostProposals || IsProposed(*pattern->proposals, proposal->relation, watch->id)) return;
  pattern->count++;
  *pattern->proposals = lappend(*pattern->proposals, proposal);
}

// Proposes a watch by these keys for each of the range columns, or one without.
void ProposeKeys(Pattern *pattern, const Bitmapset *keys, const Bitmapset *ranges) {
  int proposed = 0, column = -1;
  while ((column = bms_next_member(ranges, column)) >= 0 && proposed < kMostRangeColumns) {
    if (bms_is_member(column, keys)) continue;
    Propose(pattern, keys, static_cast<AttrNumber>(column));
    proposed++;
  }
  // Without a bound a range watch serves as one without range column.
  if (proposed == 0) Propose(pattern, keys, 0);
}

// Those of the columns that a watch can have as keys.
Bitmapset *OnlyHashable(Relation relation, const Bitmapset *columns) {
  Bitmapset *result = nullptr;
  int column = -1;
  while ((column = bms_next_member(columns, column)) >= 0)
    if (IsHashable(relation, static_cast<AttrNumber>(column))) result = bms_add_member(result, column);
  return result;
}

// What row security compares. The policies are not in the plan of a role that is exempt from them, and that is mostly
// the one that creates functions; callers are not.
ClauseColumns PolicyColumns(Relation relation, Bitmapset **used) {
  ClauseColumns columns = {nullptr, nullptr, nullptr};
  *used = nullptr;
  if (!relation->rd_rel->relrowsecurity || relation->rd_rsdesc == nullptr) return columns;
  Bitmapset *offset = nullptr;
  ListCell *cell;
  foreach (cell, relation->rd_rsdesc->policies) {
    auto *policy = static_cast<RowSecurityPolicy *>(lfirst(cell));
    if ((policy->polcmd != '*' && policy->polcmd != ACL_SELECT_CHR) || policy->hassublinks || policy->qual == nullptr)
      continue;
    Node *condition = reinterpret_cast<Node *>(policy->qual);
    ClauseColumns found = FindColumns(condition, 1);
    columns.keys = bms_union(columns.keys, bms_union(found.keys, found.optional));
    columns.ranges = bms_union(columns.ranges, found.ranges);
    pull_varattnos(condition, 1, &offset);
  }
  int member = -1;
  while ((member = bms_next_member(offset, member)) >= 0)
    if (member + FirstLowInvalidHeapAttributeNumber > 0)
      *used = bms_add_member(*used, member + FirstLowInvalidHeapAttributeNumber);
  return columns;
}

bool HasParameterWalker(Node *node, void *) {
  if (node == nullptr) return false;
  if (IsA(node, Param)) return true;
  return compat::WalkExpression(node, HasParameterWalker, nullptr);
}

}  // namespace

void AddProposals(const Planned &planned, const Appearance &seen, List **proposals) {
  Pattern pattern = {
      table_open(seen.relation, NoLock), seen.uses_all || seen.shows_order, seen.columns, NIL, proposals, 0, false};
  RelOptInfo *rel = seen.rel;
  ClauseColumns columns = {nullptr, nullptr, nullptr};
  ListCell *cell;
  foreach (cell, rel->baserestrictinfo) {
    Node *clause = reinterpret_cast<Node *>(lfirst_node(RestrictInfo, cell)->clause);
    // What no argument decides is the same for all calls, so rows that fail it need no tag at all.
    if (!HasParameterWalker(clause, nullptr) && IsConstantPredicate(clause, rel->relid)) {
      pattern.predicate = lappend(pattern.predicate, NormaliseClause(clause, rel->relid));
      continue;
    }
    ClauseColumns found = FindColumns(clause, rel->relid);
    columns.keys = bms_union(columns.keys, found.keys);
    columns.optional = bms_union(columns.optional, found.optional);
    columns.ranges = bms_union(columns.ranges, found.ranges);
  }
  int natts = RelationGetNumberOfAttributes(pattern.relation);
  if (!pattern.all_columns && bms_num_members(pattern.columns) == natts) pattern.all_columns = true;
  if (pattern.all_columns) pattern.columns = nullptr;

  const WantedColumns joined = FindJoinColumns(planned, seen);
  Bitmapset *keys = OnlyHashable(pattern.relation, columns.keys);
  Bitmapset *optional = bms_difference(OnlyHashable(pattern.relation, columns.optional), keys);
  Bitmapset *ranges = columns.ranges ? columns.ranges : joined.ranges;
  pattern.joined = columns.ranges == nullptr && joined.ranges;
  ProposeKeys(&pattern, keys, ranges);
  // Arguments that may be left out: one of them given, and all.
  int column = -1;
  while ((column = bms_next_member(optional, column)) >= 0)
    ProposeKeys(&pattern, bms_add_member(bms_copy(keys), column), ranges);
  if (bms_num_members(optional) > 1) ProposeKeys(&pattern, bms_union(keys, optional), ranges);
  // What joins tell in addition: the values of a column may turn out to be too many.
  Bitmapset *more = bms_difference(OnlyHashable(pattern.relation, joined.keys), bms_union(keys, optional));
  int proposed = 0;
  pattern.joined = true;
  column = -1;
  while ((column = bms_next_member(more, column)) >= 0 && proposed < (keys ? 1 : kMostJoinKeys)) {
    ProposeKeys(&pattern, bms_add_member(bms_copy(keys), column), ranges);
    proposed++;
  }

  Bitmapset *used;
  ClauseColumns policies = PolicyColumns(pattern.relation, &used);
  Pattern secured = pattern;
  secured.count = 0;
  secured.joined = false;
  secured.columns = bms_union(secured.columns, used);
  if (!secured.all_columns && bms_num_members(secured.columns) == natts) secured.all_columns = true;
  if (secured.all_columns) secured.columns = nullptr;
  column = -1;
  while ((column = bms_next_member(policies.keys, column)) >= 0)
    if (IsHashable(pattern.relation, static_cast<AttrNumber>(column)))
      ProposeKeys(&secured, bms_add_member(bms_copy(keys), column), bms_union(ranges, policies.ranges));
  table_close(pattern.relation, NoLock);
}

}  // namespace aggcache
