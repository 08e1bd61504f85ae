"""A case as data: what sets it up, the functions, and a list of steps. It can be played again with parts left out."""

from queries import PREFIX


class Function:
    def __init__(self, name, shape, parameters, result, body, ordered, single):
        self.name, self.shape, self.parameters, self.result, self.body = name, shape, parameters, result, body
        self.ordered, self.single = ordered, single
        self.uses = []  # other functions that the body calls
        self.settings = ""
        self.failing = False
        self.argument_sets = []

    def create(self, language, prefix, replace=False):
        return "CREATE %sFUNCTION %s_%s(%s) RETURNS %s LANGUAGE %s STABLE%s AS $$ %s $$" % (
            "OR REPLACE " if replace else "", prefix, self.name, ", ".join(p.type for p in self.parameters),
            self.result, language, self.settings if prefix == "cached" else "", self.body.replace(PREFIX, prefix + "_"))

    def statements(self):
        return [self.create("sql", "plain"), self.create("cached_sql", "cached")]


class Item:
    """One comparison: a function and its arguments."""

    def __init__(self, function, arguments, in_list=False):
        self.function, self.arguments, self.in_list = function, arguments, in_list

    def call(self, prefix):
        return "%s_%s(%s)" % (prefix, self.function.name, ", ".join(self.arguments))

    def rows(self, prefix, condition=""):
        """The answer as an array of texts, if the condition holds."""
        where = " WHERE " + condition if condition else ""
        if self.in_list:
            return 'ARRAY[(SELECT %s%s)::text COLLATE "C"]' % (self.call(prefix), where)
        order = "" if self.function.ordered else " ORDER BY 1"
        return 'ARRAY(SELECT x::text COLLATE "C" FROM %s x%s%s)' % (self.call(prefix), where, order)


def comparison(items):
    return " UNION ALL ".join("SELECT %d WHERE %s <> %s" % (number, item.rows("cached"), item.rows("plain"))
                              for number, item in enumerate(items))


# A step is (session, what, content): ("W", "sql", text), ("W", "copy", (text, data)), ("N", "compare", [Item]),
# ("C", "open", [Item]), ("C", "fetch", number of rows), ("C", "close", None), ("N", "reconnect", None),
# ("W", "returning", (text, Item)): a statement that compares while it writes,
# ("O", "sample", [Timed]), ("K", "snapshot", None), ("T", "timed", [Timed]).

class Difference:
    def __init__(self, session, item, cached, plain, why=""):
        self.session, self.item, self.cached, self.plain, self.why = session, item, cached, plain, why

    def __str__(self):
        return "%s: %s\n  cached: %s\n  plain:  %s\n  %s" % (
            self.session, self.item.call("cached"), self.cached, self.plain, self.why)


class Case:
    def __init__(self, setup=(), functions=(), steps=()):
        self.setup, self.functions, self.steps = list(setup), list(functions), list(steps)
