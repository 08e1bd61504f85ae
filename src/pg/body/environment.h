// What parsing, rewriting and STABLE functions read besides the catalogs and their arguments: the search path, the role
// (its policies, and the schemas in which it may look names up), and settings. A definition is good in the environment
// that it was made in.

#ifndef AGGCACHE_PG_BODY_ENVIRONMENT_H
#define AGGCACHE_PG_BODY_ENVIRONMENT_H

#include "pg/base/server.h"

namespace aggcache {

// The settings that parsing and built-in STABLE functions read silently, as plain bytes without padding.
struct SettingsImage {
  uint64_t time_zone;  // hash of the zone's canonical name
  int32_t date_style;
  int32_t date_order;
  int32_t interval_style;
  int32_t extra_float_digits;
  int32_t bytea_output;
  int32_t xml_binary;
  int32_t xml_option;
  int32_t
      flags;  // standard_conforming_strings, backslash_quote, transform_null_equals, array_nulls, quote_all_identifiers
  uint64_t texts;  // hash of lc_monetary, lc_numeric, lc_time, default_text_search_config, timezone_abbreviations
};

struct Environment {
  compat::SearchPath *search_path;
  SettingsImage settings;
  Oid role;
  bool row_security;
};

// The settings as they are now. Costs some nanoseconds unless one has changed.
const SettingsImage &CurrentSettings();

// Captures the environment into `context`.
Environment CaptureEnvironment(MemoryContext context);

// Whether policies and names of relations are those of that environment's role.
inline bool IsSameRole(const Environment &environment) {
  return environment.role == GetUserId() && environment.row_security == row_security;
}

// Whether the current environment is that one.
bool IsCurrentEnvironment(const Environment &environment);

}  // namespace aggcache

#endif
