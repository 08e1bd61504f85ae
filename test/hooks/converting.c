/*
 * converting: a conversion between encodings that turns letters into capitals, so that it shows who has converted.
 */
#include "postgres.h"

#include "fmgr.h"

PG_MODULE_MAGIC;

PG_FUNCTION_INFO_V1(convert_capitals);
Datum
convert_capitals(PG_FUNCTION_ARGS)
{
	unsigned char *source = (unsigned char *) PG_GETARG_CSTRING(2);
	unsigned char *target = (unsigned char *) PG_GETARG_CSTRING(3);
	int			length = PG_GETARG_INT32(4);
	int			i;

	for (i = 0; i < length; i++)
		target[i] = pg_ascii_toupper(source[i]);
	target[length] = '\0';
	PG_RETURN_INT32(length);
}
