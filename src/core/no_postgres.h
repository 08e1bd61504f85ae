// Put before every file of the core by the build: what belongs to the server is a compile error here.

#ifndef AGGCACHE_CORE_NO_POSTGRES_H
#define AGGCACHE_CORE_NO_POSTGRES_H

#ifdef POSTGRES_H
#error "the core does not see postgres.h"
#endif
#pragma GCC poison palloc palloc0 repalloc pfree ereport elog Datum LWLockAcquire PG_TRY CurrentMemoryContext

#endif
