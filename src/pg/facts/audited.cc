// Of PostgreSQL's own functions, those that are not IMMUTABLE may read anything, and those that are read their
// arguments only; exceptions to both are below, most of them by name. Keeps no state.

#include "pg/base/server.h"

#include "pg/facts/audited.h"

namespace aggcache {

namespace {

// ---- PostgreSQL's own functions ---------------------------------------------------------------------------------

// IMMUTABLE, by the name in the source (prosrc), and readers of settings of SettingsImage all the same.
const char *const kImmutableSettingsReaders[] = {
    "box_out",  "byteaout",  "circle_out", "float4out",   "float8out",      "line_out",        "lseg_out",
    "path_out", "point_out", "poly_out",   "quote_ident", "timestamp_zone", "timestamptz_age", "timestamptz_zone"};

// IMMUTABLE, and readers of catalogs, of the server's state, or of settings that are in no key, as client_encoding.
const char *const kImmutableReaders[] = {"brin_minmax_multi_summary_out",
                                         "json_send",
                                         "jsonb_send",
                                         "jsonpath_send",
                                         "pg_indexam_progress_phasename",
                                         "pg_mcv_list_out",
                                         "pg_partition_root",
                                         "pg_walfile_name",
                                         "pg_walfile_name_offset",
                                         "postgresql_fdw_validator",
                                         "satisfies_hash_partition",
                                         "ts_parse_byid",
                                         "ts_token_type_byid",
                                         "tsquerysend",
                                         "tsvectorsend",
                                         "unknownsend"};

// STABLE, by name, and readers of nothing but settings of SettingsImage.
const char *const kStableSettingsReaders[] = {"age",
                                              "anytextcat",
                                              "array_to_json",
                                              "array_to_string",
                                              "concat",
                                              "concat_ws",
                                              "date",
                                              "date_part",
                                              "date_trunc",
                                              "extract",
                                              "format",
                                              "generate_series",
                                              "in_range",
                                              "json_agg",
                                              "json_agg_transfn",
                                              "json_build_array",
                                              "json_build_object",
                                              "json_object_agg",
                                              "json_object_agg_transfn",
                                              "jsonb_agg",
                                              "jsonb_agg_finalfn",
                                              "jsonb_agg_transfn",
                                              "jsonb_build_array",
                                              "jsonb_build_object",
                                              "jsonb_object_agg",
                                              "jsonb_object_agg_finalfn",
                                              "jsonb_object_agg_transfn",
                                              "make_timestamptz",
                                              "interval_pl_timestamptz",
                                              "overlaps",
                                              "quote_literal",
                                              "quote_nullable",
                                              "row_to_json",
                                              "textanycat",
                                              "time",
                                              "timestamp",
                                              "timestamptz",
                                              "timestamptz_mi_interval",
                                              "timestamptz_pl_interval",
                                              "timezone",
                                              "to_char",
                                              "to_date",
                                              "to_json",
                                              "to_jsonb",
                                              "to_number",
                                              "to_timestamp"};

// The same, by the name in the source: between money and numbers lc_monetary says how many digits are fractions.
const char *const kStableSettingsSources[] = {"cash_numeric", "int4_cash", "int8_cash", "numeric_cash"};

template <size_t count>
bool Holds(const char *const (&list)[count], const char *name) {
  for (const char *entry : list)
    if (strcmp(entry, name) == 0) return true;
  return false;
}

bool IsStableSettingsReader(Form_pg_proc form, const char *source) {
  const char *name = NameStr(form->proname);
  // the age of one argument is that at midnight today
  if (strcmp(name, "age") == 0) return form->pronargs == 2;
  // whether it is summer time in a zone is asked of the clock, where the time has no date
  if (strcmp(name, "timezone") == 0 && strncmp(source, "timetz_", 7) == 0) return false;
  if (Holds(kStableSettingsReaders, name) || Holds(kStableSettingsSources, source)) return true;
  // the comparisons of dates and timestamps across types
  return (strncmp(name, "date_", 5) == 0 || strncmp(name, "timestamp_", 10) == 0 ||
          strncmp(name, "timestamptz_", 12) == 0) &&
         (strstr(name, "_cmp_") || strstr(name, "_eq_") || strstr(name, "_ne_") || strstr(name, "_lt_") ||
          strstr(name, "_le_") || strstr(name, "_gt_") || strstr(name, "_ge_"));
}

// Text search configurations and dictionaries are catalogs, whatever the functions are declared.
bool TakesCatalogObject(Form_pg_proc form) {
  for (int i = 0; i < form->pronargs; i++)
    if (form->proargtypes.values[i] == REGCONFIGOID || form->proargtypes.values[i] == REGDICTIONARYOID) return true;
  return false;
}

// The verdict on one of PostgreSQL's own functions; `source` is its name in the source.
Reads WhatBuiltInReads(Form_pg_proc form, const char *source) {
  if (TakesCatalogObject(form)) return Reads::kAnything;
  if (form->provolatile == PROVOLATILE_STABLE)
    return IsStableSettingsReader(form, source) ? Reads::kSettings : Reads::kAnything;
  if (form->provolatile != PROVOLATILE_IMMUTABLE || Holds(kImmutableReaders, source)) return Reads::kAnything;
  return Holds(kImmutableSettingsReaders, source) ? Reads::kSettings : Reads::kArguments;
}

// ---- Functions of others ----------------------------------------------------------------------------------------

// What a function consists of (prosrc): of one in C the symbol, of one of PostgreSQL's own its name in the source.
char *SourceOf(HeapTuple row) {
  bool is_null;
  Datum source = SysCacheGetAttr(PROCOID, row, Anum_pg_proc_prosrc, &is_null);
  return is_null ? pstrdup("") : TextDatumGetCString(source);
}

// A function that somebody has made of one of PostgreSQL's own is that one, whatever it is declared.
Reads WhatAliasReads(Form_pg_proc alias, const char *source) {
  HeapTuple row = SearchSysCache1(PROCOID, ObjectIdGetDatum(fmgr_internal_function(source)));
  if (!HeapTupleIsValid(row)) return Reads::kAnything;
  Reads reads = WhatBuiltInReads(reinterpret_cast<Form_pg_proc>(GETSTRUCT(row)), source);
  ReleaseSysCache(row);
  return TakesCatalogObject(alias) ? Reads::kAnything : reads;
}

// The verdict by a row of pg_proc.
Reads WhatRowReads(HeapTuple row, bool as_support) {
  Form_pg_proc form = reinterpret_cast<Form_pg_proc>(GETSTRUCT(row));
  char *source = SourceOf(row);
  if (form->oid < FirstNormalObjectId) return WhatBuiltInReads(form, source);
  if (form->prokind == PROKIND_AGGREGATE)
    return form->provolatile == PROVOLATILE_IMMUTABLE ? Reads::kArguments : Reads::kAnything;
  if (form->prolang == INTERNALlanguageId) return WhatAliasReads(form, source);
  if (form->prolang != ClanguageId) return Reads::kAnything;
  if (form->provolatile != PROVOLATILE_IMMUTABLE && !(as_support && form->provolatile == PROVOLATILE_VOLATILE))
    return Reads::kAnything;
  const char *extension, *version;
  if (!ExtensionOf(ProcedureRelationId, form->oid, &extension, &version)) return Reads::kAnything;
  return IsAudited(extension, version, source) ? Reads::kArguments : Reads::kAnything;
}

bool IsInC(Oid function) {
  HeapTuple row = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
  if (!HeapTupleIsValid(row)) return false;
  bool is = reinterpret_cast<Form_pg_proc>(GETSTRUCT(row))->prolang == ClanguageId;
  ReleaseSysCache(row);
  return is;
}

// `as_support`: of a function that an aggregate is made of.
Reads WhatReads(Oid function, bool as_support) {
  HeapTuple row = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
  if (!HeapTupleIsValid(row)) elog(ERROR, "cache lookup failed for function %u", function);
  Reads reads = WhatRowReads(row, as_support);
  ReleaseSysCache(row);
  return reads;
}

}  // namespace

Reads WhatReads(Oid function) { return WhatReads(function, false); }

Reads WhatSupportReads(Oid function) { return WhatReads(function, true); }

void AnnounceExtensionChange() {
  Relation catalog = table_open(ProcedureRelationId, AccessShareLock);
  HeapTuple row = SearchSysCache1(PROCOID, ObjectIdGetDatum(F_NOW));
  if (!HeapTupleIsValid(row)) elog(ERROR, "cache lookup failed for function %u", F_NOW);
  CacheInvalidateHeapTuple(catalog, row, nullptr);
  ReleaseSysCache(row);
  table_close(catalog, AccessShareLock);
}

bool IsPackaged(Oid function) {
  if (function < FirstNormalObjectId) return false;
  return IsInC(function) || OidIsValid(getExtensionOfObject(ProcedureRelationId, function));
}

const char *OriginText(Oid function) {
  const char *extension, *version;
  if (ExtensionOf(ProcedureRelationId, function, &extension, &version))
    return psprintf(" of extension %s %s", extension, version);
  return IsInC(function) ? " in C" : "";
}

const char *OpaqueReason(Oid function) {
  if (IsInC(function)) {
    const char *extension, *version;
    if (!ExtensionOf(ProcedureRelationId, function, &extension, &version))
      return "What the function reads cannot be seen: it is in C, and belongs to no extension.";
    if (IsAuditedExtension(extension, version))
      return psprintf("The function, of extension %s %s, reads more than its arguments.", extension, version);
    return psprintf("What the function reads cannot be seen, and nothing is known of functions of extension %s %s.",
                    extension, version);
  }
  return "What the function reads cannot be seen.";
}

}  // namespace aggcache
