"""Random writes of rows, by all statements that write some."""


class Write:
    """Statements of one session.

    strong: takes a lock that readers wait for. alone: cannot run, or would wait for ever, beside other transactions
    that are open; definition: that write, cursors being no hindrance. block: allowed in a transaction block.
    """

    def __init__(self, statements, strong=False, alone=False, block=True, copy=None, definition=False):
        self.definition = definition
        self.statements = [statements] if isinstance(statements, str) else statements
        self.strong, self.alone, self.block, self.copy = strong, alone or strong, block, copy


class RowWrites:
    def identity_value(self):
        return self.r.randint(0, 40)

    def condition(self, table):
        r = self.r
        name, kind = r.choice(table.columns[1:4])
        return r.choices(["id = %d" % self.identity_value(),
                          "id IN (%d, %d)" % (self.identity_value(), self.identity_value()),
                          "%s = %s" % (name, kind.draw(r, 0)), "a = %d" % r.randint(0, 5), "a IS NULL", "true"],
                         [10, 4, 3, 3, 1, 0.3])[0]

    def assignment(self, table, names):
        name = self.r.choice(names)
        return "%s = %s" % (name, dict(table.columns)[name].draw(self.r))

    def target(self, table):
        """The table, a leaf of it, or ONLY it."""
        r = self.r
        if table.leaves and r.random() < 0.25:
            return r.choice(table.leaves)
        if table.form == "inherited" and r.random() < 0.2:
            return "ONLY " + table.name
        return table.name

    def insert(self, table, name=None):
        rows = []
        for _ in range(self.r.choice([1, 1, 1, 2, 3])):
            columns, values = self.schema.row(table)
            rows.append("(%s)" % values)
        return Write("INSERT INTO %s (%s) VALUES %s" % (name or table.name, columns, ", ".join(rows)))

    def update_key(self, table, name=None):
        names = ["a", "b", "c"] if self.r.random() < 0.8 else ["f"]
        return Write("UPDATE %s SET %s WHERE %s" % (name or self.target(table), self.assignment(table, names),
                                                   self.condition(table)))

    def update_other(self, table, name=None):
        return Write("UPDATE %s SET %s WHERE %s" % (name or self.target(table), self.assignment(table, ["d", "f"]),
                                                   self.condition(table)))

    def update_nothing(self, table):
        names = [self.r.choice(table.columns)[0] for _ in range(2)]
        return Write("UPDATE %s SET %s WHERE %s" % (
            self.target(table), ", ".join("{0} = {0}".format(name) for name in dict.fromkeys(names)),
            self.condition(table)))

    def update_unused(self, table):
        return Write("UPDATE %s SET e = %s WHERE %s" % (self.target(table), self.r.choice(["'y'", "e || 'z'",
                                                        "repeat('long', 3000)"]), self.condition(table)))

    def update_some(self, table):
        parts = {}
        for _ in range(3):
            name, _, value = self.assignment(table, ["a", "b", "c", "d", "f"]).partition(" = ")
            parts[name] = value
        return Write("UPDATE %s SET %s WHERE %s" % (self.target(table), ", ".join("%s = %s" % x for x in parts.items()),
                                                   self.condition(table)))

    def identity(self, table):
        return Write("UPDATE %s SET id = %d WHERE id = %d" % (self.target(table), self.identity_value(),
                                                             self.identity_value()))

    def delete(self, table, name=None):
        return Write("DELETE FROM %s WHERE %s" % (name or self.target(table), self.condition(table)))

    def upsert(self, table):
        if not table.unique:
            return self.insert(table)
        columns, values = self.schema.row(table)
        action = self.r.choice(["UPDATE SET a = excluded.a", "UPDATE SET b = excluded.b, d = excluded.d", "NOTHING",
                                "UPDATE SET f = excluded.f WHERE %s.a > 1" % table.name,
                                "UPDATE SET a = %s.a" % table.name])
        return Write("INSERT INTO %s (%s) VALUES (%s) ON CONFLICT (id) DO %s" % (table.name, columns, values, action))

    def merge(self, table):
        r = self.r
        columns, values = self.schema.row(table)
        kinds = dict(table.columns)
        matched = r.choice(["UPDATE SET a = %s" % kinds["a"].draw(r), "UPDATE SET b = %s" % kinds["b"].draw(r),
                            "DELETE", "DO NOTHING"])
        return Write("MERGE INTO %s AS target USING (VALUES (%d), (%d)) AS source (key) ON target.id = source.key "
                     "WHEN MATCHED AND target.a > 2 THEN DELETE WHEN MATCHED THEN %s WHEN NOT MATCHED THEN INSERT (%s) "
                     "VALUES (%s)" % (table.name, self.identity_value(), 41 + self.identity_value(), matched, columns,
                                      values))

    def copy(self, table):
        r = self.r
        lines = []
        for _ in range(r.randint(1, 3)):
            fields = [str(self.identity_value())]
            for _, kind in table.columns[1:]:
                value = kind.value(r)
                fields.append("\\N" if r.random() < 0.1 else value[1:-1])
            lines.append("\t".join(fields) + "\n")
        name = r.choice(table.leaves) if table.leaves and r.random() < 0.3 else table.name
        return Write("COPY %s (%s) FROM STDIN" % (name, ", ".join(column for column, _ in table.columns)),
                     copy="".join(lines))

    def insert_select(self, table):
        columns = ", ".join(name for name, _ in table.columns[1:])
        return Write("INSERT INTO {0} (id, {1}) SELECT id + {2}, {1} FROM {0} WHERE {3}".format(
            table.name, columns, self.r.randint(1, 30), self.condition(table)))

    def update_from(self, table):
        other = self.r.choice(self.schema.tables)
        return Write("UPDATE %s AS x SET a = y.a FROM %s AS y WHERE x.id = y.id AND y.id < %d" % (
            table.name, other.name, self.identity_value()))

    def data_modifying_cte(self, table):
        columns = ", ".join(name for name, _ in table.columns[1:])
        return Write("WITH gone AS (DELETE FROM {0} WHERE {2} RETURNING *) "
                     "INSERT INTO {0} (id, {1}) SELECT id + 1, {1} FROM gone WHERE a < 4".format(
                         table.name, columns, self.condition(table)))

    def leaf(self, table):
        name = self.r.choice(table.leaves)
        form = self.r.choice([self.insert, self.update_key, self.update_other, self.delete])
        return form(table, name)

    def view(self, table):
        name = self.r.choice(table.updatable)
        form = self.r.choice([self.insert, self.update_key, self.update_other, self.delete])
        return form(table, name)

    def move(self, table):
        kind = dict(table.columns)[table.key]
        return Write("UPDATE %s SET %s = %s WHERE %s" % (table.name, table.key, kind.draw(self.r, 0.05),
                                                        self.condition(table)))
