"""Random queries over a schema, each with one result, whatever plan runs it.

Only exact things are aggregated. Where PostgreSQL may choose among equal values that print differently (the
representative of a group, min and max, DISTINCT, the order of peers), the query asks for a form that is the same for
all of them (Kind.steady), or for a count. LIMIT comes with an order by all columns of the result.
"""

import helpers
from kinds import KINDS, Parameter

# stands for "plain_" or "cached_"
PREFIX = "@twin@"
WITHOUT_MAX = ("boolean", "uuid", "ltree", "cube", "seg")
JOINABLE = ("integer", "bigint", "smallint", "small")


class Query:
    def __init__(self, r, schema):
        self.r, self.schema, self.kinds = r, schema, KINDS
        self.parameters = []
        self.aliases = 0
        self.ordered = False  # the order of the rows is part of the answer
        self.single = False  # exactly one row
        self.settings = ""  # clause of the cached function
        self.uses = []  # functions that the body calls, by names that begin with PREFIX
        self.shape, self.body = self.generate()

    # ---- Parts --------------------------------------------------------------------------------------------------

    def more(self, setting, extension, helper):
        """Weights of what is about settings, extensions and what is replaced, in the cases that are about it."""
        about = self.schema.about
        return [setting * (about == "settings"), extension * (about == "extensions"), helper * (about == "helpers")]

    def chance(self, p):
        return self.r.random() < p

    def source(self):
        self.aliases += 1
        return "t%d" % self.aliases, self.r.choice(self.schema.sources)

    def parameter(self, kind, is_array=False):
        """A parameter of this type: sometimes one that is there already, None if there are enough."""
        if kind.name == "integer[]" and is_array:
            return None
        same = [i for i, p in enumerate(self.parameters, 1) if p.type == Parameter(kind, is_array).type]
        if same and self.chance(0.4):
            return "$%d" % self.r.choice(same)
        if len(self.parameters) >= 3:
            return "$%d" % self.r.choice(same) if same else None
        self.parameters.append(Parameter(kind, is_array))
        return "$%d" % len(self.parameters)

    def comparand(self, kind, constants=0.15):
        """A value to compare with: a parameter, of another type now and then, or a constant."""
        other = kind
        if kind.compared and self.chance(0.25):
            other = KINDS[self.r.choice(kind.compared)]
        if not self.chance(constants):
            parameter = self.parameter(other)
            if parameter:
                return parameter
        value = other.value(self.r)
        return "%s::%s" % (value, other.type)

    def column(self, scope, suits=lambda kind: True):
        choices = [(alias, name, kind) for alias, relation in scope for name, kind in relation.columns if suits(kind)]
        if not choices:
            return None
        # a and b are the usual keys
        weights = [4 if name in ("a", "b") else 2 if name == "c" else 1 for _, name, _ in choices]
        alias, name, kind = self.r.choices(choices, weights)[0]
        return "%s.%s" % (alias, name), kind

    def predicate(self, scope, depth=0):
        r = self.r
        x, kind = self.column(scope)
        form = r.choices(["equal", "any", "in", "null", "same", "range", "between", "bound", "optional", "constant",
                          "unequal", "or", "not", "row", "expression", "boolean", "setting", "extension", "helper"],
                         [24, 8, 5, 4, 4, 10, 5, 5, 8, 4, 2, 4 if depth < 2 else 0, 2 if depth < 2 else 0, 3, 3, 2]
                         + self.more(3, 3, 3))[0]
        if form == "any":
            parameter = self.parameter(kind, True)
            if parameter:
                return "%s = ANY(%s)" % (x, parameter)
        elif form == "in":
            return "%s IN (%s)" % (x, ", ".join(self.comparand(kind, 0.6) for _ in range(r.randint(1, 3))))
        elif form == "null":
            return "%s IS %sNULL" % (x, r.choice(["", "NOT "]))
        elif form == "same":
            return "%s IS %sDISTINCT FROM %s" % (x, r.choice(["NOT ", "NOT ", ""]), self.comparand(kind))
        elif form in ("range", "between", "bound"):
            found = self.column(scope, lambda kind: kind.ordered)
            if found:
                x, kind = found
                if form == "range":
                    return "%s %s %s AND %s %s %s" % (x, r.choice([">=", ">"]), self.comparand(kind), x,
                                                      r.choice(["<", "<="]), self.comparand(kind))
                if form == "between":
                    return "%s BETWEEN %s AND %s" % (x, self.comparand(kind), self.comparand(kind))
                return "%s %s %s" % (x, r.choice([">=", ">", "<", "<="]), self.comparand(kind))
        elif form == "optional":
            parameter = self.parameter(kind)
            if parameter:
                operator = r.choice(["=", "=", "=", ">=" if kind.ordered else "="])
                return r.choice(["({0} {1} {2} OR {2} IS NULL)", "({2} IS NULL OR {0} {1} {2})",
                                 "CASE WHEN {2} IS NULL THEN true ELSE {0} {1} {2} END"]).format(x, operator, parameter)
        elif form == "constant":
            return "%s = %s" % (x, self.comparand(kind, 1))
        elif form == "unequal":
            return "%s <> %s" % (x, self.comparand(kind))
        elif form == "or":
            return "(%s OR %s)" % (self.predicate(scope, depth + 1), self.predicate(scope, depth + 1))
        elif form == "not":
            return "NOT (%s)" % self.predicate(scope, depth + 1)
        elif form == "row":
            other, other_kind = self.column(scope)
            return "(%s, %s) = (%s, %s)" % (x, other, self.comparand(kind), self.comparand(other_kind))
        elif form == "expression":
            found = self.column(scope, lambda kind: kind.name in JOINABLE)
            if found:
                return r.choice(["%s::bigint + 1 = %s", "coalesce(%s, 0) = %s", "%s::bigint = %s",
                                 "abs(%s) < %s"]) % (found[0], self.comparand(KINDS["bigint"]))
        elif form == "setting":
            return helpers.condition_on_setting(r, self, scope)
        elif form in ("extension", "helper"):
            found = (helpers.of_extension(r, self, scope, True) if form == "extension" else self.helper(scope, True))
            if found:
                return found
        elif form == "boolean":
            found = self.column(scope, lambda kind: kind.name == "boolean")
            if found:
                return r.choice(["%s", "NOT %s", "%s IS TRUE", "%s IS NOT TRUE", "%s IS UNKNOWN"]) % found[0]
        return "%s = %s" % (x, self.comparand(kind))

    def helper(self, scope, condition):
        """An expression that uses what is replaced. It reads no table, which half of the users say."""
        found = helpers.of_helper(self.r, self, scope, condition)
        if found and self.chance(0.5):
            self.settings = self.settings or " SET aggcache.depends_on = '%s'" % self.schema.opaque.name
        return found

    def where(self, scope, least=0, most=2):
        predicates = [self.predicate(scope) for _ in range(self.r.randint(least, most))]
        if self.chance(0.02):
            predicates.append(self.r.choice(["true", "false", "NULL::boolean", "1 = 1"]))
        return " WHERE " + " AND ".join(predicates) if predicates else ""

    def join_condition(self, left, right):
        """Two columns that can be compared, one of each side."""
        for _ in range(20):
            x, kind = self.column([left])
            y, other = self.column([right])
            if kind is other or (kind.name in JOINABLE and other.name in JOINABLE):
                return "%s = %s" % (x, y)
        return "%s.id = %s.id" % (left[0], right[0]) if "id" in dict(left[1].columns) and "id" in dict(
            right[1].columns) else "true"

    def aggregate(self, scope):
        r = self.r
        x, kind = self.column(scope)
        form = r.choices(["count", "column", "distinct", "sum", "minmax", "bool", "string", "array",
                          "shown", "extension", "helper"], [2, 1, 1, 2, 1, 1, 1, 1] + self.more(1.5, 1.5, 1.5))[0]
        text = "count(*)"
        if form == "column":
            text = "count(%s)" % x
        elif form == "distinct":
            text = "count(DISTINCT %s)" % x
        elif form == "sum":
            found = self.column(scope, lambda kind: kind.summed)
            if found:
                text = "%s(%s)" % (r.choice(["sum", "sum", "avg"]), found[0])
        elif form == "minmax" and kind.ordered and kind.name not in WITHOUT_MAX:
            text = "%s(%s)" % (r.choice(["min", "max"]), kind.steady(x))
        elif form == "bool":
            found = self.column(scope, lambda kind: kind.name == "boolean")
            if found:
                text = "%s(%s)" % (r.choice(["bool_and", "bool_or"]), found[0])
        elif form == "string":
            found = self.column(scope, lambda kind: kind.base == "text" or kind.name == "citext")
            if found:
                text = "string_agg({0}, ',' ORDER BY {0})".format(found[1].steady(found[0]))
        elif form == "shown":
            # what a session's settings are for
            found = self.column(scope, lambda kind: kind.printed)
            text = helpers.shown(found[0] if found else x)
        elif form == "extension":
            found = helpers.of_extension(r, self, scope, False)
            if found:
                text = helpers.shown(found)
        elif form == "helper":
            text = self.helper(scope, False) or text
        elif form == "array" and kind.name != "integer[]":
            text = "array_agg({0} ORDER BY {0})".format(kind.steady(x))
        if self.chance(0.15):
            text += " FILTER (WHERE %s)" % self.predicate(scope, 2)
        return text

    def aggregates(self, scope, least=1, most=3):
        return [self.aggregate(scope) for _ in range(self.r.randint(least, most))]

    def outputs(self, scope, least=1, most=3, steady=False):
        result = []
        for _ in range(self.r.randint(least, most)):
            x, kind = self.column(scope)
            result.append(kind.steady(x) if steady else x)
        return result

    def from_one(self):
        alias, relation = self.source()
        return "%s %s" % (relation.name, alias), [(alias, relation)]

    def from_join(self, kinds=("JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN"), most=3):
        text, scope = self.from_one()
        for _ in range(self.r.randint(1, most - 1)):
            right = self.source()
            kind = self.r.choice(kinds)
            condition = self.join_condition(self.r.choice(scope), right)
            if kind == "FULL JOIN" and condition == "true":
                kind = "JOIN"
            if kind != "FULL JOIN" and self.chance(0.25):
                condition += " AND " + self.predicate([right] + scope, 2)
            text += " %s %s %s ON %s" % (kind, right[1].name, right[0], condition)
            scope = scope + [right]
        return text, scope

    def from_any(self):
        return self.from_one() if self.chance(0.7) else self.from_join(("JOIN", "LEFT JOIN"), 2)

    def sublink(self, outer):
        r = self.r
        inner = self.source()
        scope = [inner]
        where = self.where(scope, 0, 1)
        form = r.choice(["exists", "not exists", "in", "not in", "scalar", "any"])
        if form in ("exists", "not exists"):
            link = self.join_condition(r.choice(outer), inner)
            where = where + " AND " + link if where else " WHERE " + link
            return "%s (SELECT 1 FROM %s %s%s)" % (form.upper(), inner[1].name, inner[0], where)
        y, kind = self.column(scope)
        found = None
        for _ in range(20):
            x, other = self.column(outer)
            if other is kind or (other.name in JOINABLE and kind.name in JOINABLE):
                found = x
                break
        if not found:
            return "EXISTS (SELECT 1 FROM %s %s%s)" % (inner[1].name, inner[0], where)
        if form == "scalar" and kind.ordered and kind.name not in WITHOUT_MAX + ("integer[]",):
            return "%s %s (SELECT max(%s) FROM %s %s%s)" % (found, r.choice(["=", "<", ">="]), y, inner[1].name,
                                                            inner[0], where)
        if form == "any":
            return "%s = ANY (SELECT %s FROM %s %s%s)" % (found, y, inner[1].name, inner[0], where)
        return "%s %s (SELECT %s FROM %s %s%s)" % (found, "NOT IN" if form == "not in" else "IN", y, inner[1].name,
                                                   inner[0], where)

    # ---- Shapes -------------------------------------------------------------------------------------------------

    def generate(self):
        shapes = {"aggregate": 7, "group": 6, "rows": 4, "limit": 3, "distinct": 2, "join": 6, "outer_join": 5,
                  "sublink": 5, "correlated": 2, "cte": 4, "grouping_sets": 2, "window": 3, "set_operation": 4,
                  "lateral": 2, "constant": 1, "recursive": 1,
                  "report": 5, "opaque": 1, "composed": 2 if any(f.single for f in self.schema.functions) else 0}
        shape = self.r.choices(list(shapes), list(shapes.values()))[0]
        return shape, getattr(self, "shape_" + shape)()

    def aggregate_of(self, text, scope, where):
        self.single = True
        return "SELECT %s FROM %s%s" % (", ".join(self.aggregates(scope)), text, where)

    def group_of(self, text, scope, where):
        x, kind = self.column(scope)
        columns = [x]
        outputs = [kind.steady(x)]
        if self.chance(0.3):
            y, other = self.column(scope)
            columns.append(y)
            outputs.append(other.steady(y))
        having = ""
        if self.chance(0.25):
            having = " HAVING " + self.r.choice(["count(*) > 1", "count(*) = 1", "count(DISTINCT %s) > 1" % x])
        return "SELECT %s FROM %s%s GROUP BY %s%s" % (", ".join(outputs + self.aggregates(scope)), text, where,
                                                     ", ".join(columns), having)

    def shape_aggregate(self):
        text, scope = self.from_one()
        return self.aggregate_of(text, scope, self.where(scope, 0, 3))

    def shape_report(self):
        """What ranges are for: a column or two by equality, and a stretch of an ordered one."""
        text, scope = self.from_one()
        parts = []
        for _ in range(self.r.choice([0, 1, 1, 2])):
            x, kind = self.column(scope)
            parts.append("%s = %s" % (x, self.comparand(kind)))
        y, kind = self.column(scope, lambda kind: kind.line) or self.column(scope)
        low, high = self.comparand(kind), self.comparand(kind)
        parts.append(self.r.choice(["{0} >= {1} AND {0} < {2}", "{0} >= {1} AND {0} < {2}", "{0} BETWEEN {1} AND {2}",
                                    "{0} > {1} AND {0} <= {2}", "{0} >= {1}", "{0} < {2}",
                                    "({0} >= {1} OR {1} IS NULL) AND ({0} < {2} OR {2} IS NULL)"]).format(y, low, high))
        self.r.shuffle(parts)
        form = self.r.choice([self.aggregate_of, self.group_of])
        return form(text, scope, " WHERE " + " AND ".join(parts))

    def shape_group(self):
        text, scope = self.from_any()
        return self.group_of(text, scope, self.where(scope, 0, 2))

    def shape_rows(self):
        text, scope = self.from_any()
        return "SELECT %s FROM %s%s" % (", ".join(self.outputs(scope)), text, self.where(scope, 1, 2))

    def shape_limit(self):
        text, scope = self.from_any()
        outputs = self.outputs(scope, 1, 3, steady=True)
        order = ", ".join("%s %s" % (x, self.r.choice(["", "DESC", "NULLS FIRST"])) for x in outputs)
        self.ordered = True
        return "SELECT %s FROM %s%s ORDER BY %s LIMIT %d%s" % (
            ", ".join(outputs), text, self.where(scope, 0, 2), order, self.r.randint(1, 6),
            self.r.choice(["", "", " OFFSET 2"]))

    def shape_distinct(self):
        text, scope = self.from_any()
        x, _ = self.column(scope)
        if self.chance(0.5):
            self.single = True
            return "SELECT count(*) FROM (SELECT DISTINCT %s FROM %s%s) x" % (x, text, self.where(scope, 0, 2))
        return "SELECT DISTINCT %s FROM %s%s" % (", ".join(self.outputs(scope, 1, 2, steady=True)), text,
                                                self.where(scope, 0, 2))

    def shape_join(self):
        text, scope = self.from_join(("JOIN",))
        form = self.r.choice([self.aggregate_of, self.group_of])
        return form(text, scope, self.where(scope, 1, 3))

    def shape_outer_join(self):
        text, scope = self.from_join(("LEFT JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN", "JOIN"))
        form = self.r.choice([self.aggregate_of, self.group_of])
        return form(text, scope, self.where(scope, 0, 2))

    def sublinks(self, scope):
        parts = [self.sublink(scope)]
        if self.chance(0.3):
            parts.append(self.sublink(scope))
        return (" AND " if self.chance(0.7) else " OR ").join(parts)

    def shape_sublink(self):
        text, scope = self.from_one()
        where = self.where(scope, 0, 2)
        links = self.sublinks(scope)
        where = where + " AND (%s)" % links if where else " WHERE " + links
        return self.r.choice([self.aggregate_of, self.group_of])(text, scope, where)

    def shape_correlated(self):
        text, scope = self.from_one()
        inner = self.source()
        link = self.join_condition(scope[0], inner)
        value = "(SELECT %s FROM %s %s WHERE %s%s)" % (
            self.aggregate([inner]), inner[1].name, inner[0], link,
            " AND " + self.predicate([inner], 2) if self.chance(0.4) else "")
        return "SELECT %s, %s FROM %s%s" % (self.outputs(scope, 1, 1)[0], value, text, self.where(scope, 1, 2))

    def shape_cte(self):
        text, scope = self.from_any()
        x, kind = self.column(scope, lambda kind: kind.name in JOINABLE) or self.column(scope)
        hint = self.r.choice(["", "MATERIALIZED ", "NOT MATERIALIZED "])
        first = "w AS %s(SELECT %s AS k, count(*) AS n FROM %s%s GROUP BY %s)" % (hint, x, text,
                                                                                   self.where(scope, 0, 2), x)
        if kind.name in JOINABLE:
            other = self.source()
            y = self.column([other], lambda kind: kind.name in JOINABLE)
            if y:
                return "WITH %s SELECT count(*), sum(w.n), %s FROM w %s %s %s ON w.k = %s%s" % (
                    first, self.aggregate([other]), self.r.choice(["JOIN", "LEFT JOIN"]), other[1].name, other[0], y[0],
                    self.where([other], 0, 1))
        return "WITH %s SELECT count(*), sum(w.n) FROM w, w AS again WHERE w.k = again.k" % first

    def shape_grouping_sets(self):
        text, scope = self.from_any()
        (x, kind), (y, other) = self.column(scope), self.column(scope)
        sets = self.r.choice(["ROLLUP (%s, %s)", "CUBE (%s, %s)", "GROUPING SETS ((%s), (%s), ())"]) % (x, y)
        return "SELECT %s, grouping(%s, %s) FROM %s%s GROUP BY %s" % (
            ", ".join(self.aggregates(scope)), x, y, text, self.where(scope, 0, 2), sets)

    def shape_window(self):
        text, scope = self.from_one()
        x, _ = self.column(scope)
        y, kind = self.column(scope, lambda kind: kind.ordered)
        over = "OVER (PARTITION BY %s ORDER BY %s)" % (x, y)
        if self.chance(0.3):
            over = "OVER (ORDER BY %s)" % y
        value = self.r.choice(["rank()", "dense_rank()", "count(*)", "sum", "first_value(%s)" % kind.steady(y)])
        if value == "sum":
            found = self.column(scope, lambda kind: kind.summed)
            value = "sum(%s)" % found[0] if found else "count(*)"
        return "SELECT %s, %s %s FROM %s%s" % (kind.steady(y), value, over, text, self.where(scope, 0, 2))

    def shape_set_operation(self):
        def half(kind=None):
            for _ in range(30):
                text, scope = self.from_one()
                found = self.column(scope, (lambda k: k.name in JOINABLE) if kind is None else (lambda k: k is kind))
                if found:
                    return "SELECT %s FROM %s%s" % (found[1].steady(found[0]), text, self.where(scope, 1, 2))
            return "SELECT 1"
        operator = self.r.choice(["UNION", "UNION ALL", "INTERSECT", "EXCEPT", "EXCEPT ALL"])
        text = "(%s) %s (%s)" % (half(), operator, half())
        if self.chance(0.3):
            text = "(%s) %s (%s)" % (text, self.r.choice(["UNION", "EXCEPT"]), half())
        if self.chance(0.4):
            self.single = True
            return "SELECT count(*), sum(k) FROM (%s) x (k)" % text
        return text

    def shape_lateral(self):
        text, scope = self.from_one()
        inner = self.source()
        outputs = self.outputs([inner], 1, 2, steady=True)
        link = self.join_condition(scope[0], inner)
        names = ["l%d" % i for i in range(len(outputs))]
        limited = "SELECT %s FROM %s %s WHERE %s ORDER BY %s LIMIT 2" % (
            ", ".join(outputs), inner[1].name, inner[0], link, ", ".join(outputs))
        return "SELECT %s, %s FROM %s %s LATERAL (%s) l (%s) ON true%s" % (
            self.outputs(scope, 1, 1)[0], ", ".join(names), text, self.r.choice(["JOIN", "LEFT JOIN"]),
            limited, ", ".join(names), self.where(scope, 1, 2))

    def shape_constant(self):
        text, scope = self.from_one()
        self.single = True
        return "SELECT exists (SELECT 1 FROM %s%s)" % (text, self.where(scope, 1, 2))

    def shape_recursive(self):
        text, scope = self.from_one()
        x = self.column(scope, lambda kind: kind.name in JOINABLE)
        if not x:
            return self.aggregate_of(text, scope, self.where(scope, 0, 1))
        other = self.source()
        y = self.column([other], lambda kind: kind.name in JOINABLE)
        z = self.column([other], lambda kind: kind.name in JOINABLE)
        if not y or not z:
            return self.aggregate_of(text, scope, self.where(scope, 0, 1))
        return ("WITH RECURSIVE w (k) AS (SELECT %s::bigint FROM %s%s UNION "
                "SELECT %s::bigint FROM w JOIN %s %s ON w.k = %s) SELECT k FROM w" % (
                    x[0], text, self.where(scope, 1, 1), y[0], other[1].name, other[0], z[0]))

    def shape_opaque(self):
        text, scope = self.from_one()
        x, kind = self.column(scope)
        key = "%s::bigint" % x if kind.name in JOINABLE else "count(*)" if self.chance(0.3) else "0"
        self.settings = " SET aggcache.depends_on = '%s'" % self.schema.opaque.name
        return "SELECT %s, look_up(%s) FROM %s%s GROUP BY %s" % (kind.steady(x), key, text, self.where(scope, 0, 2), x)

    def shape_composed(self):
        """A query that calls another of the functions."""
        inner = self.r.choice([f for f in self.schema.functions if f.single])
        self.uses = [inner] + inner.uses
        arguments = []
        for parameter in inner.parameters:
            same = None
            if not parameter.is_array:
                same = self.parameter(parameter.kind)
            arguments.append(same or parameter.draw(self.r))
        call = "%s%s(%s)" % (PREFIX, inner.name, ", ".join(arguments))
        text, scope = self.from_one()
        return self.aggregate_of(text, scope, self.where(scope, 0, 1)).replace("SELECT ", "SELECT %s, " % call, 1)
