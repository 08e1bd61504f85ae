// Programs as writers run them: evaluated on rows that they change.

#ifndef AGGCACHE_PG_KEEP_ROWS_H
#define AGGCACHE_PG_KEEP_ROWS_H

#include "pg/base/server.h"

#include "core/ledger.h"
#include "pg/keep/program.h"
#include "pg/keep/sums.h"

namespace aggcache {

// What a ledger says to writers: its program, and the parameters of the call that opened it.
//
//   id of the program (16 bytes), database and relation (4 each), then for each parameter its number (4), type (4),
//   length or -1 for null (4), and the value's bytes, padded to 8
//
// Returns the size, or 0 if it is more than kMaxAbout.
uint32_t WriteAbout(const Program *program, Oid relation, const List *parameters, ParamListInfo values,
                    unsigned char *about);

// Whether a ledger is of this database, and of one of the relations unless that does not matter.
bool IsLedgerOf(const unsigned char *about, uint32_t about_size, const List *relations, bool any);

// A program that is ready for rows of a relation. Good until ForgetCompiled.
struct CompiledProgram;

// The program that the ledger names, or NULL: nobody has it, or the relation is not what it was.
CompiledProgram *ProgramOfLedger(Relation relation, const LedgerAbout &about);

const Program *ProgramOf(const CompiledProgram *compiled);

// Adds the old image of a row, negative, and the new one; either may be NULL. False: the ledger cannot be kept.
bool AddChange(CompiledProgram *compiled, const LedgerAbout &about, TupleTableSlot *old_row, TupleTableSlot *new_row,
               Sum *sum);

// A relation, or all, may not be what it was.
void ForgetCompiled(Oid relation);

}  // namespace aggcache

#endif
