"""Functions whose answers may be old: aggcache.max_staleness, and aggcache.ttl with the clock. See judge.py."""

from case import Function, Item
from judge import NOW
from queries import PREFIX, Query

# short ones end on any machine, long ones let much through
BOUNDS_MS = (10, 40, 150, 3000)


class Timed(Item):
    """A call of a function with a bound, in ms; of max_staleness, or of ttl if it reads the clock."""

    def __init__(self, function, arguments, bound, clock):
        super().__init__(function, arguments)
        self.bound, self.clock = bound, clock


def draw(r, schema, number):
    """A random query with a bound, as a function whose result type is not known yet; or None."""
    for _ in range(50):
        query = Query(r, schema)
        if PREFIX not in query.body and query.shape != "opaque":
            break
    else:
        return None
    bound, clock = r.choice(BOUNDS_MS), r.random() < 0.35
    function = Function("timed_%d" % number, "timed", query.parameters, None, query.body, query.ordered, False)
    function.settings = " SET aggcache.%s = '%dms'" % ("ttl" if clock else "max_staleness", bound)
    if clock:
        function.ordered = False
        function.body = "SELECT %s AS moment, x.* FROM (%s) x" % (NOW.format("now()") + "::numeric", query.body)
    return Timed(function, [p.draw(r) for p in query.parameters], bound, clock)
