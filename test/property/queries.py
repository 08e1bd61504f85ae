"""Random queries over a schema, each with one result, whatever plan runs it.

Only exact things are aggregated. Where PostgreSQL may choose among equal values that print differently (the
representative of a group, min and max, DISTINCT, the order of peers), the query asks for a form that is the same for
all of them (Kind.steady), or for a count. LIMIT comes with an order by all columns of the result.
"""

import kept
import ordered
from query_parts import JOINABLE, Parts

# stands for "plain_" or "cached_"
PREFIX = "@twin@"


class Query(Parts):
    def __init__(self, r, schema):
        super().__init__(r, schema)
        self.ordered = False  # the order of the rows is part of the answer
        self.single = False  # exactly one row
        self.uses = []  # functions that the body calls, by names that begin with PREFIX
        self.shape, self.body = self.generate()

    def generate(self):
        shapes = {"aggregate": 7, "group": 6, "rows": 4, "limit": 3, "distinct": 2, "join": 6, "outer_join": 5,
                  "sublink": 5, "correlated": 2, "cte": 4, "grouping_sets": 2, "window": 3, "set_operation": 4,
                  "lateral": 2, "constant": 1, "recursive": 1,
                  "report": 5, "derived_join": 5, "opaque": 1, "kept": 14,
                  "composed": 2 if any(f.single for f in self.schema.functions) else 0}
        if self.schema.about == "kept":
            shapes["kept"] = 100000 if self.schema.only_kept else 300
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

    def shape_kept(self):
        return kept.kept_query(self)

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

    def shape_derived_join(self):
        found = ordered.derived_join(self)
        if not found:
            return self.shape_join()
        text, scope = found
        return self.r.choice([self.aggregate_of, self.group_of])(text, scope, self.where(scope, 0, 2))

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
