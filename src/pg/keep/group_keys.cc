// Keeps no state.

#include "pg/base/server.h"

#include "pg/keep/group_keys.h"

namespace aggcache {

namespace {

void Append(unsigned char *key, uint32_t *size, const void *bytes, uint32_t count) {
  memcpy(key + *size, bytes, count);
  *size += count;
}

// Adds a value; false if it is too long.
bool AppendValue(Oid type, const NullableDatum &value, unsigned char *key, uint32_t *size) {
  int16 length;
  bool by_value;
  get_typlenbyval(type, &length, &by_value);
  if (*size + 16 > kMaxKey) return false;
  key[(*size)++] = value.isnull;
  if (value.isnull) return true;
  if (by_value) {
    // as a row holds it: a datum may have other bits besides
    char bytes[sizeof(Datum)];
    store_att_byval(bytes, value.value, length);
    Append(key, size, bytes, static_cast<uint32_t>(length));
  } else if (length > 0) {
    if (*size + static_cast<uint32_t>(length) > kMaxKey) return false;
    Append(key, size, DatumGetPointer(value.value), static_cast<uint32_t>(length));
  } else {
    struct varlena *packed = PG_DETOAST_DATUM_PACKED(value.value);
    const uint32_t bytes = VARSIZE_ANY_EXHDR(packed);
    if (bytes > kMaxKey - 16 || *size + 4 + bytes > kMaxKey) return false;
    Append(key, size, &bytes, sizeof(bytes));
    Append(key, size, VARDATA_ANY(packed), bytes);
  }
  return true;
}

}  // namespace

bool MakeGroupKey(const Program *program, const NullableDatum *values, unsigned char *key, uint32_t *size) {
  *size = 0;
  ListCell *cell;
  foreach (cell, program->groups)
    if (!AppendValue(exprType(static_cast<Node *>(lfirst(cell))), *values++, key, size)) return false;
  return true;
}

bool ExtendToValue(const Program *program, int aggregate, ValueMark mark, Datum value, unsigned char *key,
                   uint32_t *size) {
  if (*size + 2 > kMaxKey) return false;
  key[(*size)++] = static_cast<unsigned char>(aggregate);
  key[(*size)++] = mark;
  Node *argument = reinterpret_cast<Node *>(program->aggregates[aggregate].argument);
  return AppendValue(exprType(argument), {value, false}, key, size);
}

const unsigned char *ReadValue(Oid type, const unsigned char *key, NullableDatum *value) {
  int16 length;
  bool by_value;
  get_typlenbyval(type, &length, &by_value);
  *value = {Datum{0}, *key++ != 0};
  if (value->isnull) return key;
  uint32_t size = static_cast<uint32_t>(length);
  if (by_value) {
    alignas(sizeof(Datum)) char bytes[sizeof(Datum)];
    memcpy(bytes, key, size);
    value->value = fetch_att(bytes, true, length);
    return key + size;
  }
  if (length < 0) {
    memcpy(&size, key, sizeof(size));
    key += sizeof(size);
  }
  const uint32_t header = length < 0 ? VARHDRSZ : 0;
  char *copy = static_cast<char *>(palloc(header + size));
  if (length < 0) SET_VARSIZE(copy, header + size);
  memcpy(copy + header, key, size);
  value->value = PointerGetDatum(copy);
  return key + size;
}

const unsigned char *ReadGroup(const Program *program, const unsigned char *key, NullableDatum *values) {
  NullableDatum ignored;
  ListCell *cell;
  foreach (cell, program->groups)
    key = ReadValue(exprType(static_cast<Node *>(lfirst(cell))), key, values ? values++ : &ignored);
  return key;
}

}  // namespace aggcache
