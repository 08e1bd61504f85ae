// Which watch tells most changes apart for one appearance of a relation, and which tags its result rests on then.

#ifndef AGGCACHE_PG_WATCH_FITS_H
#define AGGCACHE_PG_WATCH_FITS_H

#include "pg/base/server.h"

#include "pg/watch/clauses.h"
#include "pg/watch/watches.h"

namespace aggcache {

// More tags than this are not asked about at every hit: the next coarser choice is taken.
constexpr int kMostTags = 512;

// An appearance, with the clauses that each of its rows must pass to matter.
struct BaseRelation {
  PlannerInfo *root;
  RelOptInfo *rel;
  Relation relation;
  List *clauses;   // bare
  List *provable;  // those of PostgreSQL's own functions, on whose word something can be proven
  Bitmapset *used;
  bool uses_all;
  List *memo;      // of RestrictsToRange
  List *shares;    // of FitWatch: what clauses let through, estimated
  bool many_tags;  // a watch would have fitted, with more tags than there may be
};

// How a watch fits the clauses of an appearance.
struct Fit {
  const Watch *watch;
  double share;      // estimated, of the table's changes that it lets through
  bool replaceable;  // a key column's hash is: there may be writers who cannot compute it
  ValueSet *keys[kMostKeyColumns];
  Node *key_clauses[kMostKeyColumns];
  Range range;
  RangeColumn range_column;
  List *range_clauses;  // NIL: the range is open at both ends
  int key_tags;
};

// Whether all changes that matter to these clauses come under the watch, in not too many tags; fills *fit.
bool FitWatch(BaseRelation *base, const Watch *watch, Fit *fit);

// The fit with the smallest share among the watches (a list of Watch), or NULL.
Fit *FindBestFit(BaseRelation *base, const List *watches);

// The tags of a fit, in the current memory context; *by_range: they are those of cells.
int TagsOfFit(const Fit &fit, Oid relation, uint64_t **tags, bool *by_range);

// The tag of every change of rows that have the fit's key values; 0 if these are several, or if there may be writers
// who register such rows otherwise.
uint64_t KeyTagOfFit(const Fit &fit, Oid relation);

// Whether all of the fit's range lies where values share the outermost cells.
bool IsOutsideOfCells(const Fit &fit);

// The clauses that narrow the tags.
List *ClausesOfFit(const Fit &fit);

}  // namespace aggcache

#endif
