/*
 * aging: lets 2^32 transaction ids pass at once, as far as anybody can see.
 */
#include "postgres.h"

#include "access/transam.h"
#include "fmgr.h"
#include "storage/lwlock.h"

#if PG_VERSION_NUM >= 170000
#define ShmemVariableCache TransamVariables
#endif

PG_MODULE_MAGIC;

PG_FUNCTION_INFO_V1(advance_epoch);
Datum
advance_epoch(PG_FUNCTION_ARGS)
{
	LWLockAcquire(XidGenLock, LW_EXCLUSIVE);
	LWLockAcquire(ProcArrayLock, LW_EXCLUSIVE);
	ShmemVariableCache->nextXid.value += UINT64CONST(1) << 32;
	ShmemVariableCache->latestCompletedXid.value += UINT64CONST(1) << 32;
	LWLockRelease(ProcArrayLock);
	LWLockRelease(XidGenLock);
	PG_RETURN_VOID();
}
