/*
 * asking: stands for extensions that audit or label what is executed.
 *
 * Tells with a NOTICE which relations a query is about to use and as whom, and refuses the relation and the function
 * that its settings name.
 */
#include "postgres.h"

#include "catalog/objectaccess.h"
#include "catalog/pg_proc.h"
#include "executor/executor.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"

PG_MODULE_MAGIC;

void _PG_init(void);

static char *refused_relation = NULL;
static char *refused_function = NULL;
static ExecutorCheckPerms_hook_type previous_check = NULL;
static object_access_hook_type previous_access = NULL;

static void
tell(List *rangeTable)
{
	ListCell   *cell;

	foreach(cell, rangeTable)
	{
		RangeTblEntry *entry = lfirst_node(RangeTblEntry, cell);
		char	   *name;

		if (entry->rtekind != RTE_RELATION)
			continue;
		name = get_rel_name(entry->relid);
		ereport(NOTICE, (errmsg("asking: %s as %s", name, GetUserNameFromId(GetUserId(), false))));
		if (strcmp(name, refused_relation) == 0)
			ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE), errmsg("asking: %s is refused", name)));
	}
}

#if PG_VERSION_NUM >= 160000
static bool
check(List *rangeTable, List *permInfos, bool ereport_on_violation)
{
	tell(rangeTable);
	return previous_check ? previous_check(rangeTable, permInfos, ereport_on_violation) : true;
}
#else
static bool
check(List *rangeTable, bool ereport_on_violation)
{
	tell(rangeTable);
	return previous_check ? previous_check(rangeTable, ereport_on_violation) : true;
}
#endif

static void
access_object(ObjectAccessType access, Oid classId, Oid objectId, int subId, void *arg)
{
	if (previous_access)
		previous_access(access, classId, objectId, subId, arg);
	if (access == OAT_FUNCTION_EXECUTE && classId == ProcedureRelationId &&
		strcmp(get_func_name(objectId), refused_function) == 0)
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE), errmsg("asking: %s is refused", refused_function)));
}

void
_PG_init(void)
{
	DefineCustomStringVariable("asking.refused_relation", "Names a relation that no query may use.", NULL,
							   &refused_relation, "", PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomStringVariable("asking.refused_function", "Names a function that nobody may execute.", NULL,
							   &refused_function, "", PGC_USERSET, 0, NULL, NULL, NULL);
	previous_check = ExecutorCheckPerms_hook;
	ExecutorCheckPerms_hook = check;
	previous_access = object_access_hook;
	object_access_hook = access_object;
}
