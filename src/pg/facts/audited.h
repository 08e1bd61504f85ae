// What a function may read besides its arguments, whatever it is declared. Of PostgreSQL's own functions a list tells,
// which a test checks by running them (test/t/036_functions_of_postgres.pl); of C functions the list of audited
// extensions, which test/extensions/check_extensions.sh checks. All others may read anything.

#ifndef AGGCACHE_PG_FACTS_AUDITED_H
#define AGGCACHE_PG_FACTS_AUDITED_H

#include "pg/base/server.h"

namespace aggcache {

enum class Reads : uint8_t {
  kArguments,  // nothing else: equal arguments give equal values, whatever is set, written or defined
  kSettings,   // and settings of SettingsImage, if the arguments are of plain types
  kAnything,   // what cannot be told
};

// The verdict on a function. The functions that an aggregate is made of are judged by themselves, as what they are
// declared to be counts for nothing (VisitAggregateSupport).
Reads WhatReads(Oid function);

// The same of a function that an aggregate is made of: PostgreSQL asks nobody how volatile it is.
Reads WhatSupportReads(Oid function);

// Whose function it is, in words after its name: " of extension unit 7", " in C", or "".
const char *OriginText(Oid function);

// Why it is not known what a function reads, as a sentence.
const char *OpaqueReason(Oid function);

// Whether the function was made by others than who uses it: it is in C, or a member of an extension.
bool IsPackaged(Oid function);

// Tells all sessions that the version or the members of an extension have changed, which no other message does.
void AnnounceExtensionChange();

// ---- audited_extensions.cc

// The extension that an object belongs to, and its version; false if it belongs to none.
bool ExtensionOf(Oid catalog, Oid object, const char **name, const char **version);

// Whether there is anything known of the functions of an extension.
bool IsAuditedExtension(const char *extension, const char *version);

// Whether a C function of that extension, by the name of its symbol, reads nothing but its arguments if it is
// IMMUTABLE or an aggregate consists of it.
bool IsAudited(const char *extension, const char *version, const char *symbol);

// Whether an access method finds exactly the rows of a condition, in exactly the order of an ordering, whatever is set.
bool IsExactAccessMethod(Oid method);

}  // namespace aggcache

#endif
