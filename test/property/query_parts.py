"""What random queries are made of: parameters, predicates, aggregates, joins, sublinks."""

import helpers
import ordered
from kinds import KINDS, Parameter

WITHOUT_MAX = ("boolean", "uuid", "ltree", "cube", "seg")
PATTERNED = ("text", "character varying", "character(3)", "folded")
JOINABLE = ("integer", "bigint", "smallint", "small")


class Parts:
    def __init__(self, r, schema):
        self.r, self.schema, self.kinds = r, schema, KINDS
        self.parameters = []
        self.aliases = 0
        self.settings = ""  # clause of the cached function

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
        if kind.compared and self.chance(0.02 if self.schema.only_kept else 0.25):
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
                          "unequal", "or", "not", "row", "expression", "boolean", "pattern", "ordered", "setting",
                           "extension", "helper"],
                         [24, 8, 5, 4, 4, 10, 5, 5, 8, 4, 2, 4 if depth < 2 else 0, 2 if depth < 2 else 0, 3, 3, 2, 4,
                          12]
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
        elif form == "pattern":
            found = self.column(scope, lambda kind: kind.name in PATTERNED)
            if found:
                x, kind = found
                # where the collation calls different letters equal, patterns are refused
                if kind.name == "folded":
                    x += ' COLLATE "C"'
                return r.choice(["{0} LIKE {1}", "{0} LIKE {1} || '%'", "{0} LIKE '%' || {1}", "{0} LIKE 'ab%'",
                                 "{0} ^@ {1}", "starts_with({0}, {1})", "{0} ~ ('^' || {1})", "{0} ~ '^ab'",
                                 '{0} COLLATE "C" >= {1}', '{0} COLLATE "C" < {1}']).format(
                                     x, self.comparand(KINDS["text"]))
        elif form == "ordered":
            found = ordered.predicate(self, scope, KINDS)
            if found:
                return found
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
        form = r.choice(["exists", "not exists", "in", "not in", "scalar", "any", "array"])
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
        if form == "array" and not kind.name.endswith("[]"):
            return "%s = ANY (ARRAY(SELECT %s FROM %s %s%s))" % (found, y, inner[1].name, inner[0], where)
        return "%s %s (SELECT %s FROM %s %s%s)" % (found, "NOT IN" if form == "not in" else "IN", y, inner[1].name,
                                                   inner[0], where)
