// Formats of to_char() whose texts are in the order of time.

#ifndef AGGCACHE_PG_WATCH_FORMATS_H
#define AGGCACHE_PG_WATCH_FORMATS_H

namespace aggcache {

// Whether the texts that the format makes of moments in the years 1 to 9999, compared byte by byte, never fall as time
// goes on: fields of fixed widths, from the year down, none left out between ('YYYY-MM', 'IYYY-"W"IW', not 'YYYY-DD').
bool IsOrderedFormat(const char *format);

}  // namespace aggcache

#endif
