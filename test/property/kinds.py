"""The column types that cases are made of: their values, what they are compared with, and how to print them.

Values are few, so that rows meet, and hold what equality is about: values that are equal and print differently (1.0 and
1.00, -0 and 0, '1 day' and '24 hours', letters under citext), infinities, both ends of days and months. Types that have
ranges draw some from a line as well, and often those where cells of the coarser levels meet.
"""

import datetime

from helpers import EXTENSIONS


class Kind:
    def __init__(self, name, values, compared=(), ordered=True, steady="{0}", summed=False, declared=None, base=None,
                 line=None):
        self.name = name
        self.type = "text" if name == "folded" else name  # that is a collation of columns
        self.values = values  # SQL literals, without a cast
        self.compared = compared  # names of other types that a parameter compared with this may have
        self.ordered = ordered
        # Makes of equal values values that print alike, and that sort in one way.
        self.steady_form = steady
        self.summed = summed
        # How its values are printed depends on settings.
        self.printed = name.startswith(("date", "time", "interval", "double", "bytea"))
        self.declared = declared or name
        self.base = base or name
        self.line = line  # a place, 0 to 160, as a literal

    def value(self, r):
        if self.line and r.random() < 0.35:
            return "'%s'" % self.line(r.choice([r.randrange(160), 8 * r.randrange(20), 64 * r.randrange(3)]))
        return r.choice(self.values)

    def literal(self, value):
        return "NULL::%s" % self.type if value is None else "%s::%s" % (value, self.type)

    def steady(self, expression):
        return self.steady_form.format(expression)

    def draw(self, r, nulls=0.12):
        return self.literal(None if r.random() < nulls else self.value(r))


def quoted(*values):
    return ["'%s'" % value for value in values]


# beside each other, and in other cells of each level; and about where clocks are changed
INTEGERS = quoted(0, 1, 2, 3, 4, 5, -7, 9, 70)
DATES = quoted("2024-12-31", "2025-01-01", "2025-01-15", "2025-01-31", "2025-02-01", "2025-07-09",
               "2025-11-02", "infinity", "-infinity")
TIMES = quoted("2024-12-31 23:59:59.999999", "2025-01-01 00:00", "2025-01-01 00:00:00.000001", "2025-01-31 12:00",
               "2025-02-01 00:00", "2025-03-09 02:30", "2025-11-02 01:30", "infinity", "-infinity")
MOMENTS = quoted("2024-12-31 23:59:59.999999+00", "2025-01-01 00:00+00", "2025-01-01 05:00+00", "2025-01-31 12:00+00",
                 "2025-02-01 00:00+00", "2025-11-02 05:59:59+00", "2025-11-02 06:00+00", "2025-11-02 06:30+00",
                 "infinity")
WORDS = quoted("a", "A", "b", "B", "", "c ")
# which begin alike, up to the eighth byte and further
TEXTS = WORDS + quoted("ab", "abcdefgh", "abcdefghi", "abcdefghj", "\u00e9")



def whole(place):
    return "%d" % place


def hundredth(place):
    return "%d" % place if place % 2 == 0 else "%d.25" % place


def day(place):
    return datetime.date(2024, 12, 1) + datetime.timedelta(place)


def hour(place):
    return datetime.datetime(2024, 12, 30) + datetime.timedelta(hours=place)


KINDS = {kind.name: kind for kind in [
    Kind("integer", INTEGERS + ["'2147483647'"], ("bigint", "smallint", "numeric"), summed=True, line=whole),
    Kind("bigint", INTEGERS + ["'9000000000'"], ("integer", "smallint", "numeric"), summed=True, line=whole),
    Kind("smallint", INTEGERS, ("integer", "bigint"), summed=True, line=whole),
    Kind("numeric", quoted(0, 1, "1.0", "1.00", "2.5", -3, "NaN", 3), ("integer", "bigint"), summed=True,
         steady="trim_scale({0})", line=hundredth),
    Kind("numeric(8,2)", quoted(0, 1, "1.00", "2.5", -3, 3, "1.01"), ("integer", "numeric"), summed=True,
         line=hundredth),
    Kind("double precision", quoted(0, "-0", "1.5", "NaN", "Infinity", 1), ("integer", "numeric"),
         steady="({0} + 0)"),
    Kind("text", TEXTS, ("character varying",)),
    Kind("character varying", TEXTS, ("text",)),
    Kind("character(3)", WORDS, ("text",)),
    Kind("date", DATES, ("timestamp without time zone", "timestamp with time zone"), line=day),
    Kind("timestamp without time zone", TIMES, ("date", "timestamp with time zone"), line=hour),
    Kind("timestamp with time zone", MOMENTS, ("date", "timestamp without time zone"), line=hour),
    Kind("interval", quoted("1 day", "24 hours", "1 mon", "30 days", "0"), steady="extract(epoch FROM {0})"),
    Kind("money", quoted("1", "-2.50", "1000", "0")),
    Kind("boolean", quoted("t", "f")),
    Kind("uuid", quoted("00000000-0000-0000-0000-000000000000", "6f1c0c1e-35a0-4d7e-9a53-0a4c2d5b7a11",
                        "ffffffff-ffff-ffff-ffff-ffffffffffff")),
    Kind("mood", quoted("sad", "ok", "happy")),
    Kind("small", quoted(0, 1, 2, 3, 4), ("integer", "bigint"), base="integer", steady="({0})::integer"),
    Kind("jsonb", quoted("1", "1.0", "\"a\"", "null", "[]"), ordered=False, steady="jsonb_typeof({0})"),
    Kind("integer[]", quoted("{}", "{1}", "{1,2}", "{NULL}")),
    Kind("bytea", quoted("", "a", "\\x00ff")),
    Kind("citext", WORDS, ("text",), steady="lower(({0})::text)"),
    Kind("hstore", quoted("a=>1", "a=>1, b=>2", "", "a=>NULL"), ordered=False),
    Kind("ltree", quoted("top", "top.a", "top.b.c", "x")),
    Kind("cube", quoted("(1)", "(1, 2)", "(0, 0), (1, 1)", "(-3)")),
    Kind("seg", quoted("1", "1 .. 3", "~2.50", "-1.0")),
    # text whose collation finds a and A equal
    Kind("folded", WORDS, ("text",), declared='text COLLATE "folding"', base="text",
         steady='(lower({0} COLLATE "C") COLLATE "C")'),
]}

# What every database of the test starts from.
TEMPLATE = [
    "CREATE EXTENSION pg_aggcache",
    "CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy')",
    "CREATE DOMAIN small AS integer CHECK (VALUE < 100)",
]
OPTIONAL = {
    **{name: "CREATE EXTENSION %s CASCADE" % name for name in EXTENSIONS if name != "cube"},
    "cube": "CREATE EXTENSION IF NOT EXISTS cube",
    "folded": "CREATE COLLATION folding (provider = icu, locale = 'und-u-ks-level2', deterministic = false)",
}


class Parameter:
    """One parameter of a function: its type and the arguments it may be called with."""

    def __init__(self, kind, is_array=False):
        self.kind, self.is_array = kind, is_array
        self.type = kind.type + "[]" if is_array else kind.type

    def draw(self, r):
        if not self.is_array:
            value = None if r.random() < 0.15 else self.kind.value(r)
        elif r.random() < 0.08:
            value = None
        else:
            elements = [self.kind.value(r) if r.random() > 0.1 else "NULL" for _ in range(r.randrange(4))]
            return "ARRAY[%s]::%s" % (", ".join(elements), self.type)
        return "NULL::%s" % self.type if value is None else "%s::%s" % (value, self.type)
