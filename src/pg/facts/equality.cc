// The list of pairs is constant; all else is asked of the catalogs and the type cache each time. Keeps no state.

#include "pg/base/server.h"

#include "pg/facts/equality.h"

#include "pg/facts/function_facts.h"

namespace aggcache {

namespace {

// A function by its code.
struct FunctionCode {
  const char *library;  // NULL: one of PostgreSQL's own under another name
  const char *symbol;
};

struct Pair {
  FunctionCode equality, hash;
};

// Read in the sources of the packages. Not here, for their hashes contradict their equality: debversion, semver, spoint
// of pgSphere, raster of PostGIS.
const Pair kPairs[] = {
    {{"$libdir/citext", "citext_eq"}, {"$libdir/citext", "citext_hash"}},
    {{"$libdir/hstore", "hstore_eq"}, {"$libdir/hstore", "hstore_hash"}},
    {{"$libdir/ltree", "ltree_eq"}, {"$libdir/ltree", "hash_ltree"}},
    {{nullptr, "int8eq"}, {nullptr, "hashint8"}},  // isn
    {{"$libdir/postgis-3", "lwgeom_eq"}, {"$libdir/postgis-3", "lwgeom_hash"}},
    {{"$libdir/ip4r", "ip4_eq"}, {"$libdir/ip4r", "ip4hash"}},
    {{"$libdir/ip4r", "ip4r_eq"}, {"$libdir/ip4r", "ip4rhash"}},
    {{"$libdir/ip4r", "ip6_eq"}, {"$libdir/ip4r", "ip6hash"}},
    {{"$libdir/ip4r", "ip6r_eq"}, {"$libdir/ip4r", "ip6rhash"}},
    {{"$libdir/ip4r", "ipaddr_eq"}, {"$libdir/ip4r", "ipaddr_hash"}},
    {{"$libdir/ip4r", "iprange_eq"}, {"$libdir/ip4r", "iprange_hash_new"}},
    {{"h3", "h3index_eq"}, {"h3", "h3index_hash"}},
    {{"$libdir/pgmp", "pmpz_eq"}, {"$libdir/pgmp", "pmpz_hash"}},
};

char *ProcText(HeapTuple row, AttrNumber attribute) {
  bool is_null;
  Datum value = SysCacheGetAttr(PROCOID, row, attribute, &is_null);
  return is_null ? nullptr : TextDatumGetCString(value);
}

// Whether calling the function runs that code and nothing else.
bool IsCode(Oid function, const FunctionCode &code) {
  HeapTuple row = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
  if (!HeapTupleIsValid(row)) return false;
  Form_pg_proc form = reinterpret_cast<Form_pg_proc>(GETSTRUCT(row));
  const char *symbol = ProcText(row, Anum_pg_proc_prosrc);
  const char *library = ProcText(row, Anum_pg_proc_probin);
  bool is_plain = !form->prosecdef && heap_attisnull(row, Anum_pg_proc_proconfig, nullptr);
  bool same = is_plain && symbol && strcmp(symbol, code.symbol) == 0 &&
              form->prolang == (code.library ? ClanguageId : INTERNALlanguageId);
  if (code.library) same = same && library && strcmp(library, code.library) == 0;
  ReleaseSysCache(row);
  return same;
}

// The number of the pair of an equality and a hash function in the list, or -1.
int FindPair(Oid equality, Oid hash) {
  if (!OidIsValid(equality) || !OidIsValid(hash)) return -1;
  for (int i = 0; i < static_cast<int>(lengthof(kPairs)); i++)
    if (IsCode(equality, kPairs[i].equality) && IsCode(hash, kPairs[i].hash)) return i;
  return -1;
}

// Whether a range type compares its bounds as its subtype is compared by default, which is what its hash goes by.
bool ComparesByDefault(Oid range) {
  TypeCacheEntry *entry = lookup_type_cache(range, TYPECACHE_RANGE_INFO);
  TypeCacheEntry *subtype = lookup_type_cache(entry->rngelemtype->type_id, TYPECACHE_CMP_PROC);
  return IsBuiltIn(subtype->cmp_proc) && entry->rng_cmp_proc_finfo.fn_oid == subtype->cmp_proc;
}

// Whether hashing and comparing values of the type calls nothing but PostgreSQL's own functions, and ever will.
bool IsHashedByBuiltIns(Oid type) {
  for (;;) {
    type = getBaseType(type);
    if (type_is_rowtype(type)) return false;
    TypeCacheEntry *entry = lookup_type_cache(type, TYPECACHE_EQ_OPR | TYPECACHE_HASH_PROC | TYPECACHE_HASH_OPFAMILY);
    if (!OidIsValid(entry->hash_proc) || !IsBuiltIn(entry->hash_proc) || !IsBuiltIn(entry->hash_opf) ||
        !OidIsValid(entry->eq_opr) || !IsBuiltIn(entry->eq_opr))
      return false;
    const Oid element = get_element_type(type);
    const char kind = get_typtype(type);
    if (OidIsValid(element)) {
      type = element;
    } else if (kind == TYPTYPE_MULTIRANGE) {
      type = get_multirange_range(type);
    } else if (kind == TYPTYPE_RANGE) {
      if (!ComparesByDefault(type)) return false;
      type = get_range_subtype(type);
    } else {
      // A type that borrows the class of another one by a cast may lose it.
      return IsBuiltIn(type) || kind == TYPTYPE_ENUM;
    }
  }
}

bool IsOthersFunction(Oid function, void *) { return !IsBuiltIn(function); }

bool OthersFunctionWalker(Node *node, void *) {
  if (node == nullptr) return false;
  if (check_functions_in_node(node, IsOthersFunction, nullptr)) return true;
  return compat::WalkExpression(node, OthersFunctionWalker, nullptr);
}

}  // namespace

bool FindHashRule(Oid type, HashRule *rule) {
  // A row type may get an attribute that cannot be hashed; writers must not notice.
  if (HoldsRows(type)) return false;
  TypeCacheEntry *entry = lookup_type_cache(type, TYPECACHE_EQ_OPR | TYPECACHE_HASH_PROC | TYPECACHE_HASH_OPFAMILY);
  if (!OidIsValid(entry->hash_proc) || !OidIsValid(entry->hash_opf) || !OidIsValid(entry->eq_opr)) return false;
  *rule = {entry->hash_opf, entry->hash_proc, -1, false};
  if (IsHashedByBuiltIns(type)) return true;
  rule->pair = FindPair(get_opcode(entry->eq_opr), entry->hash_proc);
  rule->replaceable = true;
  return rule->pair >= 0;
}

bool IsTrustedEquality(const HashRule &rule, Oid operation, Oid function) {
  if (!OidIsValid(function)) return false;
  if (rule.pair < 0) return IsBuiltIn(operation) && IsBuiltIn(function);
  return IsCode(get_opcode(operation), kPairs[rule.pair].equality) && IsCode(function, kPairs[rule.pair].hash);
}

bool HasOthersFunctions(Node *expression) { return OthersFunctionWalker(expression, nullptr); }

}  // namespace aggcache
