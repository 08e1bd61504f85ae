// Tags: 64-bit hashes that name sets of changes. Equal sets have equal tags; different sets may collide, which costs
// misses.

#ifndef AGGCACHE_CORE_TAG_H
#define AGGCACHE_CORE_TAG_H

#include <cstdint>

namespace aggcache {

// Finalizer of SplitMix64 (Steele, Lea, Flood 2014): every input bit reaches every output bit.
constexpr uint64_t Mix(uint64_t x) noexcept {
  x += 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

constexpr uint64_t RelationSeed(uint32_t database, uint32_t relation) noexcept {
  return Mix((static_cast<uint64_t>(database) << 32) | relation);
}

// Changes that may concern every row or the meaning of the relation: DDL, TRUNCATE, a changed watch, an escalated bulk
// write.
constexpr uint64_t WideTag(uint32_t database, uint32_t relation) noexcept {
  return Mix(RelationSeed(database, relation) ^ 0x77696465u);
}

// Changes of any row: the one tag of a watch without key columns.
constexpr uint64_t TableTag(uint32_t database, uint32_t relation) noexcept {
  return Mix(RelationSeed(database, relation) ^ 0x7461626cu);
}

// Changes of any row by SERIALIZABLE transactions, for the conflicts of SERIALIZABLE readers. No entry carries it.
constexpr uint64_t IntentTag(uint32_t database, uint32_t relation) noexcept {
  return Mix(RelationSeed(database, relation) ^ 0x73736921u);
}

// DDL, TRUNCATE and escalated bulk writes of any partition below a partitioned table: in place of the wide tags of many
// partitions.
constexpr uint64_t SubtreeTag(uint32_t database, uint32_t relation) noexcept {
  return Mix(RelationSeed(database, relation) ^ 0x73756274u);
}

// The order in which rows come, changed by a rewrite that changes no row.
constexpr uint64_t OrderTag(uint32_t database, uint32_t relation) noexcept {
  return Mix(RelationSeed(database, relation) ^ 0x6f726472u);
}

// Results that were ended as such: those of a database that was dropped (another may get its oid) or, by hand, those of
// a cached function, or of the one call whose key has this hash. No row is under these tags. Results that leave shared
// memory carry all three, as nothing else reaches every copy.
constexpr uint64_t DatabaseTag(uint32_t database) noexcept { return Mix(RelationSeed(database, 0) ^ 0x64617461u); }
constexpr uint64_t FunctionTag(uint32_t database, uint32_t function) noexcept {
  return Mix(RelationSeed(database, function) ^ 0x66756e63u);
}
constexpr uint64_t CallTag(uint32_t database, uint32_t function, uint64_t key_hash) noexcept {
  return Mix(FunctionTag(database, function) ^ Mix(key_hash));
}

// Changes of rows under a watch (pg/watch/watches.h), whose definition hashes to `watch`. As it stands the tag of a
// watch without key columns, and of a range of all values. Narrowed column by column, in ascending attribute number,
// and then to a cell (cells.h):
//   uint64_t tag = WatchTag(db, rel, watch);
//   tag = WithColumn(tag, attnum, hash); ...
//   tag = WithCell(tag, level, index);
constexpr uint64_t WatchTag(uint32_t database, uint32_t relation, uint64_t watch) noexcept {
  return Mix(RelationSeed(database, relation) ^ Mix(watch ^ 0x6b657973u));
}
constexpr uint64_t WithColumn(uint64_t tag, int16_t attribute, uint32_t value_hash) noexcept {
  return Mix(tag ^ Mix((static_cast<uint64_t>(static_cast<uint16_t>(attribute)) << 32) | value_hash));
}
// A null key value: found by IS NULL, by no equality.
constexpr uint64_t WithNull(uint64_t tag, int16_t attribute) noexcept {
  return Mix(tag ^ Mix((1ULL << 56) | static_cast<uint16_t>(attribute)));
}
// For watches that tell columns apart: an UPDATE that leaves the row under the narrowed tag, and changes this column;
// or, for attribute 0, any. The tag itself then stands for rows that come and go.
constexpr uint64_t WithChange(uint64_t tag, int16_t attribute) noexcept {
  return Mix(tag ^ Mix((1ULL << 57) | static_cast<uint16_t>(attribute)));
}
// One cell of the range column. An index can have all 64 bits, so the levels are set apart by a number of which
// small multiples lie far from each other.
constexpr uint64_t WithCell(uint64_t tag, int level, int64_t index) noexcept {
  return Mix(tag ^ Mix(static_cast<uint64_t>(level + 1) * 0xd1342543de82ef95u + static_cast<uint64_t>(index)));
}

}  // namespace aggcache

#endif
