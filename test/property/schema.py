"""Random schemas: plain, partitioned and inherited tables, foreign keys, views, materialized views, and their rows."""

import helpers
from kinds import KINDS


class Relation:
    """What a query can read: a name and columns, each a name and a Kind."""

    def __init__(self, name, columns):
        self.name, self.columns = name, columns


class Table(Relation):
    def __init__(self, name, columns, form):
        super().__init__(name, columns)
        self.form = form  # plain, partitioned, inherited
        self.partitions = []  # of Partition
        self.leaves = []  # names of relations below it that can be written by name
        self.unique = None  # columns of a unique constraint, text
        self.updatable = []  # names of views that can be written
        self.referenced = False
        self.key = None  # the partition key column
        self.generated = []  # columns that are read and not written


class Partition:
    def __init__(self, name, parent, bounds):
        self.name, self.parent, self.bounds = name, parent, bounds


class Schema:
    def __init__(self, r, available, about=None):
        """available: names of kinds that this server has"""
        self.r, self.available = r, available
        # What queries are about besides columns, and what changes between calls.
        self.about = r.choice(["", "settings", "extensions", "helpers", "kept"])
        self.only_kept = about == "kept"  # and nothing else
        self.about = about or self.about
        self.statements = []
        self.functions = []  # that exist already
        self.tables = []
        self.views = []
        self.materialized = []  # (name, has a unique index)
        # Half of the cases are about queries, half about the forms of tables.
        self.forms = r.random() < (0.4 if self.about == "kept" else 0.5)
        # A transaction with more tags than this registers for the whole table.
        if r.random() < (0.05 if self.only_kept else 0.3):
            self.add("SET aggcache.bulk_threshold = %d" % r.choice([20, 200]))
        pool = [name for name in KINDS if name in available]
        self.pool = [KINDS["integer"], KINDS["text"]] + [KINDS[name] for name in r.sample(pool, min(4, len(pool)))]
        if self.only_kept:
            self.pool = [KINDS[name] for name in ("integer", "text", "date", "timestamp without time zone")]
        if self.about == "settings":
            self.pool += [KINDS["timestamp with time zone"]] * 2
        if self.about == "kept":
            self.pool += [KINDS[name] for name in ("bigint", "numeric", "numeric(8,2)", "boolean", "interval", "money")]
        for number in range(r.randint(1, 2) if self.about == "kept" else r.randint(2, 4)):
            self.table("r%d" % number)
        self.sources = [Relation(table.name, table.columns + table.generated) for table in self.tables]
        for table in self.tables:
            # the lowest are what foreign keys point at
            for number in range(r.randint(15, 30)):
                identity = number if number < 10 else None
                self.add("INSERT INTO %s (%s) VALUES (%s)" % ((table.name,) + self.row(table, identity)))
        for number in range(0 if self.only_kept else r.choice([0, 1, 1, 2])):
            self.view("v%d" % number)
        if self.forms and not self.only_kept and r.random() < 0.4:
            self.materialized_view("m0")
        if self.about in ("settings", "helpers"):
            self.statements += helpers.set_up(r, r.choice(self.tables))
        # What no analysis sees into; its users state what it reads.
        self.opaque = r.choice(self.tables)
        self.add("CREATE FUNCTION look_up(bigint) RETURNS bigint LANGUAGE plpgsql STABLE AS "
                 "'BEGIN RETURN (SELECT count(*) FROM %s WHERE a = $1); END'" % self.opaque.name)
        for table in self.tables:
            for leaf in table.leaves:
                if r.random() < min(0.3, 1 / len(table.leaves)):
                    self.sources.append(Relation(leaf, table.columns + table.generated))
        for table in self.tables:
            if r.random() < 0.5:
                self.add("ANALYZE %s" % table.name)

    def add(self, statement):
        self.statements.append(statement)

    # ---- Tables -------------------------------------------------------------------------------------------------

    def table(self, name):
        r = self.r
        shares = [4, 4, 0 if self.only_kept else 1] if self.forms else [1, 0, 0]
        form = r.choices(["plain", "partitioned", "inherited"], shares)[0]
        columns = [("id", KINDS["integer"]), ("a", KINDS[r.choice(["integer", "integer", "bigint", "smallint"])]),
                   ("b", r.choice(self.pool)), ("c", r.choice(self.pool)),
                   ("d", KINDS[r.choice(["numeric", "numeric(8,2)", "integer", "bigint"])]), ("f", KINDS["boolean"])]
        table = Table(name, columns, form)
        # e is read by no query
        parts = ["%s %s" % (column, kind.declared) for column, kind in columns] + ["e text DEFAULT 'x'"]
        if r.random() < 0.3:
            table.generated.append(("g", KINDS["bigint"]))
            parts.append("g bigint GENERATED ALWAYS AS (%s) STORED" % r.choice(["a * 2", "coalesce(a, 7)", "id %% 5"])
                         .replace("%%", "%"))
        shuffled = parts[:]
        r.shuffle(shuffled)
        if form == "plain":
            if r.random() < 0.8:
                table.unique = "id"
                shuffled.append("PRIMARY KEY (id)")
            parents = [t for t in self.tables if t.form == "plain" and t.unique]
            if parents and columns[1][1].name == "integer" and r.random() < 0.5:
                parent = r.choice(parents)
                parent.referenced = True
                shuffled.append("FOREIGN KEY (a) REFERENCES %s (id) ON DELETE %s ON UPDATE CASCADE%s" % (
                    parent.name, r.choice(["CASCADE", "SET NULL"]), r.choice(["", " DEFERRABLE INITIALLY DEFERRED"])))
            self.add("CREATE TABLE %s (%s)" % (name, ", ".join(shuffled)))
        elif form == "inherited":
            self.add("CREATE TABLE %s (%s)" % (name, ", ".join(shuffled)))
            for number in range(r.randint(1, 2)):
                child = "%s_%d" % (name, number)
                self.add("CREATE TABLE %s (h integer) INHERITS (%s)" % (child, name))
                table.leaves.append(child)
        else:
            self.partitioned(table, shuffled)
        if r.random() < 0.5:
            self.add("CREATE INDEX ON %s (%s)" % (name, r.choice(["a", "a, id", "f, a", "id"])))
        self.tables.append(table)

    def partitioned(self, table, parts):
        r, name = self.r, table.name
        dates = [column for column, kind in table.columns if kind.name in ("date", "timestamp without time zone")]
        table.key = r.choice(["a", "a", "id"] + dates)
        method = r.choice(["LIST", "RANGE", "HASH", "HASH"]) if table.key not in dates else "RANGE"
        if table.key == "id" and method == "LIST":
            method = "RANGE"
        if r.random() < 0.5:
            table.unique = "id" if table.key == "id" else None
            if table.unique:
                parts.append("PRIMARY KEY (id)")
        self.add("CREATE TABLE %s (%s) PARTITION BY %s (%s)" % (name, ", ".join(parts), method, table.key))
        if method == "LIST":
            bounds = ["IN (0, 1)", "IN (2, 3, NULL)", "IN (4, 5)", "DEFAULT"]
        elif method == "HASH":
            # above 16, the cache stops telling partitions apart
            modulus = r.choice([2, 19])
            bounds = ["WITH (MODULUS %d, REMAINDER %d)" % (modulus, i) for i in range(modulus)]
        elif table.key in dates:
            bounds = ["FROM (MINVALUE) TO ('2025-01-01')", "FROM ('2025-01-01') TO ('2025-02-01')",
                      "FROM ('2025-02-01') TO (MAXVALUE)", "DEFAULT"]
        else:
            middle = (2, 4) if table.key == "a" else (12, 25)
            bounds = ["FROM (MINVALUE) TO (%d)" % middle[0], "FROM (%d) TO (%d)" % middle, "FROM (%d) TO (MAXVALUE)" %
                      middle[1], "DEFAULT"]
        nested = r.randrange(len(bounds)) if r.random() < 0.35 else None
        for number, bound in enumerate(bounds):
            if bound == "DEFAULT" and r.random() < 0.3:
                continue
            leaf = "%s_%d" % (name, number)
            clause = bound if bound.startswith("DEFAULT") else "FOR VALUES " + bound
            if number == nested:
                self.add("CREATE TABLE %s PARTITION OF %s %s PARTITION BY %s" % (
                    leaf, name, clause, r.choice(["HASH (id)", "LIST (f)"] if not table.unique else ["HASH (id)"])))
                below = ["%s_0" % leaf, "%s_1" % leaf]
                if self.statements[-1].endswith("LIST (f)"):
                    below_bounds = ["FOR VALUES IN (true)", "DEFAULT"]
                else:
                    below_bounds = ["FOR VALUES WITH (MODULUS 2, REMAINDER %d)" % i for i in range(2)]
                for low, low_bound in zip(below, below_bounds):
                    self.add("CREATE TABLE %s PARTITION OF %s %s" % (low, leaf, low_bound))
                    table.partitions.append(Partition(low, leaf, low_bound))
                    table.leaves.append(low)
            elif r.random() < 0.4:
                # columns in another order, and one that is gone
                own = [part for part in parts if not part.startswith("PRIMARY")]
                r.shuffle(own)
                self.add("CREATE TABLE %s (%s)" % (leaf, ", ".join(["gone integer"] + own)))
                self.add("ALTER TABLE %s DROP COLUMN gone" % leaf)
                self.add("ALTER TABLE %s ATTACH PARTITION %s %s" % (name, leaf, clause))
                table.leaves.append(leaf)
            else:
                self.add("CREATE TABLE %s PARTITION OF %s %s" % (leaf, name, clause))
                table.leaves.append(leaf)
            table.partitions.append(Partition(leaf, name, clause))

    def row(self, table, identity=None):
        """Column names and values of a random row, as text."""
        r = self.r
        values = [str(identity if identity is not None else r.randint(0, 40))]
        for name, kind in table.columns[1:]:
            values.append(kind.draw(r, 0.05 if name == table.key else 0.12))
        return ", ".join(name for name, _ in table.columns), ", ".join(values)

    # ---- Views --------------------------------------------------------------------------------------------------

    def view(self, name):
        r = self.r
        table = r.choice(self.tables)
        if r.random() < 0.6:
            names = ", ".join(column for column, _ in table.columns)
            self.add("CREATE VIEW %s AS SELECT %s FROM %s WHERE %s" % (name, names, table.name, r.choice(
                ["f", "a IS NOT NULL", "a > 1", "a = 2", "f IS NOT TRUE", "true"])))
            table.updatable.append(name)
            self.sources.append(Relation(name, table.columns))
        else:
            other = r.choice(self.tables)
            self.add("CREATE VIEW %s AS SELECT x.a AS a, x.b AS b, count(y.id) AS n "
                     "FROM %s x LEFT JOIN %s y ON x.a = y.a GROUP BY x.a, x.b" % (name, table.name, other.name))
            kinds = dict(table.columns)
            # which of some equal values of b the view shows is not determined
            columns = [("a", kinds["a"]), ("n", KINDS["bigint"])]
            if kinds["b"].steady_form == "{0}":
                columns.append(("b", kinds["b"]))
            self.sources.append(Relation(name, columns))
        self.views.append(name)

    def materialized_view(self, name):
        table = self.r.choice(self.tables)
        columns = [(column, kind) for column, kind in table.columns if column in ("id", "a", "b", "d", "f")]
        self.add("CREATE MATERIALIZED VIEW %s AS SELECT %s FROM %s" % (name, ", ".join(c for c, _ in columns),
                                                                       table.name))
        unique = table.unique == "id"
        if unique:
            self.add("CREATE UNIQUE INDEX ON %s (id)" % name)
        self.materialized.append((name, unique))
        self.sources.append(Relation(name, columns))
