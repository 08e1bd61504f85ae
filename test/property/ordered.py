"""Predicates on what keeps the order of a column, and joins with what is computed: series, groups, sub-selects."""

ZONES = ("UTC", "America/New_York", "Pacific/Apia", "Asia/Kolkata", "EST5EDT", "Australia/Lord_Howe")
UNITS = ("year", "month", "week", "day", "hour", "quarter")
FORMATS = ("YYYY-MM", "YYYY-MM-DD", "IYYY-IW", 'yyyy"y"q', "YYYY-MM-DD HH24:MI:SS", "YYYYDDD", "MM-YYYY", "YYYY-DD",
           "YYYY-Mm-DD")
TIMES = ("date", "timestamp without time zone", "timestamp with time zone")
WHOLE = ("integer", "bigint", "smallint", "small")


def time_expression(r, x, name):
    """An expression of a time column that does not fall as it grows but for the clocks, and its type."""
    zone, unit = r.choice(ZONES), r.choice(UNITS)
    plain, zoned = TIMES[1], TIMES[2]
    forms = [("extract(year FROM %s)" % x, "numeric"),
             ("date_trunc('%s', %s)" % (unit, x), zoned if name in ("date", zoned) else plain)]
    if name != "date":
        forms += [("%s::date" % x, "date"), ("(%s AT TIME ZONE '%s')" % (x, zone), plain if name == zoned else zoned),
                  ("(%s AT TIME ZONE '%s')::date" % (x, zone), "date"),
                  ("date_trunc('%s', %s)::date" % (unit, x), "date"),
                  ("date_bin('%s', %s, '2025-01-01 00:10')" % (r.choice(["15 minutes", "7 hours", "3 days"]), x), name),
                  ("(%s + interval '%s')" % (x, r.choice(["1 mon", "-36 hours", "1 day"])), name)]
    else:
        forms += [("(%s + 3)" % x, "date"), ("%s::timestamptz" % x, zoned), ("%s::timestamp" % x, plain)]
    if name == zoned:
        forms += [("date_trunc('%s', %s, '%s')" % (unit, x, zone), zoned), ("%s::timestamp" % x, plain)]
    return r.choice(forms)


def whole_expression(r, x):
    """None that overflows: whether that is an error depends on the plan."""
    return r.choice(["%s / 3", "%s::bigint * 2", "%s::bigint - 5", "10 - %s::bigint", "%s >> 1", "%s::numeric / 7",
                     "floor(%s / 2.0)", "-2 * %s::bigint", "%s::float8", "%s::numeric"]) % x


def compared(r, expression, value, other):
    return r.choice(["{0} = {1}", "{0} = {1}", "{0} >= {1}", "{0} < {1}", "{0} BETWEEN {1} AND {2}", "{1} = {0}",
                     "{0} IN ({1}, {2})", "{0} > {1} AND {0} <= {2}"]).format(expression, value, other)


def predicate(query, scope, kinds):
    """A predicate, or None if there is no column for one."""
    r = query.r
    found = query.column(scope, lambda kind: kind.name in TIMES)
    if found and r.random() < 0.6:
        x, kind = found
        if r.random() < 0.2:
            y, other = query.column(scope)
            return "(%s, %s) %s (%s, %s)" % (x, y, r.choice(["<", ">", "<=", ">="]) if other.ordered else "=",
                                             query.comparand(kind, 0.4), query.comparand(other, 0.4))
        if r.random() < 0.15:
            text = "to_char({}, '%s')" % r.choice(FORMATS)
            order = r.choice(["", "", ' COLLATE "C"'])
            return compared(r, text.format(x) + order, text.format(query.comparand(kind, 0.4)),
                            text.format(query.comparand(kind, 0.6)))
        expression, name = time_expression(r, x, kind.name)
        if name == "numeric":
            return compared(r, expression, r.choice(["2025", "2024"]), "2026")
        to = kinds[name]
        return compared(r, expression, query.comparand(to, 0.4), query.comparand(to, 0.6))
    found = query.column(scope, lambda kind: kind.name in WHOLE)
    if found is None:
        return None
    x, kind = found
    if r.random() < 0.3:
        value = query.parameter(kind) or kind.draw(r)
        return r.choice(["coalesce({1}, {0}) = {0}", "{0} = coalesce({1}, {0})",
                         "CASE WHEN {1} > 2 THEN {0} = {1} ELSE true END"]).format(x, value)
    if r.random() < 0.3:
        y, other = query.column(scope, lambda kind: kind.name in WHOLE)
        return "(%s = %s OR %s = %s)" % (x, query.comparand(kind), y, query.comparand(other))
    to = kinds["bigint"]
    return compared(r, whole_expression(r, x), query.comparand(to, 0.4), query.comparand(to, 0.6))


def derived_join(query):
    """A table joined with something that is computed: its values tell the table's rows apart."""
    r = query.r
    alias, relation = query.source()
    scope = [(alias, relation)]
    found = query.column(scope, lambda kind: kind.name in WHOLE)
    time = query.column(scope, lambda kind: kind.name in TIMES[1:])
    other = query.source()
    key = query.column([other], lambda kind: kind.name in WHOLE)
    if time and r.random() < 0.4:
        source = r.choice([
            "generate_series('2024-12-30'::timestamp, '2025-01-03', '1 day') s (k) ON date_trunc('day', {0}) = s.k",
            "generate_series('2024-12-31'::timestamp, '2025-01-02', '6 hours') s (k) ON {0} >= s.k AND "
            "{0} < s.k + interval '1 hour'",
            "(VALUES ('2025-01-01'::date), ('2025-02-01')) s (k) ON {0}::date = s.k"]).format(time[0])
    elif found and key and r.random() < 0.6:
        x, y, where = found[0], key[0], query.where([other], 1, 2)
        source = r.choice([
            "(SELECT {1} AS k, count(*) AS n FROM {2} {3}{4} GROUP BY 1) s ON {0} = s.k",
            "(SELECT DISTINCT {1} AS k FROM {2} {3}{4} ORDER BY 1 LIMIT 3) s ON {0} = s.k",
            "(SELECT {1} AS k FROM {2} {3}{4} UNION ALL SELECT 2) s ON {0} = s.k",
            "(SELECT ARRAY[{1}, NULL, 3] AS k FROM {2} {3}{4}) s ON {0} = ANY (s.k)",
            "(SELECT array_agg({1}) AS k FROM {2} {3}{4}) s ON {0} = ANY (s.k)",
            "(SELECT max({1}) AS k FROM {2} {3}{4}) s ON {0} <= s.k"]).format(x, y, other[1].name, other[0], where)
    elif found:
        source = r.choice(["unnest(ARRAY[1, 3, 5]) s (k) ON {0} = s.k", "generate_series(1, 3) s (k) ON {0} = s.k",
                           "(VALUES (0), (4)) s (k) ON s.k = {0}"]).format(found[0])
    else:
        return None
    kind = r.choice(["JOIN", "JOIN", "LEFT JOIN", "RIGHT JOIN"])
    return "%s %s %s %s" % (relation.name, alias, kind, source), scope
