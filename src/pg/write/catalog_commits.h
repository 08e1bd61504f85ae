// Changes of functions, roles and privileges, as results see them that rest on functions into which nobody looks.
//
// The catalogs have two tags, like wide tags of tables: one of all functions, operators, casts, enums and schemas of a
// database, one of all roles and memberships. Whoever changes one registers there (hooks.cc); results that rest on such
// functions carry both.
//
// No lock keeps functions and privileges from changing under a computation as locks on relations keep these. A
// transaction that has committed is seen by others before its invalidation messages reach them, and what they compute
// then with a function from before would be stored as of after. So whoever has registered under a wide tag takes a lock
// for the time of its commit, which ends after the messages are sent; who wants to store looks, before it computes,
// whether anybody holds it, and then accepts the messages. Nobody waits for more than that look.

#ifndef AGGCACHE_PG_WRITE_CATALOG_COMMITS_H
#define AGGCACHE_PG_WRITE_CATALOG_COMMITS_H

#include "pg/base/server.h"

namespace aggcache {

uint64_t NamesTag();
uint64_t RolesTag();

// This transaction has registered under a wide tag, of a table or of catalogs.
void NoteChangedCatalogs();

// Before a commit, and at the end of a transaction.
void AnnounceCommitOfCatalogs();
void ForgetChangedCatalogs();

// Whether no transaction is in the middle of committing such changes. From then on this session knows of all that its
// next snapshot sees.
bool CatalogsAreSettled();

}  // namespace aggcache

#endif
