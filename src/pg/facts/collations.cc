// Keeps no state.

#include "pg/base/server.h"

#include "pg/facts/collations.h"

namespace aggcache {

namespace {

bool IsBytesOnly(const char *locale) { return strcmp(locale, "C") == 0 || strcmp(locale, "POSIX") == 0; }

// Whether a text attribute of a catalog row names such a locale.
bool NamesBytesOnly(int cache, HeapTuple row, AttrNumber attribute) {
  bool is_null;
  Datum locale = SysCacheGetAttr(cache, row, attribute, &is_null);
  return !is_null && IsBytesOnly(TextDatumGetCString(locale));
}

// Locales of PostgreSQL's own order by bytes (from version 17 on); of those of the operating system, C does. Whatever
// the answer is, writers do not ask.
constexpr char kBuiltin = 'b';

bool DatabaseOrdersByBytes() {
  HeapTuple row = SearchSysCache1(DATABASEOID, ObjectIdGetDatum(MyDatabaseId));
  if (!HeapTupleIsValid(row)) return false;
  const char provider = reinterpret_cast<Form_pg_database>(GETSTRUCT(row))->datlocprovider;
  bool result = provider == kBuiltin ||
                (provider == COLLPROVIDER_LIBC && NamesBytesOnly(DATABASEOID, row, Anum_pg_database_datcollate));
  ReleaseSysCache(row);
  return result;
}

}  // namespace

bool OrdersByBytes(Oid collation) {
  if (collation == C_COLLATION_OID) return true;
  if (collation == DEFAULT_COLLATION_OID) return DatabaseOrdersByBytes();
  HeapTuple row = SearchSysCache1(COLLOID, ObjectIdGetDatum(collation));
  if (!HeapTupleIsValid(row)) return false;
  const char provider = reinterpret_cast<Form_pg_collation>(GETSTRUCT(row))->collprovider;
  bool result = provider == kBuiltin ||
                (provider == COLLPROVIDER_LIBC && NamesBytesOnly(COLLOID, row, Anum_pg_collation_collcollate));
  ReleaseSysCache(row);
  return result;
}

bool EqualsByBytes(Oid collation) { return OidIsValid(collation) && get_collation_isdeterministic(collation); }

}  // namespace aggcache
