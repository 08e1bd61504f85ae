/*
 * growing: stands for extensions that make a child table for the rows that are inserted into its parent, by their own
 * calls and not by statements, with the row triggers of the parent, which they make as triggers are by default.
 */
#include "postgres.h"

#include "access/table.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_trigger.h"
#include "commands/tablecmds.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

PG_MODULE_MAGIC;

static void
copy_triggers(Relation parent, Oid child)
{
	TriggerDesc *triggers = parent->trigdesc;

	for (int i = 0; i < triggers->numtriggers; i++)
	{
		Trigger    *trigger = &triggers->triggers[i];
		CreateTrigStmt *statement = makeNode(CreateTrigStmt);

		if (!TRIGGER_FOR_ROW(trigger->tgtype) || TRIGGER_FOR_BEFORE(trigger->tgtype))
			continue;
		statement->trigname = trigger->tgname;
		statement->funcname = list_make2(makeString(get_namespace_name(get_func_namespace(trigger->tgfoid))),
										 makeString(get_func_name(trigger->tgfoid)));
		statement->row = true;
		statement->timing = TRIGGER_TYPE_AFTER;
		statement->events = trigger->tgtype & (TRIGGER_TYPE_INSERT | TRIGGER_TYPE_UPDATE | TRIGGER_TYPE_DELETE);
		CreateTrigger(statement, NULL, child, InvalidOid, InvalidOid, InvalidOid, InvalidOid, InvalidOid, NULL, false,
					  false);
	}
}

static void
make_child(Relation parent, const char *schema, const char *name)
{
	CreateStmt *statement = makeNode(CreateStmt);
	Oid			role;
	int			security;

	GetUserIdAndSecContext(&role, &security);
	SetUserIdAndSecContext(parent->rd_rel->relowner, security | SECURITY_LOCAL_USERID_CHANGE);
	statement->relation = makeRangeVar(pstrdup(schema), pstrdup(name), -1);
	statement->inhRelations = list_make1(makeRangeVar(pstrdup(schema), pstrdup(RelationGetRelationName(parent)), -1));
	statement->oncommit = ONCOMMIT_NOOP;
	DefineRelation(statement, RELKIND_RELATION, parent->rd_rel->relowner, NULL, NULL);
	CommandCounterIncrement();
	copy_triggers(parent, get_relname_relid(name, RelationGetNamespace(parent)));
	CommandCounterIncrement();
	SetUserIdAndSecContext(role, security);
}

PG_FUNCTION_INFO_V1(grow);

/* BEFORE INSERT ... FOR EACH ROW: puts the row into the child that is named by its first column. */
Datum
grow(PG_FUNCTION_ARGS)
{
	TriggerData *data = (TriggerData *) fcinfo->context;
	Relation	parent = data->tg_relation;
	char	   *schema = get_namespace_name(RelationGetNamespace(parent));
	char	   *name;
	bool		isnull;
	Oid			type = parent->rd_rel->reltype;
	Datum		row = heap_copy_tuple_as_datum(data->tg_trigtuple, RelationGetDescr(parent));

	name = psprintf("%s_%d", RelationGetRelationName(parent),
					DatumGetInt32(heap_getattr(data->tg_trigtuple, 1, RelationGetDescr(parent), &isnull)));
	if (!OidIsValid(get_relname_relid(name, RelationGetNamespace(parent))))
		make_child(parent, schema, name);
	SPI_connect();
	if (SPI_execute_with_args(psprintf("INSERT INTO %s SELECT ($1).*", quote_qualified_identifier(schema, name)),
							  1, &type, &row, NULL, false, 0) != SPI_OK_INSERT)
		elog(ERROR, "could not insert");
	SPI_finish();
	return PointerGetDatum(NULL);
}
