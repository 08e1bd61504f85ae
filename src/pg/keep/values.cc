// State only while a base is computed.

#include "pg/base/server.h"

#include "pg/keep/values.h"

#include "pg/keep/group_keys.h"

namespace aggcache {

namespace {

constexpr int kMostKept = 16;  // values of min or max in a base

// Compares values as min or max does, so that what is greater is further towards the end.
struct Order {
  FmgrInfo function;
  Oid collation;
  bool greatest;
};

Order OrderOf(const KeptAggregate &aggregate) {
  Order order;
  memset(static_cast<void *>(&order), 0, sizeof(order));
  fmgr_info(aggregate.comparison, &order.function);
  order.collation = aggregate.call->inputcollid;
  order.greatest = aggregate.greatest;
  return order;
}

int Compare(Order *order, Datum a, Datum b) {
  const int result = DatumGetInt32(FunctionCall2Coll(&order->function, order->collation, a, b));
  return order->greatest ? result : -result;
}

struct PlaceKey {
  uint32_t place;
  int32 aggregate;
};

struct Noted {
  PlaceKey key;
  const unsigned char *group;
  uint32_t group_size;
  int count;
  bool cut;                 // values have been left out
  Datum values[kMostKept];  // from the end on
  int64 rows[kMostKept];
};

}  // namespace

struct BaseValues {
  const Program *program;
  MemoryContext context;
  HTAB *noted;
  Order *orders;  // by aggregate
};

BaseValues *MakeBaseValues(const Program *program) {
  auto *values = static_cast<BaseValues *>(palloc(sizeof(BaseValues)));
  values->program = program;
  values->context = CurrentMemoryContext;
  HASHCTL control;
  memset(&control, 0, sizeof(control));
  control.keysize = sizeof(PlaceKey);
  control.entrysize = sizeof(Noted);
  control.hcxt = CurrentMemoryContext;
  values->noted = hash_create("aggcache values", 64, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
  values->orders = static_cast<Order *>(palloc0(sizeof(Order) * static_cast<Size>(program->aggregate_count)));
  for (int i = 0; i < program->aggregate_count; i++)
    if (program->aggregates[i].kind == SumKind::kExtreme) values->orders[i] = OrderOf(program->aggregates[i]);
  return values;
}

void NoteValue(BaseValues *values, uint32_t place, const unsigned char *key, uint32_t key_size, int aggregate,
               Datum value) {
  const PlaceKey where = {place, aggregate};
  bool found;
  auto *noted = static_cast<Noted *>(hash_search(values->noted, &where, HASH_ENTER, &found));
  if (!found) {
    noted->group = static_cast<unsigned char *>(MemoryContextAlloc(values->context, Max(1U, key_size)));
    memcpy(const_cast<unsigned char *>(noted->group), key, key_size);
    noted->group_size = key_size;
    noted->count = 0;
    noted->cut = false;
  }
  int at = noted->count;
  while (at > 0) {
    const int compared = Compare(&values->orders[aggregate], value, noted->values[at - 1]);
    if (compared == 0) {
      noted->rows[at - 1]++;
      return;
    }
    if (compared < 0) break;
    at--;
  }
  noted->cut |= noted->count == kMostKept;
  if (at == kMostKept) return;
  int16 length;
  bool by_value;
  get_typlenbyval(exprType(reinterpret_cast<Node *>(values->program->aggregates[aggregate].argument)), &length,
                  &by_value);
  if (noted->count == kMostKept) {
    noted->count--;
    if (!by_value) pfree(DatumGetPointer(noted->values[noted->count]));
  }
  for (int i = noted->count; i > at; i--) {
    noted->values[i] = noted->values[i - 1];
    noted->rows[i] = noted->rows[i - 1];
  }
  noted->count++;
  MemoryContext outer = MemoryContextSwitchTo(values->context);
  noted->values[at] = datumCopy(value, by_value, length);
  MemoryContextSwitchTo(outer);
  noted->rows[at] = 1;
}

bool AddNotedValues(const BaseValues *values, Sum *sum) {
  HASH_SEQ_STATUS scan;
  hash_seq_init(&scan, values->noted);
  while (auto *noted = static_cast<Noted *>(hash_seq_search(&scan))) {
    bool fits = true;
    for (int i = 0; fits && i < noted->count; i++)
      fits = AddToValue(values->program, sum, noted->group, noted->group_size, noted->key.aggregate, kValue,
                        noted->values[i], noted->rows[i], nullptr);
    if (fits && noted->cut)
      fits = AddToValue(values->program, sum, noted->group, noted->group_size, noted->key.aggregate, kBound,
                        noted->values[noted->count - 1], 1, nullptr);
    if (fits) continue;
    hash_seq_term(&scan);
    return false;
  }
  return true;
}

namespace {

NullableDatum ValueOf(const KeptAggregate &aggregate, const ValueEntry &entry) {
  NullableDatum value;
  ReadValue(exprType(reinterpret_cast<Node *>(aggregate.argument)), entry.rest + 2, &value);
  return value;
}

bool FinishExtreme(const Program *program, int number, int64 rows, const ValueEntry *entries, int count,
                   NullableDatum *value) {
  const KeptAggregate &aggregate = program->aggregates[number];
  Order order = OrderOf(aggregate);
  *value = {Datum{0}, true};
  if (rows == 0) return true;
  NullableDatum bound = {Datum{0}, true};
  for (int i = 0; i < count; i++)
    if (entries[i].rest[0] == number && entries[i].rest[1] == kBound) bound = ValueOf(aggregate, entries[i]);
  for (int i = 0; i < count; i++) {
    if (entries[i].rest[0] != number || entries[i].rest[1] != kValue) continue;
    const NullableDatum found = ValueOf(aggregate, entries[i]);
    if (!bound.isnull && Compare(&order, found.value, bound.value) < 0) continue;
    if (entries[i].count < 0) return false;
    if (entries[i].count == 0) continue;
    if (value->isnull || Compare(&order, found.value, value->value) > 0) *value = found;
  }
  return !value->isnull;
}

bool FinishDistinct(int number, const ValueEntry *entries, int count, NullableDatum *value) {
  int64 distinct = 0;
  for (int i = 0; i < count; i++) {
    if (entries[i].rest[0] != number) continue;
    if (entries[i].count < 0) return false;
    distinct += entries[i].count > 0;
  }
  *value = {Int64GetDatum(distinct), false};
  return true;
}

}  // namespace

bool FinishValues(const Program *program, int aggregate, int64 rows, const ValueEntry *entries, int count,
                  NullableDatum *value) {
  return program->aggregates[aggregate].kind == SumKind::kDistinct
             ? FinishDistinct(aggregate, entries, count, value)
             : FinishExtreme(program, aggregate, rows, entries, count, value);
}

}  // namespace aggcache
