// The extensions whose C functions have been looked at, each from the lowest to the highest version that was, and what
// in them reads more than its arguments. test/extensions/check_extensions.sh runs them under other settings and with
// other tables.
//
// Functions are named by their symbols, which a rename leaves; a name may end in an asterisk.

#include "pg/base/server.h"

#include "pg/facts/audited.h"

namespace aggcache {

namespace {

struct AuditedExtension {
  const char *name;
  const char *from;
  const char *to;
  const char *const *readers;  // symbols, NULL at the end; NULL: none
  const char *const *others;   // symbols that are no readers although `readers` names them
};

// Of every extension: in these a text is in the client's encoding.
const char *const kAlwaysReaders[] = {"*_send", "*_recv", nullptr};

const char *const kNone[] = {nullptr};
const char *const kAll[] = {"*", nullptr};

// extra_float_digits
const char *const kCubeReaders[] = {"cube_out", nullptr};
// what output and input functions of the columns' types read
const char *const kHstoreReaders[] = {"hstore_from_record", "hstore_populate_record", nullptr};
// isn_weak(), and since version 18 a setting
const char *const kIsnReaders[] = {"*_in", "*_cast_from_ean13", "weak_input_status", "accept_weak_input", nullptr};
// pgcrypto.builtin_crypto_enabled
const char *const kPgcryptoReaders[] = {"pg_crypt", nullptr};

// spatial_ref_sys, what is printed of rows, and, where a text ends early, what is behind it in memory
const char *const kPostgisReaders[] = {"geography_*",
                                       "geom_from_geojson",
                                       "geom_from_gml",
                                       "geometry_estimated_extent",
                                       "geometry_to_json*",
                                       "gserialized_estimated_extent",
                                       "_postgis_*",
                                       "LWGEOM_asGML",
                                       "LWGEOM_asGeoJson*",
                                       "LWGEOM_asKML",
                                       "LWGEOM_in",
                                       "line_from_encoded_polyline",
                                       "parse_WKT_lwgeom",
                                       "pgis_asflatgeobuf_*",
                                       "pgis_asgeobuf_*",
                                       "pgis_asmvt_*",
                                       "pgis_tablefromflatgeobuf",
                                       "postgis_*",
                                       "ST_AsGeoJsonRow",
                                       "ST_AsMARC21",
                                       "ST_EstimatedExtent",
                                       "transform*",
                                       "TWKBFromLWGEOM*",
                                       nullptr};
const char *const kPostgisOthers[] = {"geography_bestsrid", "geography_cmp", "geography_eq",
                                      "geography_ge",       "geography_gt",  "geography_le",
                                      "geography_lt",       "geography_out", nullptr};

// hll_set_defaults(), hll_set_max_sparse(), hll_set_output_version(): all that makes or prints a value
const char *const kHllOthers[] = {"hll_cardinality",    "hll_eq", "hll_expthresh", "hll_hash_*",   "hll_hashval*",
                                  "hll_log2m",          "hll_ne", "hll_regwidth",  "hll_sparseon", "hll_type",
                                  "hll_schema_version", nullptr};

// h3.strict, h3.extend_antimeridian
const char *const kH3Readers[] = {"h3_latlng_to_cell",    "h3_lat_lng_to_cell",  "h3_geo_to_h3",
                                  "h3_cell_to_boundary*", "h3_to_geo_boundary*", nullptr};

const AuditedExtension kAudited[] = {
    {"bloom", "1.0", "1.0", kNone, nullptr},
    {"btree_gin", "1.0", "1.3", kNone, nullptr},
    {"btree_gist", "1.0", "1.8", kNone, nullptr},
    {"citext", "1.0", "1.8", kNone, nullptr},
    {"cube", "1.0", "1.5", kCubeReaders, nullptr},
    {"earthdistance", "1.0", "1.2", kNone, nullptr},
    {"fuzzystrmatch", "1.0", "1.2", kNone, nullptr},
    {"hstore", "1.0", "1.8", kHstoreReaders, nullptr},
    {"intarray", "1.0", "1.5", kNone, nullptr},
    {"isn", "1.0", "1.3", kIsnReaders, nullptr},
    {"ltree", "1.0", "1.3", kNone, nullptr},
    {"pg_trgm", "1.0", "1.6", kNone, nullptr},
    {"pgcrypto", "1.0", "1.4", kPgcryptoReaders, nullptr},
    {"seg", "1.0", "1.4", kNone, nullptr},
    {"uuid-ossp", "1.0", "1.1", kNone, nullptr},
    {"asn1oid", "1", "1", kNone, nullptr},
    {"debversion", "1.1", "1.2", kNone, nullptr},
    {"first_last_agg", "0.1.4", "0.1.4", kNone, nullptr},
    {"h3", "3.7", "4.2.99", kH3Readers, nullptr},
    {"hll", "2.10", "2.21", kAll, kHllOthers},
    {"ip4r", "2.4", "2.4", kNone, nullptr},
    {"jsquery", "1.1", "1.2", kNone, nullptr},
    {"numeral", "1", "1", kNone, nullptr},
    {"pg_rational", "0.0.1", "0.0.3", kNone, nullptr},
    {"postgis", "3.0.0", "3.6.99", kPostgisReaders, kPostgisOthers},
    {"prefix", "1.2.0", "1.2.0", kNone, nullptr},
    {"q3c", "2.0.0", "2.0.2", kNone, nullptr},
    {"semver", "0.31.0", "0.41.99", kNone, nullptr},
    {"tdigest", "1.0.0", "1.4.99", kNone, nullptr},
    {"vector", "0.4.0", "0.8.99", kNone, nullptr},
};

// "_" and "-" and whatever else follows the numbers counts for nothing.
int CompareVersions(const char *a, const char *b) {
  while (*a != '\0' || *b != '\0') {
    char *a_end, *b_end;
    long x = strtol(a, &a_end, 10), y = strtol(b, &b_end, 10);
    if (x != y) return x < y ? -1 : 1;
    a = *a_end == '.' ? a_end + 1 : "";
    b = *b_end == '.' ? b_end + 1 : "";
  }
  return 0;
}

// An asterisk stands for any text, at the beginning or the end of a pattern.
bool Matches(const char *pattern, const char *symbol) {
  size_t length = strlen(pattern), symbol_length = strlen(symbol);
  if (pattern[0] == '*')
    return symbol_length >= length - 1 && strcmp(symbol + symbol_length - (length - 1), pattern + 1) == 0;
  if (pattern[length - 1] == '*') return strncmp(symbol, pattern, length - 1) == 0;
  return strcmp(symbol, pattern) == 0;
}

bool MatchesAny(const char *const *patterns, const char *symbol) {
  for (; patterns && *patterns; patterns++)
    if (Matches(*patterns, symbol)) return true;
  return false;
}

// What is known of a version of an extension, or NULL.
const AuditedExtension *FindAudited(const char *extension, const char *version) {
  for (const AuditedExtension &audited : kAudited)
    if (strcmp(audited.name, extension) == 0 && CompareVersions(version, audited.from) >= 0 &&
        CompareVersions(version, audited.to) <= 0)
      return &audited;
  return nullptr;
}

bool ReadExtension(Oid extension, const char **name, const char **version) {
  Relation catalog = table_open(ExtensionRelationId, AccessShareLock);
  ScanKeyData key;
  ScanKeyInit(&key, Anum_pg_extension_oid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(extension));
  SysScanDesc scan = systable_beginscan(catalog, ExtensionOidIndexId, true, nullptr, 1, &key);
  HeapTuple row = systable_getnext(scan);
  bool found = HeapTupleIsValid(row);
  if (found) {
    *name = pstrdup(NameStr(reinterpret_cast<Form_pg_extension>(GETSTRUCT(row))->extname));
    bool is_null;
    Datum extversion = heap_getattr(row, Anum_pg_extension_extversion, RelationGetDescr(catalog), &is_null);
    *version = is_null ? "" : TextDatumGetCString(extversion);
  }
  systable_endscan(scan);
  table_close(catalog, AccessShareLock);
  return found;
}

}  // namespace

bool ExtensionOf(Oid catalog, Oid object, const char **name, const char **version) {
  Oid extension = getExtensionOfObject(catalog, object);
  return OidIsValid(extension) && ReadExtension(extension, name, version);
}

bool IsAuditedExtension(const char *extension, const char *version) {
  return FindAudited(extension, version) != nullptr;
}

bool IsAudited(const char *extension, const char *version, const char *symbol) {
  const AuditedExtension *audited = FindAudited(extension, version);
  if (audited == nullptr || MatchesAny(kAlwaysReaders, symbol)) return false;
  return !MatchesAny(audited->readers, symbol) || MatchesAny(audited->others, symbol);
}

bool IsExactAccessMethod(Oid method) {
  if (method < FirstNormalObjectId) return true;
  const char *name, *version;
  return ExtensionOf(AccessMethodRelationId, method, &name, &version) && strcmp(name, "bloom") == 0;
}

}  // namespace aggcache
