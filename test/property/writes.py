"""Random writes. Each is text that stands for itself, so that a run can be played again with parts left out."""

import helpers


class Write:
    """Statements of one session.

    strong: takes a lock that readers wait for. alone: cannot run, or would wait for ever, beside other transactions
    that are open; definition: that write, cursors being no hindrance. block: allowed in a transaction block.
    """

    def __init__(self, statements, strong=False, alone=False, block=True, copy=None, definition=False):
        self.definition = definition
        self.statements = [statements] if isinstance(statements, str) else statements
        self.strong, self.alone, self.block, self.copy = strong, alone or strong, block, copy


class Writer:
    def __init__(self, r, schema):
        self.r, self.schema = r, schema
        self.detached = []
        self.added = 0

    def write(self):
        """A random write; some kinds are rare because they change much."""
        r = self.r
        table = r.choice(self.schema.tables)
        kinds = {"insert": 14, "update_key": 12, "update_other": 8, "update_nothing": 5, "update_unused": 4,
                 "update_some": 4, "delete": 9, "upsert": 5, "merge": 4, "copy": 4, "insert_select": 3,
                 "update_from": 2, "data_modifying_cte": 2, "identity": 2}
        if table.form == "partitioned":
            kinds.update({"move": 5, "detach": 3, "new_partition": 1, "truncate_leaf": 1})
        if self.detached:
            kinds["attach"] = 6
        if table.leaves:
            kinds["leaf"] = 8
        if table.updatable:
            kinds["view"] = 6
        if self.schema.materialized:
            kinds["refresh"] = 6
        if table.form == "inherited":
            kinds["inherit"] = 1
        kinds.update({"truncate": 1, "column": 1, "unused_column": 1, "type": 1, "trigger": 0.7, "maintenance": 1,
                      "replace_view": 0.7 if self.schema.views else 0, "replica": 0.5, "index": 0.5, "rule": 0.3,
                      "cell_width": 0.7})
        if self.schema.about == "helpers":
            kinds["replacement"] = 14
        kind = r.choices(list(kinds), list(kinds.values()))[0]
        return kind, getattr(self, kind)(table)

    # ---- Rows ---------------------------------------------------------------------------------------------------

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

    # ---- Definitions and bulk -----------------------------------------------------------------------------------

    def truncate(self, table):
        statements = ["TRUNCATE %s%s" % (table.name, " CASCADE" if table.referenced else "")]
        rows = []
        for _ in range(12):
            columns, values = self.schema.row(table, len(rows))
            rows.append("(%s)" % values)
        if self.r.random() < 0.8:
            statements.append("INSERT INTO %s (%s) VALUES %s" % (table.name, columns, ", ".join(rows)))
        return Write(statements, strong=True)

    def truncate_leaf(self, table):
        return Write("TRUNCATE %s" % self.r.choice(table.leaves), strong=True)

    def refresh(self, table):
        name, unique = self.r.choice(self.schema.materialized)
        if unique and self.r.random() < 0.5:
            return Write("REFRESH MATERIALIZED VIEW CONCURRENTLY %s" % name)
        return Write("REFRESH MATERIALIZED VIEW %s" % name, strong=True)

    def detach(self, table):
        partition = self.r.choice(table.partitions)
        self.detached.append(partition)
        beside_default = any(p.bounds == "DEFAULT" and p.parent == partition.parent for p in table.partitions)
        if self.r.random() < 0.4 and not beside_default:
            return Write("ALTER TABLE %s DETACH PARTITION %s CONCURRENTLY" % (partition.parent, partition.name),
                         alone=True, block=False)
        return Write("ALTER TABLE %s DETACH PARTITION %s" % (partition.parent, partition.name), strong=True)

    def attach(self, table):
        partition = self.detached[0] if self.r.random() < 0.3 else self.detached.pop(0)
        return Write("ALTER TABLE %s ATTACH PARTITION %s %s" % (partition.parent, partition.name, partition.bounds),
                     strong=True)

    def new_partition(self, table):
        """Takes the place of one that is dropped."""
        partition = self.r.choice(table.partitions)
        return Write(["DROP TABLE %s" % partition.name,
                      "CREATE TABLE %s PARTITION OF %s %s" % (partition.name, partition.parent, partition.bounds)],
                     strong=True)

    def inherit(self, table):
        child = self.r.choice(table.leaves)
        return Write(self.r.choice(["ALTER TABLE %s NO INHERIT %s" % (child, table.name),
                                    "ALTER TABLE %s INHERIT %s" % (child, table.name)]), strong=True)

    def column(self, table):
        """A column goes and comes back elsewhere. Fails if a view needs it."""
        name, kind = self.r.choice(table.columns[2:])
        default = " DEFAULT %s" % kind.draw(self.r, 0) if self.r.random() < 0.6 else ""
        return Write("ALTER TABLE %s DROP COLUMN %s, ADD COLUMN %s %s%s" % (table.name, name, name, kind.declared,
                                                                            default), strong=True)

    def unused_column(self, table):
        self.added += 1
        return Write(self.r.choice(["ALTER TABLE %s ADD COLUMN x%d int DEFAULT 7" % (table.name, self.added),
                                    "ALTER TABLE %s DROP COLUMN IF EXISTS x%d" % (table.name, self.added - 1),
                                    "ALTER TABLE %s DROP COLUMN IF EXISTS e, ADD COLUMN e text DEFAULT 'w'"
                                    % table.name]),
                     strong=True)

    def type(self, table):
        kinds = dict(table.columns)
        other = {"integer": "bigint", "bigint": "integer", "smallint": "integer", "numeric": "numeric(12,1)",
                 "numeric(8,2)": "numeric(8,1)"}
        name = self.r.choice(["a", "d"])
        kind = kinds[name].name
        if kind not in other:
            return self.update_other(table)
        return Write(["ALTER TABLE %s ALTER %s TYPE %s" % (table.name, name, self.r.choice([other[kind], kind, kind]))],
                     strong=True)

    def trigger(self, table):
        if self.r.random() < 0.5:
            return Write("DROP TRIGGER IF EXISTS shift ON %s" % self.r.choice([table.name] + table.leaves), strong=True)
        return Write(["CREATE OR REPLACE FUNCTION shift() RETURNS trigger LANGUAGE plpgsql AS "
                      "'BEGIN NEW.d := 1; IF NEW.a = 2 THEN NEW.a := 3; END IF; RETURN NEW; END'",
                      "CREATE OR REPLACE TRIGGER shift BEFORE INSERT OR UPDATE ON %s FOR EACH ROW "
                      "EXECUTE FUNCTION shift()" % self.r.choice([table.name] + table.leaves)], alone=True)

    def rule(self, table):
        if self.r.random() < 0.6:
            return Write("DROP RULE IF EXISTS divert ON %s" % table.name, strong=True)
        other = self.r.choice(self.schema.tables)
        return Write("CREATE OR REPLACE RULE divert AS ON DELETE TO %s WHERE OLD.a = 1 DO ALSO "
                     "UPDATE %s SET f = NOT f WHERE id = OLD.id" % (table.name, other.name), strong=True)

    def maintenance(self, table):
        form = self.r.choice(["VACUUM FULL %s", "VACUUM %s", "ANALYZE %s"])
        return Write(form % table.name, strong="FULL" in form, alone=True, block=False)

    def index(self, table):
        return Write(self.r.choice(["CREATE INDEX IF NOT EXISTS extra_%s ON %s (b)" % (table.name, table.name),
                                    "DROP INDEX IF EXISTS extra_%s" % table.name]), strong=True)

    def cell_width(self, table):
        """Watches of ranges change. Fails for types that have none."""
        name, kind = self.r.choice(table.columns[:5])
        width = self.r.choice(["2", "8", "100", "0.5"] if kind.summed else ["2 days", "1 week", "1 hour"])
        return Write("SELECT aggcache.set_cell_width('%s', '%s', %s)" % (
            table.name, name, self.r.choice(["'%s'" % width, "'%s'" % width, "NULL"])), alone=True)

    def replica(self, table):
        """Writes as a subscriber or a restore would."""
        inner = self.r.choice([self.insert, self.update_key, self.delete])(table)
        return Write(["SET session_replication_role = replica"] + inner.statements + ["RESET session_replication_role"])

    def replacement(self, table):
        text = helpers.replacement(self.r)
        return Write(text, definition=True, block=not text.startswith("ALTER"))

    def replace_view(self, table):
        """The name stays, the rows are others."""
        for candidate in self.schema.tables:
            if candidate.updatable:
                return Write("CREATE OR REPLACE VIEW %s AS SELECT %s FROM %s WHERE %s" % (
                    candidate.updatable[0], ", ".join(name for name, _ in candidate.columns), candidate.name,
                    self.r.choice(["a > 2", "f", "true", "a IS NULL", "a = 1"])), strong=True)
        return self.update_other(table)
