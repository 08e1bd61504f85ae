// Keeps no state.

#include "pg/base/server.h"

#include "pg/watch/conversions.h"

#include <cmath>

namespace aggcache {

namespace {

Node *StripRelabel(Node *node) {
  while (IsA(node, RelabelType)) node = reinterpret_cast<Node *>(reinterpret_cast<RelabelType *>(node)->arg);
  return node;
}

// What the cast is that `own` consists of, with its argument; InvalidOid if the column is only taken for another type.
Oid SplitCast(Node *own, Node **argument) {
  *argument = StripRelabel(own);
  if (!IsA(*argument, FuncExpr)) return InvalidOid;
  auto *call = reinterpret_cast<FuncExpr *>(*argument);
  if (list_length(call->args) != 1) return InvalidOid;
  *argument = StripRelabel(static_cast<Node *>(linitial(call->args)));
  return call->funcid;
}

}  // namespace

Var *FindConvertedColumn(Node *own, Oid operation, Oid collation, Index relation) {
  Node *argument;
  const Oid cast = SplitCast(own, &argument);
  if (!IsA(argument, Var)) return nullptr;
  auto *column = reinterpret_cast<Var *>(argument);
  if (column->varno != static_cast<int>(relation) || column->varlevelsup != 0 || column->varattno <= 0) return nullptr;
  const Oid type = getBaseType(column->vartype);
  bool fits = false;
  switch (get_opcode(operation)) {
    case F_NUMERIC_EQ: fits = cast == F_NUMERIC_INT2 || cast == F_NUMERIC_INT4 || cast == F_NUMERIC_INT8; break;
    // greater integers are not exact as double precision
    case F_FLOAT8EQ: fits = cast == F_FLOAT8_INT2 || cast == F_FLOAT8_INT4; break;
    // equal bytes are equal to every type that has the representation of text
    case F_TEXTEQ:
      fits = (cast == F_TEXT_BPCHAR || (!OidIsValid(cast) && type != TEXTOID && type != VARCHAROID)) &&
             OidIsValid(collation) && get_collation_isdeterministic(collation);
      break;
    default: break;
  }
  return fits ? column : nullptr;
}

bool HashConverted(Node *own, const KeyColumn &column, Datum value, uint32_t *hash) {
  Node *argument;
  switch (SplitCast(own, &argument)) {
    case F_NUMERIC_INT2:
    case F_NUMERIC_INT4:
    case F_NUMERIC_INT8: {
      const Datum number = DirectFunctionCall1(numeric_float8_no_overflow, value);
      // what does not fit a bigint, with room for the rounding of this test, equals none
      if (!(std::fabs(DatumGetFloat8(number)) < 9.2e18)) return false;
      const Datum whole = DirectFunctionCall1(numeric_int8, value);
      if (!DatumGetBool(DirectFunctionCall2(numeric_eq, value, DirectFunctionCall1(int8_numeric, whole)))) return false;
      *hash = DatumGetUInt32(DirectFunctionCall1(hashint8, whole));
      return true;
    }
    case F_FLOAT8_INT2:
    case F_FLOAT8_INT4: {
      const double number = DatumGetFloat8(value);
      if (!(std::fabs(number) < 1e15) || number != std::floor(number)) return false;
      *hash = DatumGetUInt32(DirectFunctionCall1(hashint8, Int64GetDatum(static_cast<int64>(number))));
      return true;
    }
    default:
      *hash = DatumGetUInt32(FunctionCall1Coll(const_cast<FmgrInfo *>(&column.hash), column.collation, value));
      return true;
  }
}

}  // namespace aggcache
