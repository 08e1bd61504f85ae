// One result row of a set-returning function under construction: columns are added in their order, and End() hands the
// row over if it has as many as the function declares. Then the next row can begin.

#ifndef AGGCACHE_PG_SQL_ROW_H
#define AGGCACHE_PG_SQL_ROW_H

#include "pg/base/server.h"

namespace aggcache {

class Row {
 public:
  explicit Row(FunctionCallInfo fcinfo) : info_(reinterpret_cast<ReturnSetInfo *>(fcinfo->resultinfo)) {}
  void Null() { Put(Datum{0}, true); }
  void Object(Oid value) { Put(ObjectIdGetDatum(value), !OidIsValid(value)); }
  void Bool(bool value) { Put(BoolGetDatum(value), false); }
  void Int(int32_t value) { Put(Int32GetDatum(value), false); }
  void BigInt(uint64_t value) { Put(Int64GetDatum(static_cast<int64_t>(value)), false); }
  void Float(double value) { Put(Float8GetDatum(value), false); }
  void Milliseconds(uint64_t ns) { Float(static_cast<double>(ns) / 1e6); }
  void Text(const char *value) { value ? Put(CStringGetTextDatum(value), false) : Null(); }
  void Name(char *value) {
    Put(value ? DirectFunctionCall1(namein, CStringGetDatum(value)) : Datum{0}, value == nullptr);
  }
  void Time(int64_t value) { Put(TimestampTzGetDatum(value), value == 0); }
  void Duration(Interval *value) { value ? Put(IntervalPGetDatum(value), false) : Null(); }
  void Array(ArrayType *value) { value ? Put(PointerGetDatum(value), false) : Null(); }
  void End() {
    if (count_ != info_->setDesc->natts)
      elog(ERROR, "a row of %d columns was made for a result of %d", count_, info_->setDesc->natts);
    tuplestore_putvalues(info_->setResult, info_->setDesc, values_, nulls_);
    count_ = 0;
  }

 private:
  static constexpr int kMostColumns = 40;

  void Put(Datum value, bool is_null) {
    if (count_ == kMostColumns) elog(ERROR, "a row has more than %d columns", kMostColumns);
    values_[count_] = value;
    nulls_[count_++] = is_null;
  }
  ReturnSetInfo *info_;
  int count_ = 0;
  Datum values_[kMostColumns];
  bool nulls_[kMostColumns];
};

}  // namespace aggcache

#endif
