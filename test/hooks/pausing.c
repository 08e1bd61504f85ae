/*
 * pausing: holds a session still where its commit is seen by others already, and none of its invalidation messages has
 * been sent. PostgreSQL calls back there in each commit; it takes a moment, and nobody can wait for it.
 *
 * While pausing.until names a file, a commit waits for that file to be there.
 */
#include "postgres.h"

#include <unistd.h>

#include "access/xact.h"
#include "fmgr.h"
#include "utils/guc.h"

PG_MODULE_MAGIC;

void _PG_init(void);

static char *file = NULL;

static void
on_transaction(XactEvent event, void *arg)
{
	if (event != XACT_EVENT_COMMIT || file[0] == '\0')
		return;
	while (access(file, F_OK) != 0)
		pg_usleep(10000);
}

void
_PG_init(void)
{
	DefineCustomStringVariable("pausing.until", "Names a file that commits wait for.", NULL, &file, "", PGC_USERSET, 0,
							   NULL, NULL, NULL);
	RegisterXactCallback(on_transaction, NULL);
}
