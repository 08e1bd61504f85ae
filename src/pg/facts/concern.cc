// Looks at the parse tree alone. What is not known to be harmless changes the meaning. Keeps no state.

#include "pg/base/server.h"

#include "pg/facts/concern.h"

#include <initializer_list>

namespace aggcache {

namespace {

bool IsOneOf(const char *name, std::initializer_list<const char *> names) {
  for (const char *one : names)
    if (strcmp(name, one) == 0) return true;
  return false;
}

// Whether an index changes no answer but the order in which a plan finds rows. A unique one may prove that rows are
// told apart, also to a snapshot that is older than it and sees rows that are not. What GIN returns depends on a
// setting; what others' access methods return, on more.
bool IsPlainIndex(const IndexStmt *index) {
  return !index->unique && !index->primary && !index->isconstraint && index->accessMethod &&
         IsOneOf(index->accessMethod, {"btree", "hash", "gist", "spgist", "brin"});
}

// How a table is stored and looked after. Options with names of their own are an extension's; of a view, these say what
// it is.
bool AreStorageOptions(const Node *definitions) {
  ListCell *cell;
  foreach (cell, reinterpret_cast<const List *>(definitions)) {
    auto *option = lfirst_node(DefElem, cell);
    if (option->defnamespace && strcmp(option->defnamespace, "toast") != 0) return false;
    if (IsOneOf(option->defname, {"security_barrier", "security_invoker", "check_option"})) return false;
  }
  return true;
}

// Whether an ALTER TABLE changes nothing but how the table is stored and planned.
bool ChangesStorageOnly(const AlterTableStmt *statement) {
  ListCell *cell;
  foreach (cell, statement->cmds) {
    auto *command = lfirst_node(AlterTableCmd, cell);
    switch (command->subtype) {
      case AT_SetStatistics:
      case AT_SetOptions:
      case AT_ResetOptions:
      case AT_ClusterOn:
      case AT_DropCluster: break;
      case AT_SetRelOptions:
      case AT_ResetRelOptions:
        if (!AreStorageOptions(command->def)) return false;
        break;
      default: return false;
    }
  }
  return true;
}

// VACUUM FULL
bool IsFull(const VacuumStmt *statement) {
  bool full = false;
  ListCell *cell;
  foreach (cell, statement->options)
    if (strcmp(lfirst_node(DefElem, cell)->defname, "full") == 0) full = defGetBoolean(lfirst_node(DefElem, cell));
  return full;
}

}  // namespace

Concern ConcernOf(Node *statement) {
  switch (nodeTag(statement)) {
    case T_IndexStmt:
      return IsPlainIndex(reinterpret_cast<IndexStmt *>(statement)) ? Concern::kOrder : Concern::kMeaning;
    case T_AlterTableStmt:
      return ChangesStorageOnly(reinterpret_cast<AlterTableStmt *>(statement)) ? Concern::kNothing : Concern::kMeaning;
    case T_ReindexStmt:
    case T_CommentStmt: return Concern::kNothing;
    case T_VacuumStmt: return IsFull(reinterpret_cast<VacuumStmt *>(statement)) ? Concern::kOrder : Concern::kNothing;
    case T_ClusterStmt: return Concern::kOrder;
    case T_GrantStmt:
      return reinterpret_cast<GrantStmt *>(statement)->objtype == OBJECT_TABLE ? Concern::kPrivileges
                                                                               : Concern::kMeaning;
    default: return Concern::kMeaning;
  }
}

}  // namespace aggcache
