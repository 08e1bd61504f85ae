// What a field may follow, from PostgreSQL's documentation of formatting. Anything else is not known to be in order.

#include "pg/base/server.h"

#include "pg/watch/formats.h"

namespace aggcache {

namespace {

struct Field {
  const char *word;
  const char *after;  // the fields that it may follow, between spaces; "": it begins
};

// Longer words come before those that they begin with.
constexpr Field kFields[] = {
    {"YYYY", ""},     {"IYYY", ""},     {"IDDD", " IYYY "},           {"ID", " IW "},
    {"IW", " IYYY "}, {"Q", " YYYY "},  {"MM", " YYYY Q "},           {"DDD", " YYYY Q "},
    {"DD", " MM "},   {"WW", " YYYY "}, {"HH24", " DD DDD ID IDDD "}, {"MI", " HH24 "},
    {"SS", " MI "},
};

// In capitals or without any: 'Mm' is no field but text.
bool BeginsWith(const char *at, const char *word) {
  bool upper = true, lower = true;
  for (; *word; at++, word++) {
    upper &= *at == *word;
    lower &= *at == static_cast<char>(pg_ascii_tolower(static_cast<unsigned char>(*word)));
    if (!upper && !lower) return false;
  }
  return true;
}

const Field *FindField(const char *at) {
  for (const Field &field : kFields)
    if (BeginsWith(at, field.word)) return &field;
  return nullptr;
}

bool Follows(const Field &field, const Field *before) {
  if (before == nullptr) return field.after[0] == '\0';
  char word[16];
  snprintf(word, sizeof(word), " %s ", before->word);
  return strstr(field.after, word) != nullptr;
}

}  // namespace

bool IsOrderedFormat(const char *format) {
  const Field *before = nullptr;
  for (const char *at = format; *at;) {
    if (strchr("-/.,:;_ ", *at)) {
      at++;
    } else if (*at == '"') {
      const char *end = strchr(at + 1, '"');
      if (end == nullptr || memchr(at, '\\', static_cast<size_t>(end - at))) return false;
      at = end + 1;
    } else {
      const Field *field = FindField(at);
      if (field == nullptr || !Follows(*field, before)) return false;
      before = field;
      at += strlen(field->word);
    }
  }
  return before != nullptr;
}

}  // namespace aggcache
