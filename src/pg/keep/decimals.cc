// Goes by the text of a numeric, which is what all releases have in common. Keeps no state.

#include "pg/base/server.h"

#include "pg/keep/decimals.h"

#include "core/contribution.h"

namespace aggcache {

namespace {

constexpr int kMostWhole = 40;
constexpr uint64_t kChunk = 1000000000000000000;  // 10^18
constexpr int kChunkDigits = 18;
constexpr uint64_t kHalfUnit = 10000000000;  // 10^10

// words = words * by + plus
void MultiplyAdd(uint64_t words[4], uint64_t by, uint64_t plus) {
  unsigned __int128 carry = plus;
  for (int i = 0; i < 4; i++) {
    carry += static_cast<unsigned __int128>(words[i]) * by;
    words[i] = static_cast<uint64_t>(carry);
    carry >>= 64;
  }
}

// words = words / by; returns the remainder.
uint64_t Divide(uint64_t words[4], uint64_t by) {
  unsigned __int128 rest = 0;
  for (int i = 3; i >= 0; i--) {
    rest = rest << 64 | words[i];
    words[i] = static_cast<uint64_t>(rest / by);
    rest %= by;
  }
  return static_cast<uint64_t>(rest);
}

void Negate(uint64_t words[4]) {
  const uint64_t copy[4] = {words[0], words[1], words[2], words[3]};
  memset(words, 0, sizeof(copy));
  AddWords(words, copy, 4, true);
}

bool IsZero(const uint64_t words[4]) { return (words[0] | words[1] | words[2] | words[3]) == 0; }

Datum NumericOf(const char *text) {
  return DirectFunctionCall3(numeric_in, CStringGetDatum(text), ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1));
}

// The numeric of a multiple of 10^-digits that shows `scale` digits behind the point.
Datum FromUnits(const uint64_t words[4], int unit_digits, int scale) {
  uint64_t rest[4] = {words[0], words[1], words[2], words[3]};
  const bool negative = rest[3] >> 63 != 0;
  if (negative) Negate(rest);
  // digits from the last one on, in chunks
  char digits[6 * kChunkDigits];
  int count = 0;
  while (count < unit_digits + 1 || !IsZero(rest)) {
    uint64_t chunk = Divide(rest, kChunk);
    for (int i = 0; i < kChunkDigits; i++, chunk /= 10) digits[count++] = static_cast<char>('0' + chunk % 10);
  }
  char text[lengthof(digits) + 3];
  char *at = text;
  if (negative) *at++ = '-';
  for (int i = count - 1; i >= unit_digits; i--) *at++ = digits[i];
  if (scale > 0) *at++ = '.';
  for (int i = 0; i < scale; i++) *at++ = digits[unit_digits - 1 - i];
  *at = '\0';
  return NumericOf(text);
}

}  // namespace

DecimalKind ToDecimal(Datum numeric, uint64_t words[4], int *scale) {
  memset(words, 0, sizeof(uint64_t) * 4);
  char *text = DatumGetCString(DirectFunctionCall1(numeric_out, numeric));
  const char *at = text;
  const bool negative = *at == '-';
  if (negative) at++;
  if (*at == 'N') return DecimalKind::kNan;
  if (*at == 'I') return negative ? DecimalKind::kMinusInfinity : DecimalKind::kInfinity;
  int whole = 0, behind = 0;
  for (; *at >= '0' && *at <= '9'; at++, whole++) {
    if (whole == kMostWhole) return DecimalKind::kTooLarge;
    MultiplyAdd(words, 10, static_cast<uint64_t>(*at - '0'));
  }
  if (*at == '.')
    for (at++; *at != '\0'; at++, behind++) {
      if (behind == kDecimalDigits) return DecimalKind::kTooLarge;
      MultiplyAdd(words, 10, static_cast<uint64_t>(*at - '0'));
    }
  for (int i = behind; i < kDecimalDigits; i++) MultiplyAdd(words, 10, 0);
  if (negative) Negate(words);
  pfree(text);
  *scale = behind;
  return DecimalKind::kFinite;
}

Datum FromDecimal(const uint64_t words[4], int scale) { return FromUnits(words, kDecimalDigits, scale); }

Datum FromWhole(const uint64_t *words, int count) {
  const uint64_t sign = words[count - 1] >> 63 != 0 ? ~uint64_t{0} : 0;
  uint64_t wide[4];
  for (int i = 0; i < 4; i++) wide[i] = i < count ? words[i] : sign;
  return FromUnits(wide, 0, 0);
}

bool SquareOf(const uint64_t words[4], uint64_t square[4]) {
  uint64_t rest[4] = {words[0], words[1], words[2], words[3]};
  if (rest[3] >> 63 != 0) Negate(rest);
  if (Divide(rest, kHalfUnit) != 0 || (rest[3] | rest[2] | rest[1] >> 32) != 0) return false;
  // (high * 2^64 + low)^2
  const unsigned __int128 low = rest[0], high = rest[1];
  const unsigned __int128 lowest = low * low, middle = low * high, highest = high * high;
  const uint64_t parts[3][4] = {{static_cast<uint64_t>(lowest), static_cast<uint64_t>(lowest >> 64), 0, 0},
                                {0, static_cast<uint64_t>(middle), static_cast<uint64_t>(middle >> 64), 0},
                                {0, 0, static_cast<uint64_t>(highest), static_cast<uint64_t>(highest >> 64)}};
  memset(square, 0, sizeof(uint64_t) * 4);
  const int terms[] = {0, 1, 1, 2};
  for (int term : terms) AddWords(square, parts[term], 4, false);
  return true;
}

}  // namespace aggcache
