// What equality and hashing of values mean: whether equal values have equal hashes, now and later.
//
// PostgreSQL takes an operator class at its word. Some packages break theirs: a version number or a point on a sphere
// has several forms that their = calls equal, and their hash functions do not. And the functions of a class can be
// replaced while results that rest on them are stored. So rows are told apart only by hashes that have been read:
//
//   - PostgreSQL's own, of its own operator classes, which nobody can change;
//   - those of enums, and of arrays, ranges and domains of the former. A range that is compared by another operator
//     class than its subtype's default is none of these: its hash is that of the default;
//   - pairs of an equality and a hash function in C that are listed in equality.cc. A pair is known by library and
//     symbol, not by a catalog row: whatever becomes of the row, a session that has found the pair goes on to compute
//     the same, and one that does not find it computes no hash at all. Each equality is in one pair, so there are no
//     two hashes of a type.

#ifndef AGGCACHE_PG_FACTS_EQUALITY_H
#define AGGCACHE_PG_FACTS_EQUALITY_H

#include "pg/base/server.h"

namespace aggcache {

// How the values of a type are hashed.
struct HashRule {
  Oid family;        // whose equality the hash respects
  Oid function;      // built in, or the hash of the pair
  int pair;          // in the list of equality.cc; -1: built in
  bool replaceable;  // what the catalogs say of it may change
};

// False if the type has no hash that can be trusted. Such a hash raises no error, whatever the value.
bool FindHashRule(Oid type, HashRule *rule);

// Whether values that this operator calls equal, the left one of the rule's type, have equal hashes: by the rule, and
// for the right one by `function`.
bool IsTrustedEquality(const HashRule &rule, Oid operation, Oid function);

// Whether the expression consists of PostgreSQL's own functions: of others it is not known that an order or equality
// that they belong to is one.
bool HasOthersFunctions(Node *expression);

}  // namespace aggcache

#endif
