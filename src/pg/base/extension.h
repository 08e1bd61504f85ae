// The extension in this database and its objects, by oid. They are found by membership of the extension pg_aggcache,
// which only a superuser can create; what others call by the same names is nobody of ours. In a database without the
// extension nothing is found, and nothing is done.
//
// Backend-local: found at first use, and again after the language has come or gone, which it does with the extension,
// or one of the tables has changed.

#ifndef AGGCACHE_PG_BASE_EXTENSION_H
#define AGGCACHE_PG_BASE_EXTENSION_H

#include "pg/base/server.h"

namespace aggcache {

struct Extension {
  Oid language;
  Oid track_row;
  Oid track_truncate;
  Oid dependency;
  Oid dependency_pkey;
  Oid dependency_relation_idx;
  Oid watch;
  Oid watch_pkey;
  Oid watch_use;
  Oid watch_use_pkey;
  Oid watch_use_relation_idx;
  Oid program;
  Oid program_pkey;
  Oid program_relation_idx;
  Oid cell_width;
  Oid cell_width_pkey;
};

// NULL if the extension is not in this database, is being created or dropped, or lacks one of these. What is returned
// is good until catalogs are read again: copy an oid out of it before opening anything. REQUIRES: a transaction, and
// not to be called by an invalidation callback.
const Extension *FindExtension();

// The same; an error if it is not there.
const Extension *RequireExtension();

// Whether a language is ours.
bool IsOurLanguage(Oid language);

// Whether a function is of it; false also if there is no such function.
bool IsCachedFunction(Oid function);

// Installs the invalidation callbacks. Called by _PG_init.
void InstallExtensionCallbacks();

}  // namespace aggcache

#endif
