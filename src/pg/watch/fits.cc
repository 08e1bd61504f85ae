// Keeps no state.

#include "pg/base/server.h"

#include "pg/watch/fits.h"

#include "core/tag.h"

namespace aggcache {

namespace {

// Never 0, as estimated for IS NOT DISTINCT FROM NULL: what else tells watches apart would no longer count.
double Selectivity(const BaseRelation &base, List *clauses) {
  return Max(1e-9, clauselist_selectivity(base.root, clauses, 0, JOIN_INNER, nullptr));
}

// What clauses of the appearance let through, which are the same for many watches.
struct KnownShare {
  const void *first, *last;
  int count;
  double share;
};

double ShareOf(BaseRelation *base, List *clauses) {
  ListCell *cell;
  foreach (cell, base->shares) {
    auto *known = static_cast<KnownShare *>(lfirst(cell));
    if (known->first == linitial(clauses) && known->last == llast(clauses) && known->count == list_length(clauses))
      return known->share;
  }
  auto *known = static_cast<KnownShare *>(palloc(sizeof(KnownShare)));
  *known = {linitial(clauses), llast(clauses), list_length(clauses), Selectivity(*base, clauses)};
  base->shares = lappend(base->shares, known);
  return known->share;
}

// Finds the clause that leaves the fewest values for a key column; NULL if none leaves few.
Node *FitKey(const BaseRelation &base, AttrNumber attribute, ValueSet *values, bool *replaceable) {
  KeyColumn column;
  if (!DescribeKeyColumn(base.relation, attribute, &column, CurrentMemoryContext)) return nullptr;
  *replaceable |= column.rule.replaceable;
  auto *left = static_cast<ValueSet *>(palloc(sizeof(ValueSet)));
  Node *found = nullptr;
  ListCell *cell;
  foreach (cell, base.clauses) {
    Node *clause = static_cast<Node *>(lfirst(cell));
    if (!RestrictsToValues(clause, base.rel->relid, column, left)) continue;
    if (found && left->count + left->has_null >= values->count + values->has_null) continue;
    *values = *left;
    found = clause;
  }
  pfree(left);
  return found;
}

// The tags of every combination of key values.
int KeyTags(const Fit &fit, Oid relation, uint64_t *tags) {
  int count = 1;
  tags[0] = WatchTag(MyDatabaseId, relation, fit.watch->id);
  for (int i = 0; i < fit.watch->key_count; i++) {
    const ValueSet &values = *fit.keys[i];
    AttrNumber attribute = fit.watch->keys[i];
    uint64_t narrowed[kMostTags];
    int narrowed_count = 0;
    for (int j = 0; j < count; j++) {
      for (int k = 0; k < values.count; k++)
        narrowed[narrowed_count++] = WithColumn(tags[j], attribute, values.hashes[k]);
      if (values.has_null) narrowed[narrowed_count++] = WithNull(tags[j], attribute);
    }
    memcpy(tags, narrowed, sizeof(uint64_t) * narrowed_count);
    count = narrowed_count;
  }
  return count;
}

// The cells of the range, and of where evaluating may fail: of each at most `most`, or -1.
int CellsOf(const Fit &fit, int most, Cell *cells) {
  Range range = fit.range;
  const CellGrid grid = fit.range_column.grid;
  // disjoint, so that no cell comes twice
  range.units.low = Max(range.units.low, range.below == kFirstUnit ? kFirstUnit : range.below + 1);
  range.units.high = Min(range.units.high, range.above == kLastUnit ? kLastUnit : range.above - 1);
  const UnitRange parts[] = {range.units, {kFirstUnit, range.below}, {range.above, kLastUnit}};
  const bool wanted[] = {true, range.below != kFirstUnit, range.above != kLastUnit};
  int count = 0;
  for (int i = 0; i < 3; i++) {
    if (!wanted[i]) continue;
    const int found = CoverRange(parts[i].low, parts[i].high, grid, most, cells + count);
    if (found > most) return -1;
    count += found;
  }
  return count;
}

}  // namespace

bool FitWatch(BaseRelation *base, const Watch *watch, Fit *fit) {
  if (!watch->all_columns && (base->uses_all || !bms_is_subset(base->used, watch->columns))) return false;
  Index relid = base->rel->relid;
  fit->watch = watch;
  fit->share = 1.0;
  if (watch->predicate != NIL) {
    auto *predicate = static_cast<List *>(copyObjectImpl(watch->predicate));
    ChangeVarNodes(reinterpret_cast<Node *>(predicate), 1, static_cast<int>(relid), 0);
    if (!predicate_implied_by(predicate, base->provable, false)) return false;
    fit->share *= Selectivity(*base, predicate);
  }
  fit->key_tags = 1;
  fit->replaceable = false;
  for (int i = 0; i < watch->key_count; i++) {
    fit->keys[i] = static_cast<ValueSet *>(palloc(sizeof(ValueSet)));
    fit->key_clauses[i] = FitKey(*base, watch->keys[i], fit->keys[i], &fit->replaceable);
    if (fit->key_clauses[i] == nullptr) return false;
    fit->key_tags *= fit->keys[i]->count + fit->keys[i]->has_null;
    base->many_tags |= fit->key_tags > kMostTags;
    if (fit->key_tags > kMostTags) return false;
    fit->share *= ShareOf(base, list_make1(fit->key_clauses[i]));
  }
  fit->range_clauses = NIL;
  fit->range = kWholeRange;
  if (watch->range_column) {
    if (!DescribeRangeColumn(base->relation, watch->range_column, watch->range_width, &fit->range_column)) return false;
    ListCell *cell;
    foreach (cell, base->clauses) {
      Node *clause = static_cast<Node *>(lfirst(cell));
      if (RestrictsToRange(clause, relid, fit->range_column, &base->memo, &fit->range))
        fit->range_clauses = lappend(fit->range_clauses, clause);
    }
    if (fit->range_clauses != NIL) fit->share *= ShareOf(base, fit->range_clauses);
  }
  // Of the updates of rows that pass, those of other columns do not come through.
  const Bitmapset *counted = watch->apart && !base->uses_all ? base->used : watch->columns;
  if (!watch->all_columns || counted)
    fit->share *= 0.5 + 0.5 * bms_num_members(counted) / (1.0 + RelationGetNumberOfAttributes(base->relation));
  return true;
}

Fit *FindBestFit(BaseRelation *base, const List *watches) {
  Fit *best = nullptr;
  ListCell *cell;
  foreach (cell, watches) {
    auto *fit = static_cast<Fit *>(palloc(sizeof(Fit)));
    if (FitWatch(base, static_cast<Watch *>(lfirst(cell)), fit) && (best == nullptr || fit->share < best->share))
      best = fit;
  }
  return best;
}

int TagsOfFit(const Fit &fit, Oid relation, uint64_t **tags, bool *by_range) {
  uint64_t keys[kMostTags];
  const int key_count = KeyTags(fit, relation, keys);
  Cell cells[3 * kMostCells];
  int cell_count = -1;
  if (fit.range_clauses != NIL) {
    cell_count = CellsOf(fit, Min(kMostCells, Max(1, kMostTags / Max(1, key_count))), cells);
    if (cell_count * key_count > kMostTags) cell_count = -1;
  }
  *by_range = cell_count >= 0;
  const int count = key_count * (*by_range ? cell_count : 1) + fit.replaceable;
  uint64_t *tag = *tags = static_cast<uint64_t *>(palloc(sizeof(uint64_t) * Max(1, count)));
  for (int i = 0; i < key_count; i++) {
    if (!*by_range) *tag++ = keys[i];
    for (int j = 0; j < cell_count; j++) *tag++ = WithCell(keys[i], cells[j].level, cells[j].index);
  }
  if (fit.replaceable) *tag = WatchTag(MyDatabaseId, relation, fit.watch->id);
  return count;
}

uint64_t KeyTagOfFit(const Fit &fit, Oid relation) {
  if (fit.key_tags != 1 || fit.replaceable) return 0;
  uint64_t keys[kMostTags];
  (void)KeyTags(fit, relation, keys);
  return fit.watch->apart ? WithChange(keys[0], 0) : keys[0];
}

bool IsOutsideOfCells(const Fit &fit) {
  if (fit.range_clauses == NIL || fit.range_column.kind == RangeKind::kText) return false;
  const CellGrid grid = fit.range_column.grid;
  const UnitRange &units = fit.range.units;
  return ClampUnit(units.low, grid) == ClampUnit(kLastUnit, grid) ||
         ClampUnit(units.high, grid) == ClampUnit(kFirstUnit, grid) ||
         // of numerics the units themselves end
         (fit.range_column.kind == RangeKind::kNumeric && (units.low == kLastUnit || units.high == kFirstUnit));
}

List *ClausesOfFit(const Fit &fit) {
  List *clauses = list_copy(fit.range_clauses);
  for (int i = 0; i < fit.watch->key_count; i++) clauses = list_append_unique_ptr(clauses, fit.key_clauses[i]);
  return clauses;
}

}  // namespace aggcache
