// What a relation is now is asked of the catalogs and the relcache; the list is the definition's. Keeps no state.

#include "pg/base/server.h"

#include "pg/body/sources.h"

#include "pg/body/fingerprint.h"
#include "pg/facts/partitions.h"
#include "pg/facts/tracked.h"

namespace aggcache {

namespace {

SourceRelation *FindNamed(Definition *definition, Oid relation) {
  for (int i = 0; i < definition->relation_count; i++)
    if (definition->relations[i].relation == relation && definition->relations[i].role == SourceRole::kNamed)
      return &definition->relations[i];
  return nullptr;
}

// A hash of what the first columns are, with their names or without.
uint64_t StructureOf(Relation relation, int columns, bool with_names) {
  uint64_t hash = relation->rd_rel->relkind;
  for (int i = 0; i < columns; i++) {
    Form_pg_attribute column = TupleDescAttr(RelationGetDescr(relation), i);
    hash =
        hash_combine64(hash, static_cast<uint64_t>(column->atttypid) << 32 | static_cast<uint32_t>(column->atttypmod));
    hash = hash_combine64(
        hash, static_cast<uint64_t>(column->attcollation) << 1 | static_cast<uint64_t>(column->attisdropped));
    if (with_names)
      hash = hash_bytes_extended(reinterpret_cast<const unsigned char *>(NameStr(column->attname)),
                                 static_cast<int>(strlen(NameStr(column->attname))), hash);
  }
  return hash;
}

void NoteStructure(SourceRelation *source, bool with_names) {
  Relation relation = try_relation_open(source->relation, AccessShareLock);
  if (relation == nullptr) return;
  source->column_count = RelationGetNumberOfAttributes(relation);
  source->structure = StructureOf(relation, source->column_count, with_names);
  relation_close(relation, NoLock);
}

// Adds a relation and what it is; what stands in its way stands in the definition's, unless something does already.
void AddSource(Definition *definition, Oid relation, SourceRole role, Oid root, ReadBy read_by) {
  // doubled when it is full, at powers of two
  int count = definition->relation_count;
  if (count == 0)
    definition->relations = static_cast<SourceRelation *>(palloc(sizeof(SourceRelation)));
  else if ((count & (count - 1)) == 0)
    definition->relations =
        static_cast<SourceRelation *>(repalloc(definition->relations, sizeof(SourceRelation) * count * 2));
  SourceRelation *source = &definition->relations[definition->relation_count++];
  memset(source, 0, sizeof(*source));
  source->relation = relation;
  source->role = role;
  source->root = root;
  source->read_by = read_by;
  source->partitioned = get_rel_relkind(relation) == RELKIND_PARTITIONED_TABLE;
  if (role == SourceRole::kAncestor || role == SourceRole::kRowType) return;
  source->obstacle = FindTrackingObstacle(relation, &source->tracked);
  if (role == SourceRole::kNamed) NoteStructure(source, definition->shows_columns);
  if (source->obstacle && definition->obstacle == nullptr) definition->obstacle = source->obstacle;
}

bool IsInSomeRangeTable(const List *queries, Oid relation) {
  ListCell *query, *entry;
  foreach (query, queries)
    foreach (entry, lfirst_node(Query, query)->rtable)
      if (lfirst_node(RangeTblEntry, entry)->relid == relation) return true;
  return false;
}

// Types with a function of their own behind brackets, which can be replaced by another one.
bool SubscriptedTypesWalker(Node *node, void *argument) {
  if (node == nullptr) return false;
  auto **items = static_cast<List **>(argument);
  if (IsA(node, SubscriptingRef)) {
    PlanInvalItem *item = makeNode(PlanInvalItem);
    item->cacheId = TYPEOID;
    item->hashValue =
        GetSysCacheHashValue1(TYPEOID, ObjectIdGetDatum(reinterpret_cast<SubscriptingRef *>(node)->refcontainertype));
    *items = lappend(*items, item);
  }
  if (IsA(node, Query)) return compat::WalkQuery(reinterpret_cast<Query *>(node), SubscriptedTypesWalker, argument);
  return compat::WalkExpression(node, SubscriptedTypesWalker, argument);
}

}  // namespace

void ExtractDependencies(Query *query, List **relations, List **items, bool *row_security_used) {
  List *found = NIL, *found_items = NIL;
  extract_query_dependencies(reinterpret_cast<Node *>(query), &found, &found_items, row_security_used);
  *items = list_concat(*items, found_items);
  SubscriptedTypesWalker(reinterpret_cast<Node *>(query), items);
  // It takes every constant of type oid or regclass for a relation. What is read is in a range table, and locked.
  const List *queries = CollectQueries(query, NIL);
  ListCell *cell;
  foreach (cell, found)
    if (SearchSysCacheExists1(RELOID, ObjectIdGetDatum(lfirst_oid(cell))) ||
        IsInSomeRangeTable(queries, lfirst_oid(cell)))
      *relations = lappend_oid(*relations, lfirst_oid(cell));
}

void AddRelations(Definition *definition, List *oids, ReadBy read_by) {
  ListCell *cell;
  foreach (cell, oids) {
    SourceRelation *source = FindNamed(definition, lfirst_oid(cell));
    if (source)
      source->read_by = Max(source->read_by, read_by);
    else
      AddSource(definition, lfirst_oid(cell), SourceRole::kNamed, InvalidOid, read_by);
  }
}

void AddPartsAndAncestors(Definition *definition) {
  int named = definition->relation_count;
  for (int i = 0; i < named; i++) {
    SourceRelation source = definition->relations[i];
    if (!source.tracked) continue;
    bool pending;
    ListCell *cell;
    foreach (cell, PartsOf(source.relation, &pending))
      AddSource(definition, lfirst_oid(cell), SourceRole::kPart, source.relation, source.read_by);
    if (pending && definition->obstacle == nullptr)
      definition->obstacle = psprintf("a partition of %s is being detached", get_rel_name(source.relation));
    foreach (cell, PartitionAncestorsOf(source.relation))
      AddSource(definition, lfirst_oid(cell), SourceRole::kAncestor, source.relation, ReadBy::kCachedFunction);
  }
}

void AddRowType(Definition *definition, Oid relation) {
  if (!OidIsValid(relation)) return;
  if (FindNamed(definition, relation) == nullptr)
    AddSource(definition, relation, SourceRole::kRowType, InvalidOid, ReadBy::kCachedFunction);
}

const char *FindChangedSource(const Definition *definition) {
  for (int i = 0; i < definition->relation_count; i++) {
    const SourceRelation &source = definition->relations[i];
    if (source.role != SourceRole::kNamed) continue;
    // the tree holds the query of a view, but not what the columns of its rows are called
    if (!definition->shows_columns && get_rel_relkind(source.relation) == RELKIND_VIEW) continue;
    Relation relation = try_relation_open(source.relation, NoLock);
    if (relation == nullptr) return psprintf("%u", source.relation);
    const char *name = pstrdup(RelationGetRelationName(relation));
    bool same = RelationGetNumberOfAttributes(relation) >= source.column_count &&
                StructureOf(relation, source.column_count, definition->shows_columns) == source.structure;
    relation_close(relation, NoLock);
    if (!same) return name;
  }
  return nullptr;
}

bool ArePartsCurrent(const Definition *definition) {
  for (int i = 0; i < definition->relation_count; i++) {
    const SourceRelation &source = definition->relations[i];
    if (!source.tracked) continue;
    if (source.partitioned && !AreKnownPartsCurrent(source.relation)) return false;
    if (source.role != SourceRole::kNamed) continue;
    bool pending;
    List *now = PartsOf(source.relation, &pending);
    if (pending) return false;
    if (now != NIL && !source.partitioned && !has_subclass(source.relation)) return false;
    List *known = NIL;
    for (int j = 0; j < definition->relation_count; j++)
      if (definition->relations[j].role == SourceRole::kPart && definition->relations[j].root == source.relation)
        known = lappend_oid(known, definition->relations[j].relation);
    if (!SameOids(now, known)) return false;
  }
  return true;
}

}  // namespace aggcache
