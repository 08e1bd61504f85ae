// The settings are asked for at each call, so this session keeps their image, and hashes texts again only if they have
// changed.

#include "pg/base/server.h"

#include "pg/body/environment.h"

// Of utils/pg_locale.h, which needs the headers of ICU.
extern "C" {
extern PGDLLIMPORT char *locale_monetary;
extern PGDLLIMPORT char *locale_numeric;
extern PGDLLIMPORT char *locale_time;
}

namespace aggcache {

namespace {

// The text settings and the zone by address: an assignment always makes a new string, but may make it where an old one
// was, so the contents are compared too, as far as they fit.
struct TextSetting {
  char text[64];
  bool Update(const char *now) {
    if (now == nullptr) now = "";
    if (strncmp(text, now, sizeof(text)) == 0 && strlen(now) < sizeof(text)) return false;
    strlcpy(text, now, sizeof(text));
    return true;
  }
};

TextSetting texts[5];
char **abbreviations = nullptr;  // the setting timezone_abbreviations
const pg_tz *zone = nullptr;
SettingsImage image;

uint64_t HashSettingText(const char *text, uint64_t seed) {
  if (text == nullptr) text = "";
  return hash_bytes_extended(reinterpret_cast<const unsigned char *>(text), static_cast<int>(strlen(text)), seed);
}

}  // namespace

const SettingsImage &CurrentSettings() {
  if (zone != session_timezone) {
    zone = session_timezone;
    image.time_zone = HashSettingText(zone ? pg_get_timezone_name(session_timezone) : "", 1);
  }
  image.date_style = DateStyle;
  image.date_order = DateOrder;
  image.interval_style = IntervalStyle;
  image.extra_float_digits = extra_float_digits;
  image.bytea_output = bytea_output;
  image.xml_binary = xmlbinary;
  image.xml_option = xmloption;
  image.flags = (standard_conforming_strings ? 1 : 0) | (Transform_null_equals ? 2 : 0) | (Array_nulls ? 4 : 0) |
                (quote_all_identifiers ? 8 : 0) | (static_cast<int32_t>(backslash_quote) << 4);
  bool changed = texts[0].Update(locale_monetary);
  changed |= texts[1].Update(locale_numeric);
  changed |= texts[2].Update(locale_time);
  changed |= texts[3].Update(TSCurrentConfig);
  if (abbreviations == nullptr) abbreviations = compat::TextSettingVariable("timezone_abbreviations");
  if (abbreviations) changed |= texts[4].Update(*abbreviations);
  if (changed || image.texts == 0) {
    uint64_t hash = HashSettingText(locale_monetary, 2);
    hash = HashSettingText(locale_numeric, hash);
    hash = HashSettingText(locale_time, hash);
    hash = HashSettingText(TSCurrentConfig, hash);
    image.texts = HashSettingText(texts[4].text, hash) | 1;
  }
  return image;
}

Environment CaptureEnvironment(MemoryContext context) {
  Environment environment;
  memset(&environment, 0, sizeof(environment));
  environment.search_path = compat::CurrentSearchPath(context);
  environment.settings = CurrentSettings();
  environment.role = GetUserId();
  environment.row_security = row_security;
  return environment;
}

bool IsCurrentEnvironment(const Environment &environment) {
  if (!IsSameRole(environment)) return false;
  if (memcmp(&environment.settings, &CurrentSettings(), sizeof(SettingsImage)) != 0) return false;
  return compat::IsCurrentSearchPath(environment.search_path);
}

}  // namespace aggcache
