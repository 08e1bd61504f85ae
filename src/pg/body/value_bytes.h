// Values of single types as bytes that come from elsewhere: wellformed.h says why they are checked, and of what.

#ifndef AGGCACHE_PG_BODY_VALUE_BYTES_H
#define AGGCACHE_PG_BODY_VALUE_BYTES_H

#include "pg/base/server.h"

#include "pg/body/wellformed.h"

namespace aggcache {

// Whether a value begins at *at and ends before `end`; moves *at behind it. `packs`: short varlenas are not aligned, as
// in rows and ranges. REQUIRES: the block that the value is part of begins at a multiple of MAXALIGN.
bool TakeValue(const ValueCheck &check, const char **at, const char *end, bool packs);

// Whether a by-value datum is one that is a value of its type.
bool IsDatum(const ValueCheck &check, Datum value);

}  // namespace aggcache

#endif
