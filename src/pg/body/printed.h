// What the text of a value depends on besides the value, where a function prints what it gets, as concat and to_json
// do.

#ifndef AGGCACHE_PG_BODY_PRINTED_H
#define AGGCACHE_PG_BODY_PRINTED_H

#include "pg/base/server.h"

#include "pg/body/row_identity.h"

namespace aggcache {

// The greater comprises the lesser.
enum class Printed : uint8_t {
  kBySettings,  // SettingsImage at most
  kByNames,     // and labels of enums, which change under the tag of names
  kUnknown,
};

// By the output function of the type.
Printed TextOf(Oid type);

// The same of reading a value from a text, which must not show the clock.
Printed InputOf(Oid type);

// Rows that are printed with the names of their columns.
struct PrintedRows {
  bool any;
  List *relations;  // Oids of those whose row types say the names; in other rows the query does
};

// As JSON. Of a row all columns count; it is added to *rows. `level` is the query of which the expression is a part;
// NULL if it reads no column.
Printed JsonOf(Node *expression, const QueryLevel *level, PrintedRows *rows);

}  // namespace aggcache

#endif
