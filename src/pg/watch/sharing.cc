// Computed by who changes what is wanted, under the lock that keeps writers out, and kept in aggcache.watch: readers
// and writers go by what is there. Keeps no state.

#include "pg/base/server.h"

#include "pg/watch/sharing.h"

#include "pg/watch/clauses.h"

#include <algorithm>

namespace aggcache {

namespace {

// The column of which the clause leaves exactly one value, and says no more than that; 0 if there is none. Its hash is
// one that nobody can replace.
AttrNumber FixedColumn(Relation relation, Node *clause) {
  const bool negates = IsA(clause, BoolExpr) && reinterpret_cast<BoolExpr *>(clause)->boolop == NOT_EXPR;
  Node *tested = negates ? static_cast<Node *>(linitial(reinterpret_cast<BoolExpr *>(clause)->args)) : clause;
  const bool is_column = IsA(tested, Var) || IsA(tested, RelabelType);
  if (!is_column && (negates || (!IsA(clause, OpExpr) && !IsA(clause, NullTest)))) return 0;
  List *columns = pull_var_clause(clause, 0);
  if (list_length(columns) != 1) return 0;
  const AttrNumber column = linitial_node(Var, columns)->varattno;
  KeyColumn key;
  ValueSet values;
  if (column <= 0 || !DescribeKeyColumn(relation, column, &key, CurrentMemoryContext) || key.rule.replaceable ||
      !RestrictsToValues(clause, 1, key, &values) || values.count + values.has_null != 1)
    return 0;
  return column;
}

bool IsKey(const Watch &watch, AttrNumber column) {
  return std::find(watch.keys, watch.keys + watch.key_count, column) != watch.keys + watch.key_count;
}

// The watch with conditions as keys, where they can be.
Watch WithConditionsAsKeys(Relation relation, const Watch &watch) {
  Watch result = watch;
  result.apart = true;
  result.predicate = NIL;
  ListCell *cell;
  foreach (cell, watch.predicate) {
    auto *clause = static_cast<Node *>(lfirst(cell));
    const AttrNumber column = result.key_count < kMostKeyColumns ? FixedColumn(relation, clause) : AttrNumber{0};
    if (column == 0 || column == result.range_column || IsKey(result, column))
      result.predicate = lappend(result.predicate, clause);
    else
      result.keys[result.key_count++] = column;
  }
  std::sort(result.keys, result.keys + result.key_count);
  return result;
}

bool HaveSameKeys(const Watch &a, const Watch &b) {
  return a.key_count == b.key_count && std::equal(a.keys, a.keys + a.key_count, b.keys) &&
         a.range_column == b.range_column && a.range_width == b.range_width;
}

void AddColumns(Watch *watch, const Watch &other) {
  watch->all_columns |= other.all_columns;
  watch->columns = watch->all_columns ? nullptr : bms_union(watch->columns, other.columns);
}

// Watches that one can take the place of.
struct Alike {
  Watch shared;
  uint64_t order;  // of its keys, range and predicate: does not change with the members
  List *members;   // Watch
};

List *FindAlike(Relation relation, const List *wanted) {
  List *all = NIL;
  ListCell *cell, *found;
  foreach (cell, wanted) {
    auto *member = static_cast<Watch *>(lfirst(cell));
    const Watch shared = WithConditionsAsKeys(relation, *member);
    Alike *alike = nullptr;
    foreach (found, all) {
      auto *candidate = static_cast<Alike *>(lfirst(found));
      if (HaveSameKeys(candidate->shared, shared) && equal(candidate->shared.predicate, shared.predicate))
        alike = candidate;
    }
    if (alike == nullptr) {
      alike = static_cast<Alike *>(palloc0(sizeof(Alike)));
      Watch anchor = shared;
      anchor.all_columns = true;
      anchor.columns = nullptr;
      IdentifyWatch(&anchor);
      alike->shared = shared;
      alike->order = anchor.id;
      all = lappend(all, alike);
    } else {
      AddColumns(&alike->shared, shared);
    }
    alike->members = lappend(alike->members, member);
  }
  list_sort(all, [](const ListCell *a, const ListCell *b) {
    const uint64_t left = static_cast<Alike *>(lfirst(a))->order, right = static_cast<Alike *>(lfirst(b))->order;
    return left < right ? -1 : left > right;
  });
  return all;
}

int CountWatches(const List *all, int most_alike) {
  int count = 0;
  ListCell *cell;
  foreach (cell, all) {
    const int members = list_length(static_cast<Alike *>(lfirst(cell))->members);
    count += members > most_alike ? 1 : members;
  }
  return count;
}

// Those with the keys and range that most of them have.
List *LargestFamily(const List *all) {
  List *largest = NIL;
  ListCell *cell, *other;
  foreach (cell, all) {
    List *family = NIL;
    foreach (other, all)
      if (HaveSameKeys(static_cast<Alike *>(lfirst(cell))->shared, static_cast<Alike *>(lfirst(other))->shared))
        family = lappend(family, lfirst(other));
    if (list_length(family) > list_length(largest)) largest = family;
  }
  return largest;
}

// Gives conditions up until there are no more than so many, as far as that helps: the last ones in the order of the
// largest family, then of the next.
List *GiveUpConditions(List *all) {
  while (list_length(all) > kMostOwnWatches) {
    List *family = LargestFamily(all);
    if (list_length(family) < 2) break;
    Alike *without = nullptr;
    ListCell *cell;
    foreach (cell, family)
      if (static_cast<Alike *>(lfirst(cell))->shared.predicate == NIL) without = static_cast<Alike *>(lfirst(cell));
    if (without == nullptr) without = static_cast<Alike *>(llast(family));
    family = list_delete_ptr(family, without);
    without->shared.predicate = NIL;
    while (family != NIL && list_length(all) > kMostOwnWatches) {
      auto *given_up = static_cast<Alike *>(llast(family));
      AddColumns(&without->shared, given_up->shared);
      without->members = list_concat(without->members, given_up->members);
      all = list_delete_ptr(all, given_up);
      family = list_delete_last(family);
    }
  }
  return all;
}

}  // namespace

List *ShareWatches(Relation relation, const List *wanted) {
  List *all = FindAlike(relation, wanted);
  int most_alike = kMostAlike;
  if (CountWatches(all, most_alike) > kMostOwnWatches) most_alike = 1;
  if (most_alike == 1) all = GiveUpConditions(all);
  List *watches = NIL;
  ListCell *cell;
  foreach (cell, all) {
    auto *alike = static_cast<Alike *>(lfirst(cell));
    if (list_length(alike->members) <= most_alike) {
      watches = list_concat(watches, alike->members);
      continue;
    }
    IdentifyWatch(&alike->shared);
    watches = lappend(watches, &alike->shared);
  }
  return watches;
}

bool HasRoomFor(Relation relation, const List *wanted, const Watch &further) {
  if (list_length(wanted) < kMostWatches) return true;
  Watch copy = further;
  return list_length(ShareWatches(relation, lappend(list_copy(wanted), &copy))) <= kMostWatches;
}

bool Serves(Relation relation, const Watch &watch, const Watch &wanted) {
  if (watch.id == wanted.id) return true;
  const Watch asked = watch.apart ? WithConditionsAsKeys(relation, wanted) : wanted;
  if (!HaveSameKeys(watch, asked)) return false;
  if (!watch.all_columns && (asked.all_columns || !bms_is_subset(asked.columns, watch.columns))) return false;
  return watch.predicate == NIL || equal(watch.predicate, asked.predicate);
}

bool LacksConditions(Relation relation, const Watch &watch, const Watch &wanted) {
  return watch.apart && watch.predicate == NIL && Serves(relation, watch, wanted) &&
         WithConditionsAsKeys(relation, wanted).predicate != NIL;
}

}  // namespace aggcache
