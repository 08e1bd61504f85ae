// What of a query cannot be seen through: functions that may read more than their arguments.

#ifndef AGGCACHE_PG_BODY_OPACITY_H
#define AGGCACHE_PG_BODY_OPACITY_H

#include "pg/base/server.h"

namespace aggcache {

struct Opacity {
  const char *obstacle;  // what cannot be seen through; NULL if nothing
  bool reads_settings;   // calls a function that reads settings silently
  bool reads_names;      // and labels of enums and the like, which change under the tag of names
  bool shows_columns;    // prints the names of columns
  List *named_rows;      // Oids of the relations whose row types say these
  bool reads_clock;
  List *calls;  // Oids of functions, not built in, that may read anything; called on rows
};
// REQUIRES: hidden parameters taken out. `families` of the relations that the query reads (called_functions.h).
Opacity FindOpacity(Query *query, const List *families);
// The same of one expression, on arguments.
Opacity FindExpressionOpacity(Node *expression);

}  // namespace aggcache

#endif
