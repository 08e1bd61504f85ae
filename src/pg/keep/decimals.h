// Numerics as whole numbers of 10^-20, in 256 bits of two's complement, lowest word first.

#ifndef AGGCACHE_PG_KEEP_DECIMALS_H
#define AGGCACHE_PG_KEEP_DECIMALS_H

#include "pg/base/server.h"

namespace aggcache {

constexpr int kDecimalDigits = 20;  // behind the point

enum class DecimalKind : uint8_t { kFinite, kNan, kInfinity, kMinusInfinity, kTooLarge };

// kFinite: words and scale are set, the scale being how many digits behind the point the numeric shows. kTooLarge: it
// has more than 40 digits before the point or 20 behind it, so that sums might not be exact.
DecimalKind ToDecimal(Datum numeric, uint64_t words[4], int *scale);

// The numeric that shows so many digits. REQUIRES: no digit behind them is other than 0.
Datum FromDecimal(const uint64_t words[4], int scale);

// Of a whole number of so many words, up to 4.
Datum FromWhole(const uint64_t *words, int count);

// The square of what ToDecimal has made, as a multiple of 10^-20 too. False: it has more than 10 digits behind the
// point or 2^96 units of 10^-10, so that sums of squares might not be exact.
bool SquareOf(const uint64_t words[4], uint64_t square[4]);

}  // namespace aggcache

#endif
