/*
 * A set-returning function in materialize mode that returns the same five rows whatever it is asked: what any function
 * that hands out five rows (status text, tasks bigint, hours numeric) must at least cost.
 */
#include "postgres.h"

#include "commands/trigger.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/numeric.h"

PG_MODULE_MAGIC;

PG_FUNCTION_INFO_V1(constant_rows);

Datum
constant_rows(PG_FUNCTION_ARGS)
{
	static const char *const names[] = {"blocked", "busy", "done", "open", "review"};
	static Datum values[5][3];
	static bool ready = false;
	bool		nulls[3] = {false, false, false};
	ReturnSetInfo *info = (ReturnSetInfo *) fcinfo->resultinfo;

	if (!ready)
	{
		MemoryContext outer = MemoryContextSwitchTo(TopMemoryContext);

		for (int i = 0; i < 5; i++)
		{
			values[i][0] = PointerGetDatum(cstring_to_text(names[i]));
			values[i][1] = Int64GetDatum(1000 + i);
			values[i][2] = NumericGetDatum(int64_to_numeric(12345 + i));
		}
		ready = true;
		MemoryContextSwitchTo(outer);
	}
	/* Not the descriptor from the catalogs: looking it up costs as much as all the rest. */
	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
	for (int i = 0; i < 5; i++)
		tuplestore_putvalues(info->setResult, info->setDesc, values[i], nulls);
	return (Datum) 0;
}

/* A row trigger that does nothing. */
PG_FUNCTION_INFO_V1(empty_trigger);

Datum
empty_trigger(PG_FUNCTION_ARGS)
{
	return PointerGetDatum(NULL);
}
