"""Queries that writes can keep current (aggcache.keep_current): one table, a key or two, groups, and aggregates that
can be added to and taken from, or rest on their values."""

GROUPED = ("integer", "bigint", "smallint", "small", "text", "character varying", "date", "boolean", "uuid", "mood",
           "timestamp without time zone", "timestamp with time zone", "bytea")
WHOLE = ("integer", "bigint", "smallint")
# whose least and greatest values can be kept, as equal ones look alike
BOUNDED = WHOLE + ("text", "character varying", "date", "timestamp without time zone", "timestamp with time zone",
                   "money")
SQUARES = ("variance", "stddev", "var_pop", "stddev_pop", "var_samp", "stddev_samp")


def condition(query, scope):
    x, kind = query.column(scope, lambda kind: kind.name in WHOLE + ("text", "date", "boolean", "numeric")) \
        or query.column(scope)
    return "%s %s %s" % (x, query.r.choice(["=", "<>", "<", ">=", "IS DISTINCT FROM"]), query.comparand(kind, 1))


def aggregate(query, scope):
    r = query.r
    forms = ["count(*)", "count({0})"]
    x, kind = query.column(scope)
    found = query.column(scope, lambda kind: kind.summed)
    if found and r.random() < 0.75:
        x, kind = found
        forms = ["sum({0})", "avg({0})", "sum({0}) + count(*)", "count({0})", "sum(CASE WHEN {1} THEN {0} END)",
                 "coalesce(sum({0}), 0)"]
        if kind.name in WHOLE:
            forms += ["bit_xor({0})", "sum({0}::numeric)", "sum({0} / 2)", "avg(abs({0}))"]
        else:
            forms += ["sum({0} * 3 - 1)", "avg(round({0}, 1))"]
        forms.append("%s({0})" % r.choice(SQUARES))
    elif r.random() < 0.3:
        forms = ["bool_and({1})", "bool_or({1})", "every({1})"]
    if r.random() < 0.3:
        found = query.column(scope, lambda kind: kind.name in BOUNDED)
        if found:
            x, kind = found
            forms = ["min({0})", "max({0})", "count(DISTINCT {0})", "max({0})"]
    elif r.random() < 0.3:
        found = query.column(scope, lambda kind: kind.name in ("interval", "money"))
        if found:
            x, kind = found
            forms = ["sum({0})"] + ["avg({0})"] * (kind.name == "interval")
    text = r.choice(forms).format(x, condition(query, scope))
    if r.random() < 0.25 and text.endswith(")") and text.count("(") == 1:
        text += " FILTER (WHERE %s)" % condition(query, scope)
    return text


def kept_query(query):
    r = query.r
    text, scope = query.from_one()
    parts = []
    # what is about more rows is changed more often
    for _ in range(r.choice([0, 0, 0, 0, 1] if query.schema.only_kept else [0, 1, 1, 1, 2])):
        x, kind = query.column(scope)
        parts.append("%s %s %s" % (x, r.choice(["=", "=", "=", "IS NOT DISTINCT FROM"]), query.comparand(kind)))
    if r.random() < (0.1 if query.schema.only_kept else 0.25):
        x, kind = query.column(scope, lambda kind: kind.name in BOUNDED)
        form = r.choice(["{0} >= {1}", "{0} < {1}", "{0} BETWEEN {1} AND {2}", "({1} IS NULL OR {0} = {1})"])
        parts.append(form.format(x, query.comparand(kind), query.comparand(kind)))
    if r.random() < (0.15 if query.schema.only_kept else 0.3):
        parts.append(condition(query, scope))
    where = " WHERE " + " AND ".join(parts) if parts else ""
    aggregates = [aggregate(query, scope) for _ in range(r.randint(1, 4))]
    groups = []
    for _ in range(r.choice([0, 1, 1, 2])):
        found = query.column(scope, lambda kind: kind.name in GROUPED)
        if not found:
            continue
        group = found[0]
        if found[1].name == "timestamp without time zone" and r.random() < 0.5:
            group = "date_trunc('%s', %s)" % (r.choice(["month", "day", "hour"]), group)
        if group not in groups:
            groups.append(group)
    if groups and r.random() < 0.1:
        return "SELECT DISTINCT %s FROM %s%s" % (", ".join(groups), text, where)
    if not groups:
        query.single = True
        return "SELECT %s FROM %s%s" % (", ".join(aggregates), text, where)
    having = ""
    if r.random() < (0.2 if query.schema.only_kept else 0.4):
        having = " HAVING " + r.choice(["count(*) > 1", "%s IS NOT NULL" % aggregates[0],
                                        "%s IS NOT NULL" % groups[0], "%s <> %s" % (groups[0], groups[-1])])
    order = ""
    if r.random() < (0.25 if query.schema.only_kept else 0.4):
        query.ordered = True
        order = " ORDER BY %s%s" % (", ".join(r.sample(groups, len(groups))), r.choice(["", " LIMIT 3", " OFFSET 1"]))
    if r.random() < 0.15:
        aggregates.append(r.choice(["rank() OVER (ORDER BY count(*))", "sum(count(*)) OVER ()",
                                    "row_number() OVER (ORDER BY count(*) DESC, %s)" % ", ".join(groups),
                                    "count(*) * 100 / sum(count(*)) OVER (ORDER BY %s)" % groups[0]]))
    return "SELECT %s FROM %s%s GROUP BY %s%s%s" % (", ".join(groups + aggregates), text, where, ", ".join(groups),
                                                    having, order)
