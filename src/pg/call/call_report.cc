// The one variable of the session that call_report.h is about.

#include "pg/base/server.h"

#include "pg/call/call_report.h"

namespace aggcache {

CallReport call_report::latest;

}  // namespace aggcache
