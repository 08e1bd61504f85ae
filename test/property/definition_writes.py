"""Random writes of definitions, and of whole tables at once."""

import helpers
from row_writes import Write


class DefinitionWrites:
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
