// Builds the bytes of a key. Keeps a buffer for the latest, which calls within a call may overwrite.

#include "pg/base/server.h"

#include "pg/call/key.h"

#include "pg/base/settings.h"
#include "pg/base/shared.h"
#include "pg/call/opaque_input.h"

namespace aggcache {

namespace {

// The key under construction, kept from call to call and grown as needed.
char *buffer = nullptr;
Size buffer_size = 0;
Size used = 0;
bool too_large = false;

// Longer ones are not kept around for the next key.
constexpr Size kKept = 64 * 1024;
// Keys of this size are built whatever aggcache.max_entry_size is.
constexpr Size kAlways = 8 * 1024;

bool HasRoom(Size more) {
  const Size most = Max(kAlways, static_cast<Size>(settings::max_entry_size_kb) * 1024);
  too_large |= more > most || used > most - more;
  return !too_large;
}

void Append(const void *bytes, Size size) {
  if (!HasRoom(size)) return;
  if (used + size > buffer_size) {
    Size larger = Max(Size{1024}, (used + size) * 2);
    buffer =
        static_cast<char *>(buffer ? repalloc_huge(buffer, larger) : MemoryContextAllocHuge(TopMemoryContext, larger));
    buffer_size = larger;
  }
  memcpy(buffer + used, bytes, size);
  used += size;
}

void AppendValue(const NullableDatum &value, int16 length, bool by_value) {
  char tag = value.isnull ? 1 : 0;
  Append(&tag, 1);
  if (value.isnull) return;
  if (by_value) {
    Append(&value.value, sizeof(Datum));
  } else if (length == -1) {
    // inline, uncompressed and with a long header or a short one: only the contents count
    struct varlena *given = reinterpret_cast<struct varlena *>(DatumGetPointer(value.value));
    if (!HasRoom(toast_raw_datum_size(value.value) - VARHDRSZ)) return;
    struct varlena *plain = pg_detoast_datum_packed(given);
    uint32_t size = static_cast<uint32_t>(VARSIZE_ANY_EXHDR(plain));
    Append(&size, sizeof(size));
    Append(VARDATA_ANY(plain), size);
    if (plain != given) pfree(plain);
  } else if (length == -2) {
    const char *text = DatumGetCString(value.value);
    Append(text, strlen(text) + 1);
  } else {
    Append(DatumGetPointer(value.value), length);
  }
}

void Begin(const Definition *definition) {
  TrimKey();
  used = 0;
  too_large = false;
  uint64_t function = shared::ObjectId(definition->function);
  Append(&function, sizeof(function));
  Append(definition->fingerprint, sizeof(definition->fingerprint));
  if (definition->reads_settings) Append(&CurrentSettings(), sizeof(SettingsImage));
  if (definition->opaque) {
    const OpaqueInput input = CurrentOpaqueInput();
    Append(&input, sizeof(input));
  }
}

Key Finish(const Definition *definition, const NullableDatum *hidden) {
  for (int i = 0; i < definition->hidden_count; i++) {
    const HiddenParameter &parameter = definition->hidden[i];
    // A moment never repeats; the ttl, without which the call is not cached, stands in for it. What else the expression
    // depends on is in the key: other hidden parameters, settings, and by the fingerprint what it says.
    if (parameter.clock) continue;
    AppendValue(hidden[i], parameter.length, parameter.by_value);
  }
  Key key;
  if (too_large) return key;
  key.bytes = buffer;
  key.size = static_cast<uint32_t>(used);
  key.hash = hash_bytes_extended(reinterpret_cast<unsigned char *>(buffer), static_cast<int>(used), 0);
  return key;
}

}  // namespace

void TrimKey() {
  if (buffer_size <= kKept) return;
  pfree(buffer);
  buffer = nullptr;
  buffer_size = 0;
}

Key BuildKey(const Definition *definition, FunctionCallInfo fcinfo, const NullableDatum *hidden) {
  return BuildKeyOf(definition, fcinfo->args, hidden);
}

Key BuildKeyOf(const Definition *definition, const NullableDatum *arguments, const NullableDatum *hidden) {
  Begin(definition);
  for (int i = 0; i < definition->argument_count; i++)
    AppendValue(arguments[i], definition->argument_lengths[i], definition->argument_by_value[i]);
  return Finish(definition, hidden);
}

}  // namespace aggcache
