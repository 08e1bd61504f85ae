// Hashes what an opaque function may notice, anew at each call. Keeps no state.

#include "pg/base/server.h"

#include "pg/call/opaque_input.h"

namespace aggcache {

namespace {

uint64_t HashBytes(const void *bytes, size_t size, uint64_t seed) {
  return hash_bytes_extended(static_cast<const unsigned char *>(bytes), static_cast<int>(size), seed);
}

uint64_t HashText(const char *text, uint64_t seed) { return text ? HashBytes(text, strlen(text), seed) : seed; }

uint64_t HashCustomSetting(const struct config_generic *setting, uint64_t seed) {
  seed = HashText(setting->name, seed);
  switch (setting->vartype) {
    case PGC_BOOL: return HashBytes(reinterpret_cast<const config_bool *>(setting)->variable, sizeof(bool), seed);
    case PGC_INT: return HashBytes(reinterpret_cast<const config_int *>(setting)->variable, sizeof(int), seed);
    case PGC_REAL: return HashBytes(reinterpret_cast<const config_real *>(setting)->variable, sizeof(double), seed);
    case PGC_ENUM: return HashBytes(reinterpret_cast<const config_enum *>(setting)->variable, sizeof(int), seed);
    case PGC_STRING: return HashText(*reinterpret_cast<const config_string *>(setting)->variable, seed);
  }
  return seed;
}

// Those of applications and extensions: app.tenant, pg_trgm.similarity_threshold.
uint64_t HashSettings() {
  int count;
  struct config_generic **settings = compat::Settings(&count);
  uint64_t hash = 0;
  for (int i = 0; i < count; i++)
    if (strchr(settings[i]->name, '.') && pg_strncasecmp(settings[i]->name, "aggcache.", 9) != 0)
      hash = HashCustomSetting(settings[i], hash);
  return hash;
}

}  // namespace

OpaqueInput CurrentOpaqueInput() {
  OpaqueInput input;
  input.role = GetUserId();
  input.session_role = GetSessionUserId();
  input.row_security = row_security;
  input.unused = 0;
  input.search_path = HashText(namespace_search_path, 0);
  input.settings = HashSettings();
  return input;
}

bool HasTemporaryObjects() {
  Oid schema, toast_schema;
  GetTempNamespaceState(&schema, &toast_schema);
  return OidIsValid(schema);
}

}  // namespace aggcache
