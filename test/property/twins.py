"""The functions of a case: random queries, each in both languages, and which of them a round asks."""

import re

import psycopg2

import timed
from case import Function, Item
from queries import PREFIX, Query


class Twins:
    def __init__(self, r, schema, player, refused):
        self.r, self.schema, self.player, self.refused = r, schema, player, refused
        self.functions = []
        self.timed = []

    def function(self):
        """A random query as a function that both languages accept, or None. Creates it."""
        query = Query(self.r, self.schema)
        function = Function("%s_%d" % (query.shape, len(self.functions)), query.shape, query.parameters, None,
                            query.body, query.ordered, query.single)
        function.uses, function.settings = query.uses, query.settings
        if not self.create(function) or not self.suits(function):
            return None
        sets = [[p.draw(self.r) for p in query.parameters] for _ in range(4 if query.parameters else 1)]
        function.argument_sets = sets
        self.functions.append(function)
        self.schema.functions.append(function)
        return function

    def suits(self, function):
        """Where all cases are about results that are kept current, few functions are of others; these go again."""
        if not self.schema.only_kept or self.r.random() < 0.1:
            return True
        cursor = self.player.connection("W").cursor()
        cursor.execute("SELECT count(*) FROM aggcache.dependencies WHERE function::regproc = %s::regproc AND "
                       "not_kept IS NOT NULL", ["cached_" + function.name])
        if cursor.fetchone()[0] == 0:
            return True
        cursor.execute("DROP FUNCTION cached_%s, plain_%s" % (function.name, function.name))
        return False

    def create(self, function):
        """Finds the result type and creates both twins. False if that is refused."""
        body = function.body.replace(PREFIX, "plain_")
        probe = re.sub(r"\$(\d+)", lambda m: "(NULL::%s)" % function.parameters[int(m.group(1)) - 1].type, body)
        cursor = self.player.connection("W").cursor()
        try:
            cursor.execute("SELECT * FROM (%s) x LIMIT 0" % probe)
            types = []
            for column in cursor.description:
                cursor.execute("SELECT format_type(%s, NULL)", [column.type_code])
                types.append(cursor.fetchone()[0])
        except psycopg2.Error as error:
            self.player.note(error)
            self.refused[str(error).split("\n")[0]] += 1
            return False
        function.single = function.single and len(types) == 1
        function.result = types[0] if function.single else "TABLE (%s)" % ", ".join(
            "r%d %s" % (i, t) for i, t in enumerate(types))
        for text in function.statements():
            try:
                cursor.execute(text)
            except psycopg2.Error as error:
                self.player.note(error)
                self.refused[str(error).split("\n")[0]] += 1
                cursor.execute("DROP FUNCTION IF EXISTS plain_%s" % function.name)
                return False
        return True

    def make_timed(self):
        for number in range(3):
            item = timed.draw(self.r, self.schema, number)
            if item and self.create(item.function):
                self.timed.append(item)

    def items(self, count):
        result = []
        for _ in range(count):
            function = self.r.choice(self.functions)
            if function.failing:
                # known to fail in both languages: now and then, whether it still does
                if self.r.random() < 0.9:
                    continue
                function.failing = False
            arguments = self.r.choice(function.argument_sets)
            if function.parameters and self.r.random() < 0.08:
                arguments = [p.draw(self.r) for p in function.parameters]
            result.append(Item(function, arguments, function.single and self.r.random() < 0.5))
        return result
