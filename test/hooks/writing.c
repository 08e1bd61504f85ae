/*
 * writing: stands for extensions that change rows by themselves, so that no trigger fires.
 *
 * Tables have columns of type int only, and no indexes.
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "executor/tuptable.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

PG_MODULE_MAGIC;

static HeapTuple
form(Relation relation, int value)
{
	Datum	   *values = palloc(sizeof(Datum) * RelationGetDescr(relation)->natts);
	bool	   *nulls = palloc0(sizeof(bool) * RelationGetDescr(relation)->natts);
	int			i;

	for (i = 0; i < RelationGetDescr(relation)->natts; i++)
		values[i] = Int32GetDatum(value);
	return heap_form_tuple(RelationGetDescr(relation), values, nulls);
}

/* how: by which function of the table's access method; the lock is given back at once if `unlock` is set */
PG_FUNCTION_INFO_V1(write_insert);
Datum
write_insert(PG_FUNCTION_ARGS)
{
	Relation	relation = table_open(PG_GETARG_OID(0), RowExclusiveLock);
	HeapTuple	tuple = form(relation, PG_GETARG_INT32(1));
	char	   *how = text_to_cstring(PG_GETARG_TEXT_PP(2));
	TupleTableSlot *slot = MakeSingleTupleTableSlot(RelationGetDescr(relation), &TTSOpsHeapTuple);

	ExecStoreHeapTuple(tuple, slot, false);
	if (strcmp(how, "simple") == 0)
		simple_heap_insert(relation, tuple);
	else if (strcmp(how, "table") == 0)
		table_tuple_insert(relation, slot, GetCurrentCommandId(true), 0, NULL);
	else if (strcmp(how, "frozen") == 0)
		table_tuple_insert(relation, slot, GetCurrentCommandId(true), TABLE_INSERT_FROZEN, NULL);
	else if (strcmp(how, "multi") == 0)
		heap_multi_insert(relation, &slot, 1, GetCurrentCommandId(true), 0, NULL);
	else
		elog(ERROR, "unknown way to write");
	ExecDropSingleTupleTableSlot(slot);
	table_close(relation, PG_GETARG_BOOL(3) ? RowExclusiveLock : NoLock);
	CommandCounterIncrement();
	PG_RETURN_VOID();
}

/* Changes or deletes all rows that it sees. */
static void
change_all(Relation relation, bool change, int value)
{
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	TableScanDesc scan = table_beginscan(relation, snapshot, 0, NULL);
	HeapTuple	old;

	while ((old = heap_getnext(scan, ForwardScanDirection)) != NULL)
	{
		HeapTuple	tuple = form(relation, value);

		if (!change)
			simple_heap_delete(relation, &old->t_self);
		else
		{
#if PG_VERSION_NUM >= 160000
			TU_UpdateIndexes indexes;

			simple_heap_update(relation, &old->t_self, tuple, &indexes);
#else
			simple_heap_update(relation, &old->t_self, tuple);
#endif
		}
	}
	table_endscan(scan);
	UnregisterSnapshot(snapshot);
}

PG_FUNCTION_INFO_V1(write_update);
Datum
write_update(PG_FUNCTION_ARGS)
{
	Relation	relation = table_open(PG_GETARG_OID(0), RowExclusiveLock);

	change_all(relation, true, PG_GETARG_INT32(1));
	table_close(relation, NoLock);
	CommandCounterIncrement();
	PG_RETURN_VOID();
}

PG_FUNCTION_INFO_V1(write_delete);
Datum
write_delete(PG_FUNCTION_ARGS)
{
	Relation	relation = table_open(PG_GETARG_OID(0), RowExclusiveLock);

	change_all(relation, false, 0);
	table_close(relation, NoLock);
	CommandCounterIncrement();
	PG_RETURN_VOID();
}
