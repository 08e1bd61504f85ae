#include "pg/server.h"

#include "pg/conversions.h"

extern "C" {
#include "catalog/pg_conversion.h"
}

namespace aggcache {

namespace {

bool IsConverting(Oid function, void *) {
  return function == F_CONVERT || function == F_CONVERT_FROM || function == F_CONVERT_TO;
}

bool ConvertingWalker(Node *node, void *) {
  if (node == nullptr) return false;
  if (IsA(node, Query)) return compat::WalkQuery(reinterpret_cast<Query *>(node), ConvertingWalker, nullptr);
  if (check_functions_in_node(node, IsConverting, nullptr)) return true;
  return compat::WalkExpression(node, ConvertingWalker, nullptr);
}

}  // namespace

// convert() and its kin take the first default conversion on the search path for the two encodings. Those of
// PostgreSQL do not change.
uint64_t FingerprintConversions(Query *query) {
  if (!ConvertingWalker(reinterpret_cast<Node *>(query), nullptr)) return 0;
  uint64_t fingerprint = 0;
  Relation catalog = table_open(ConversionRelationId, AccessShareLock);
  SysScanDesc scan = systable_beginscan(catalog, InvalidOid, false, nullptr, 0, nullptr);
  for (HeapTuple row = systable_getnext(scan); HeapTupleIsValid(row); row = systable_getnext(scan)) {
    auto *form = reinterpret_cast<Form_pg_conversion>(GETSTRUCT(row));
    if (form->oid < FirstNormalObjectId || !form->condefault) continue;
    // whatever the order in which they are found
    fingerprint += hash_combine64(hash_combine64(form->oid, HeapTupleHeaderGetRawXmin(row->t_data)),
                                  static_cast<uint64_t>(form->connamespace) << 32 | form->conproc);
  }
  systable_endscan(scan);
  table_close(catalog, AccessShareLock);
  if (fingerprint == 0) return 0;
  ListCell *cell;
  foreach (cell, fetch_search_path(true)) fingerprint = hash_combine64(fingerprint, lfirst_oid(cell));
  return fingerprint;
}

}  // namespace aggcache
