#include "pg/server.h"

#include "pg/key.h"

#include "pg/opaque.h"
#include "pg/shared.h"
#include "pg/subtransaction.h"

namespace aggcache {

namespace {

// The key under construction, kept from call to call and grown as needed.
char *buffer = nullptr;
Size buffer_size = 0;
Size used = 0;

void Reserve(Size more) {
  if (used + more <= buffer_size) return;
  Size larger = Max(Size{1024}, (used + more) * 2);
  buffer = static_cast<char *>(buffer ? repalloc(buffer, larger) : MemoryContextAlloc(TopMemoryContext, larger));
  buffer_size = larger;
}

void Append(const void *bytes, Size size) {
  Reserve(size);
  memcpy(buffer + used, bytes, size);
  used += size;
}

void AppendValue(const NullableDatum &value, int16 length, bool by_value) {
  char tag = value.isnull ? 1 : 0;
  Append(&tag, 1);
  if (value.isnull) return;
  if (by_value) {
    Append(&value.value, sizeof(Datum));
  } else if (length == -1) {
    // inline, uncompressed and with a long header or a short one: only the contents count
    struct varlena *given = reinterpret_cast<struct varlena *>(DatumGetPointer(value.value));
    struct varlena *plain = pg_detoast_datum_packed(given);
    uint32_t size = static_cast<uint32_t>(VARSIZE_ANY_EXHDR(plain));
    Append(&size, sizeof(size));
    Append(VARDATA_ANY(plain), size);
    if (plain != given) pfree(plain);
  } else if (length == -2) {
    const char *text = DatumGetCString(value.value);
    Append(text, strlen(text) + 1);
  } else {
    Append(DatumGetPointer(value.value), length);
  }
}

void Begin(const Definition *definition) {
  used = 0;
  uint64_t function = shared::ObjectId(definition->function);
  Append(&function, sizeof(function));
  Append(definition->fingerprint, sizeof(definition->fingerprint));
  if (definition->reads_settings) Append(&CurrentSettings(), sizeof(SettingsImage));
  if (definition->opaque) {
    const OpaqueInput input = CurrentOpaqueInput();
    Append(&input, sizeof(input));
  }
}

Key Finish(const Definition *definition, const NullableDatum *hidden) {
  for (int i = 0; i < definition->hidden_count; i++) {
    const HiddenParameter &parameter = definition->hidden[i];
    // A moment never repeats; the ttl, without which the call is not cached, stands in for it.
    if (parameter.clock) continue;
    AppendValue(hidden[i], parameter.length, parameter.by_value);
  }
  Key key;
  key.bytes = buffer;
  key.size = static_cast<uint32_t>(used);
  key.hash = hash_bytes_extended(reinterpret_cast<unsigned char *>(buffer), static_cast<int>(used), 0);
  return key;
}

void Evaluate(const Definition *definition, FunctionCallInfo fcinfo, NullableDatum *values) {
  EState *state = CreateExecutorState();
  MemoryContext outer = CurrentMemoryContext;
  MemoryContextSwitchTo(state->es_query_cxt);
  ExprContext *context = CreateExprContext(state);
  context->ecxt_param_list_info = CallParameters(definition, fcinfo, nullptr);
  for (int i = 0; i < definition->hidden_count; i++) {
    const HiddenParameter &parameter = definition->hidden[i];
    Expr *planned = parameter.expression;
    if (parameter.plan_at_call) planned = expression_planner(static_cast<Expr *>(copyObjectImpl(planned)));
    ExprState *expression = ExecInitExprWithParams(planned, context->ecxt_param_list_info);
    bool is_null;
    Datum value = ExecEvalExpr(expression, context, &is_null);
    MemoryContextSwitchTo(outer);
    values[i].isnull = is_null;
    if (is_null)
      values[i].value = Datum{0};
    else if (!parameter.by_value && parameter.length == -1)
      values[i].value = PointerGetDatum(PG_DETOAST_DATUM_COPY(value));
    else
      values[i].value = datumCopy(value, parameter.by_value, parameter.length);
    MemoryContextSwitchTo(state->es_query_cxt);
  }
  MemoryContextSwitchTo(outer);
  FreeExecutorState(state);
}

struct Evaluation {
  const Definition *definition;
  FunctionCallInfo fcinfo;
  NullableDatum *values;
};

void EvaluateTried(void *argument) {
  auto *evaluation = static_cast<Evaluation *>(argument);
  Evaluate(evaluation->definition, evaluation->fcinfo, evaluation->values);
}

}  // namespace

ParamListInfo CallParameters(const Definition *definition, FunctionCallInfo fcinfo, NullableDatum *hidden) {
  int count = definition->argument_count + (hidden ? definition->hidden_count : 0);
  ParamListInfo parameters = makeParamList(count);
  for (int i = 0; i < count; i++) {
    ParamExternData *parameter = &parameters->params[i];
    parameter->pflags = PARAM_FLAG_CONST;
    if (i < definition->argument_count) {
      parameter->ptype = definition->argument_types[i];
      parameter->isnull = fcinfo->args[i].isnull;
      // a function may change an expanded object that it is handed; these are read more than once
      parameter->value =
          MakeExpandedObjectReadOnly(fcinfo->args[i].value, fcinfo->args[i].isnull, definition->argument_lengths[i]);
    } else {
      const HiddenParameter &from = definition->hidden[i - definition->argument_count];
      parameter->ptype = from.type;
      parameter->isnull = hidden[i - definition->argument_count].isnull;
      parameter->value = hidden[i - definition->argument_count].value;
    }
  }
  return parameters;
}

bool EvaluateHiddenParameters(const Definition *definition, FunctionCallInfo fcinfo, NullableDatum *values) {
  if (!definition->hidden_can_fail) {
    Evaluate(definition, fcinfo, values);
    return true;
  }
  // A parallel operation cannot have subtransactions, and without one an error cannot be dropped.
  if (IsInParallelMode()) return false;
  Evaluation evaluation = {definition, fcinfo, values};
  return TryInSubtransaction(EvaluateTried, &evaluation);
}

Key BuildKey(const Definition *definition, FunctionCallInfo fcinfo, const NullableDatum *hidden) {
  return BuildKeyOf(definition, fcinfo->args, hidden);
}

Key BuildKeyOf(const Definition *definition, const NullableDatum *arguments, const NullableDatum *hidden) {
  Begin(definition);
  for (int i = 0; i < definition->argument_count; i++)
    AppendValue(arguments[i], definition->argument_lengths[i], definition->argument_by_value[i]);
  return Finish(definition, hidden);
}

}  // namespace aggcache
