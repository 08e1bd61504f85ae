// State of this session: the programs of ledgers that it has met, each in a memory context of its own, until a message
// says that their relation may have changed. Programs run no code of users, so nothing calls in here meanwhile.

#include "pg/base/server.h"

#include "pg/keep/rows.h"

#include "pg/base/attempt.h"
#include "pg/facts/partitions.h"
#include "pg/watch/catalog.h"

namespace aggcache {

struct CompiledProgram {
  uint64_t id[2];
  Oid relation;
  Oid owner;  // whose program it is: the relation, or a partitioned table above it
  bool valid;
  MemoryContext context;
  const Program *program;
  ExprState *conditions;
  ExprState **groups;
  ExprState **arguments;
  ExprState **filters;
  ExprContext *evaluation;
  RowValues *row;
};

namespace {

HTAB *programs = nullptr;
MemoryContext programs_context = nullptr;
bool any_invalid = false;
constexpr int kMostPrograms = 1000;

struct ProgramKey {
  uint64_t id[2];
  Oid relation;
  Oid owner;
};

struct Entry {
  ProgramKey key;
  CompiledProgram *compiled;
};

void MakeTable() {
  programs_context = AllocSetContextCreate(TopMemoryContext, "aggcache programs", ALLOCSET_DEFAULT_SIZES);
  HASHCTL control;
  memset(&control, 0, sizeof(control));
  control.keysize = sizeof(ProgramKey);
  control.entrysize = sizeof(Entry);
  control.hcxt = programs_context;
  programs = hash_create("aggcache programs", 32, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

void Drop(bool all) {
  HASH_SEQ_STATUS scan;
  hash_seq_init(&scan, programs);
  while (auto *entry = static_cast<Entry *>(hash_seq_search(&scan))) {
    if (entry->compiled->valid && !all) continue;
    MemoryContextDelete(entry->compiled->context);
    (void)hash_search(programs, &entry->key, HASH_REMOVE, nullptr);
  }
  any_invalid = false;
}

ExprState *Prepare(Expr *expression) {
  return expression ? ExecInitExpr(expression_planner(static_cast<Expr *>(copyObjectImpl(expression))), nullptr)
                    : nullptr;
}

// NULL: every row passes.
ExprState *PrepareCondition(const List *clauses) {
  if (clauses == NIL) return nullptr;
  Expr *condition = make_ands_explicit(static_cast<List *>(copyObjectImpl(clauses)));
  return ExecInitQual(make_ands_implicit(expression_planner(condition)), nullptr);
}

// The program of the owner, NULL if there is none.
Program *ReadProgramOf(const CompiledProgram *compiled, Relation owner) {
  const char *text = FindProgramText(RelationGetRelid(owner), compiled->id[0]);
  Program *program = text ? ReadProgram(text, owner) : nullptr;
  return program && memcmp(program->id, compiled->id, sizeof(program->id)) == 0 ? program : nullptr;
}

// The same for rows of a partition below the owner.
Program *ReadProgramFor(const CompiledProgram *compiled, Relation partition) {
  Relation owner = relation_open(compiled->owner, AccessShareLock);
  Program *program = ReadProgramOf(compiled, owner);
  if (program) {
    const AttrMap *map = compat::MapColumns(RelationGetDescr(partition), RelationGetDescr(owner));
    auto local = [&](void *expression) {
      bool whole_row = false;
      return map_variable_attnos(static_cast<Node *>(expression), 1, 0, map, InvalidOid, &whole_row);
    };
    program->conditions = reinterpret_cast<List *>(local(program->conditions));
    program->groups = reinterpret_cast<List *>(local(program->groups));
    for (int i = 0; i < program->aggregate_count; i++) {
      KeptAggregate *aggregate = &program->aggregates[i];
      aggregate->argument = reinterpret_cast<Expr *>(local(aggregate->argument));
      aggregate->filter = reinterpret_cast<Expr *>(local(aggregate->filter));
    }
  }
  relation_close(owner, NoLock);
  return program;
}

void Compile(CompiledProgram *compiled, Relation relation) {
  const Program *program = compiled->owner == RelationGetRelid(relation) ? ReadProgramOf(compiled, relation)
                                                                         : ReadProgramFor(compiled, relation);
  if (program == nullptr) return;
  compiled->conditions = PrepareCondition(program->conditions);
  const int groups = list_length(program->groups);
  compiled->groups = static_cast<ExprState **>(palloc(sizeof(ExprState *) * Max(1, groups)));
  for (int i = 0; i < groups; i++) compiled->groups[i] = Prepare(static_cast<Expr *>(list_nth(program->groups, i)));
  const Size size = sizeof(ExprState *) * static_cast<Size>(Max(1, program->aggregate_count));
  compiled->arguments = static_cast<ExprState **>(palloc(size));
  compiled->filters = static_cast<ExprState **>(palloc(size));
  for (int i = 0; i < program->aggregate_count; i++) {
    compiled->arguments[i] = Prepare(program->aggregates[i].argument);
    compiled->filters[i] = PrepareCondition(make_ands_implicit(program->aggregates[i].filter));
  }
  compiled->evaluation = CreateStandaloneExprContext();
  compiled->row = MakeRowValues(program);
  compiled->program = program;
}

// ---- Parameters ----------------------------------------------------------------------------------------------------

// What a ledger's bytes begin with.
struct AboutHead {
  uint64_t program[2];
  Oid database;
  Oid relation;
};
static_assert(sizeof(AboutHead) == 24, "no bytes between");

struct ParameterHeader {
  int32 number;
  Oid type;
  int32 length;  // -1: null
};

ParamListInfo ReadParameters(const LedgerAbout &about) {
  int most = 0;
  for (uint32_t at = sizeof(AboutHead); at < about.size;) {
    ParameterHeader header;
    memcpy(&header, about.bytes + at, sizeof(header));
    most = Max(most, header.number);
    at += static_cast<uint32_t>(sizeof(header)) + TYPEALIGN(8, static_cast<uint32_t>(Max(0, header.length)));
  }
  ParamListInfo parameters = makeParamList(most);
  for (uint32_t at = sizeof(AboutHead); at < about.size;) {
    ParameterHeader header;
    memcpy(&header, about.bytes + at, sizeof(header));
    at += sizeof(header);
    ParamExternData *parameter = &parameters->params[header.number - 1];
    parameter->ptype = header.type;
    parameter->pflags = PARAM_FLAG_CONST;
    parameter->isnull = header.length < 0;
    parameter->value = Datum{0};
    if (header.length < 0) continue;
    int16 length;
    bool by_value;
    get_typlenbyval(header.type, &length, &by_value);
    if (by_value) {
      memcpy(&parameter->value, about.bytes + at, sizeof(Datum));
    } else {
      void *copy = palloc(static_cast<Size>(header.length));
      memcpy(copy, about.bytes + at, static_cast<Size>(header.length));
      parameter->value = PointerGetDatum(copy);
    }
    at += TYPEALIGN(8, static_cast<uint32_t>(header.length));
  }
  return parameters;
}

// ---- Rows ----------------------------------------------------------------------------------------------------------

// Evaluates the program on a row. False: the row does not count.
bool Evaluate(CompiledProgram *compiled, TupleTableSlot *row) {
  ExprContext *evaluation = compiled->evaluation;
  evaluation->ecxt_scantuple = row;
  if (!ExecQual(compiled->conditions, evaluation)) return false;
  const Program *program = compiled->program;
  RowValues *values = compiled->row;
  for (int i = 0; i < list_length(program->groups); i++)
    values->groups[i].value = ExecEvalExpr(compiled->groups[i], evaluation, &values->groups[i].isnull);
  for (int i = 0; i < program->aggregate_count; i++) {
    values->counts[i] = ExecQual(compiled->filters[i], evaluation);
    if (values->counts[i] && compiled->arguments[i])
      values->arguments[i].value = ExecEvalExpr(compiled->arguments[i], evaluation, &values->arguments[i].isnull);
  }
  return true;
}

struct Change {
  CompiledProgram *compiled;
  TupleTableSlot *old_row, *new_row;
  Sum *sum;
  bool fits;
};

void AddBoth(void *context) {
  auto *change = static_cast<Change *>(context);
  CompiledProgram *compiled = change->compiled;
  const Program *program = compiled->program;
  if (change->old_row && Evaluate(compiled, change->old_row))
    change->fits = AddRow(program, change->sum, *compiled->row, true, nullptr, nullptr);
  if (change->fits && change->new_row && Evaluate(compiled, change->new_row))
    change->fits = AddRow(program, change->sum, *compiled->row, false, nullptr, nullptr);
}

}  // namespace

uint32_t WriteAbout(const Program *program, Oid relation, const List *parameters, ParamListInfo values,
                    unsigned char *about) {
  const AboutHead head = {{program->id[0], program->id[1]}, MyDatabaseId, relation};
  memcpy(about, &head, sizeof(head));
  uint32_t at = sizeof(head);
  ListCell *cell;
  foreach (cell, parameters) {
    auto *parameter = lfirst_node(Param, cell);
    if (parameter->paramid < 1 || parameter->paramid > values->numParams) return 0;
    const ParamExternData &value = values->params[parameter->paramid - 1];
    ParameterHeader header = {parameter->paramid, parameter->paramtype, -1};
    int16 length;
    bool by_value;
    get_typlenbyval(parameter->paramtype, &length, &by_value);
    Datum datum = value.value;
    if (!value.isnull) {
      if (!by_value && length == -1) datum = PointerGetDatum(PG_DETOAST_DATUM(datum));
      header.length = static_cast<int32>(by_value ? sizeof(Datum) : datumGetSize(datum, by_value, length));
    }
    const uint32_t bytes = static_cast<uint32_t>(Max(0, header.length));
    if (value.ptype != parameter->paramtype || bytes > kMaxAbout ||
        at + sizeof(header) + TYPEALIGN(8, bytes) > kMaxAbout)
      return 0;
    memcpy(about + at, &header, sizeof(header));
    at += sizeof(header);
    memset(about + at, 0, TYPEALIGN(8, bytes));
    if (bytes > 0 && by_value)
      memcpy(about + at, &datum, bytes);
    else if (bytes > 0)
      memcpy(about + at, DatumGetPointer(datum), bytes);
    at += TYPEALIGN(8, bytes);
  }
  return at;
}

bool IsLedgerOf(const unsigned char *about, uint32_t about_size, const List *relations, bool any) {
  AboutHead head;
  if (about_size < sizeof(head)) return false;
  memcpy(&head, about, sizeof(head));
  return head.database == MyDatabaseId && (any || list_member_oid(relations, head.relation));
}

CompiledProgram *ProgramOfLedger(Relation relation, const LedgerAbout &about) {
  AboutHead head;
  if (about.size < sizeof(head)) return nullptr;
  memcpy(&head, about.bytes, sizeof(head));
  if (head.database != MyDatabaseId) return nullptr;
  const ProgramKey key = {{head.program[0], head.program[1]}, RelationGetRelid(relation), head.relation};
  if (programs == nullptr) MakeTable();
  if (any_invalid || hash_get_num_entries(programs) > kMostPrograms)
    Drop(hash_get_num_entries(programs) > kMostPrograms);
  auto *entry = static_cast<Entry *>(hash_search(programs, &key, HASH_FIND, nullptr));
  if (entry && entry->compiled->valid) return entry->compiled;
  if (head.relation != key.relation && !list_member_oid(PartitionAncestors(relation), head.relation)) return nullptr;
  MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "aggcache program", ALLOCSET_SMALL_SIZES);
  MemoryContext outer = MemoryContextSwitchTo(context);
  auto *compiled = static_cast<CompiledProgram *>(palloc0(sizeof(CompiledProgram)));
  memcpy(compiled->id, key.id, sizeof(key.id));
  compiled->relation = key.relation;
  compiled->owner = key.owner;
  compiled->context = context;
  Compile(compiled, relation);
  MemoryContextSwitchTo(outer);
  // That there is none is not remembered, as somebody may make one. Mostly nobody asks again: the ledger goes.
  if (compiled->program == nullptr) {
    MemoryContextDelete(context);
    return nullptr;
  }
  // A message that came meanwhile is about what was read before the lock, so what is read now is as it is now.
  compiled->valid = true;
  entry = static_cast<Entry *>(hash_search(programs, &key, HASH_ENTER, nullptr));
  entry->compiled = compiled;
  MemoryContextSetParent(context, programs_context);
  return compiled;
}

const Program *ProgramOf(const CompiledProgram *compiled) { return compiled->program; }

bool AddChange(CompiledProgram *compiled, const LedgerAbout &about, TupleTableSlot *old_row, TupleTableSlot *new_row,
               Sum *sum) {
  ExprContext *evaluation = compiled->evaluation;
  MemoryContext outer = MemoryContextSwitchTo(evaluation->ecxt_per_tuple_memory);
  evaluation->ecxt_param_list_info = ReadParameters(about);
  Change change = {compiled, old_row, new_row, sum, true};
  if (!compiled->program->may_fail)
    AddBoth(&change);
  else if (AttemptBuiltIn(AddBoth, &change))
    change.fits = false;
  MemoryContextSwitchTo(outer);
  evaluation->ecxt_param_list_info = nullptr;
  ResetExprContext(evaluation);
  return change.fits;
}

void ForgetCompiled(Oid relation) {
  if (programs == nullptr) return;
  HASH_SEQ_STATUS scan;
  hash_seq_init(&scan, programs);
  while (auto *entry = static_cast<Entry *>(hash_seq_search(&scan))) {
    if (OidIsValid(relation) && entry->compiled->relation != relation && entry->compiled->owner != relation) continue;
    entry->compiled->valid = false;
    any_invalid = true;
  }
}

}  // namespace aggcache
