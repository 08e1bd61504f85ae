// aggcache.explain(): what stands behind the caching of one function, in words.

#include "pg/base/server.h"

#include "pg/base/settings.h"
#include "pg/body/analysis.h"
#include "pg/call/decision.h"
#include "pg/sql/inspection.h"
#include "pg/sql/row.h"

namespace aggcache {

namespace {

struct Explanation {
  Oid function;
  FunctionRow row;
  const char *name;
  List *lines;  // char *
};

void SayLine(Explanation *explanation, char *line) { explanation->lines = lappend(explanation->lines, line); }

void SayRelation(Explanation *explanation, const RelationUse &use) {
  const char *name = use.name ? use.name : "a dropped relation";
  if (use.view)
    SayLine(explanation, psprintf("sees through view %s", name));
  else if (!use.tracked)
    SayLine(explanation, psprintf("cannot follow changes of %s: %s", name, use.reason));
  else if (use.called)
    SayLine(explanation,
            psprintf("reads %s through cached functions: what leaves their results valid leaves this one", name));
  else if (use.watch == nullptr)
    SayLine(explanation, psprintf("reads %s as a whole, so any change of its rows invalidates: %s", name, use.reason));
  else
    SayLine(explanation, psprintf("reads %s %s: other changes leave a result valid", name, use.watch));
}

// As it was written: planning has replaced by their values what the owner's functions compute.
void SayHidden(Explanation *explanation, const HiddenParameter &hidden, Node *written) {
  char *text = deparse_expression(written, NIL, false, false);
  if (hidden.clock)
    SayLine(explanation, psprintf("reads the clock in %s: a result is used until its ttl is over", text));
  else
    SayLine(explanation,
            psprintf("evaluates %s (%s) at each call, like an argument", text, format_type_be(hidden.type)));
}

void SayTime(Explanation *explanation) {
  if (settings::ttl_ms > 0)
    SayLine(explanation, psprintf("a result is used for at most %g s (aggcache.ttl)", settings::ttl_ms / 1000.0));
  else
    SayLine(explanation, pstrdup("a result is used until something that it reads changes"));
  if (settings::max_staleness_ms > 0)
    SayLine(explanation, psprintf("and after a change until it is %g s old (aggcache.max_staleness)",
                                  settings::max_staleness_ms / 1000.0));
}

// Depth first, in the order of the relations' names, so that the text does not depend on object ids.
int CompareUses(const ListCell *a, const ListCell *b) {
  auto *left = static_cast<const RelationUse *>(lfirst(a)), *right = static_cast<const RelationUse *>(lfirst(b));
  if (left->view != right->view) return left->view ? 1 : -1;
  return strcmp(left->name ? left->name : "", right->name ? right->name : "");
}

void Explain(void *context) {
  auto *explanation = static_cast<Explanation *>(context);
  const Definition *definition = AnalyseAsCalled(explanation->function);
  const Obstacle obstacle = FindObstacle(definition);
  if (obstacle)
    SayLine(explanation, psprintf("function %s is not cached: %s", explanation->name, obstacle.Sentence()));
  else
    SayLine(explanation, psprintf("function %s is cached", explanation->name));
  List *uses = DescribeRelations(definition);
  list_sort(uses, CompareUses);
  ListCell *cell;
  foreach (cell, uses) SayRelation(explanation, *static_cast<RelationUse *>(lfirst(cell)));
  if (uses == NIL && definition->query) SayLine(explanation, pstrdup("reads no relation"));
  bool said_clock = false;
  for (int i = 0; i < definition->hidden_count && !definition->hidden[i].condition; i++) {
    SayHidden(explanation, definition->hidden[i], static_cast<Node *>(list_nth(definition->hidden_originals, i)));
    said_clock |= definition->hidden[i].clock;
  }
  if (definition->reads_clock && !said_clock)
    SayLine(explanation, pstrdup("reads the clock: a result is used until its ttl is over"));
  if (definition->reads_settings)
    SayLine(explanation, pstrdup("results under different settings, such as TimeZone and DateStyle, are kept apart"));
  if (definition->reads_names)
    SayLine(explanation, pstrdup("reads labels of enums or a text search configuration: a change of these, or of any "
                                 "function, operator, cast, schema or privilege, ends a result"));
  if (definition->opaque)
    SayLine(explanation,
            pstrdup("calls functions that cannot be seen through: results of other roles, search paths and "
                    "settings with a prefix are kept apart"));
  if (definition->has_row_security)
    SayLine(explanation, pstrdup("row security applies: results under different policies are kept apart"));
  if (!obstacle) SayTime(explanation);
}

}  // namespace
}  // namespace aggcache

extern "C" {

PG_FUNCTION_INFO_V1(aggcache_explain);
PGDLLEXPORT Datum aggcache_explain(PG_FUNCTION_ARGS) {
  using namespace aggcache;
  Explanation explanation;
  explanation.function = PG_GETARG_OID(0);
  explanation.row = ReadFunctionRow(explanation.function);
  explanation.lines = NIL;
  if (!explanation.row.found)
    ereport(ERROR,
            (errcode(ERRCODE_UNDEFINED_FUNCTION), errmsg("function with OID %u does not exist", explanation.function)));
  explanation.name = format_procedure(explanation.function);
  if (!explanation.row.cached)
    ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
                    errmsg("%s is not a function of language cached_sql", explanation.name)));
  InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
  const Obstacle of_session = FindSessionObstacle();
  if (explanation.row.polymorphic && of_session) {
    SayLine(&explanation, psprintf("function %s is not cached: %s", explanation.name, of_session.Sentence()));
  } else if (explanation.row.polymorphic) {
    SayLine(&explanation,
            psprintf("function %s is polymorphic: what it reads is known only when it is called", explanation.name));
  } else {
    // Who may call the function, and asks about it by name, looks at it as a call would; others could be used by its
    // owner. Who has the owner's privileges could be used too, and looks at it as the owner.
    if (!MayInspect(explanation.row) && !compat::CanExecute(explanation.function, GetUserId()))
      ereport(ERROR,
              (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE), errmsg("permission denied for function %s", explanation.name)));
    ActAs act_as = MayInspect(explanation.row) ? ActAs::kOwner : ActAs::kCaller;
    const char *problem = RunGuarded(explanation.row, act_as, Afterwards::kForget, Explain, &explanation);
    if (problem) {
      explanation.lines = NIL;
      SayLine(&explanation, psprintf("function %s cannot be analysed: %s", explanation.name, problem));
    }
  }
  Row row(fcinfo);
  ListCell *cell;
  foreach (cell, explanation.lines) {
    row.Text(static_cast<char *>(lfirst(cell)));
    row.End();
  }
  return Datum{0};
}
}
