"""A small random schema with cached functions, and for each definition of each function a plain twin of its own.

A twin is never replaced: p_NAME_NUMBER is the definition that the cached function c_NAME has, or had. So what a cursor
has to answer can be asked of a plain function whatever happened to the cached one meanwhile.
"""

ROLES = ("cursor_owner", "cursor_user", "cursor_other", "cursor_group")
# Once for a server: roles are the cluster's.
MAKE_ROLES = ["CREATE ROLE cursor_owner", "CREATE ROLE cursor_user", "CREATE ROLE cursor_other",
              "CREATE ROLE cursor_group NOLOGIN"]
# What a round before may have left.
CLEAR = ["DROP SCHEMA IF EXISTS w, w2, elsewhere CASCADE",
         "CREATE EXTENSION IF NOT EXISTS pg_aggcache", "CREATE SCHEMA w", "CREATE SCHEMA w2", "CREATE SCHEMA elsewhere",
         "GRANT USAGE ON SCHEMA w, w2, elsewhere TO PUBLIC",
         "ALTER ROLE cursor_user NOSUPERUSER NOBYPASSRLS INHERIT", "ALTER ROLE cursor_user RESET ALL",
         "GRANT cursor_group TO cursor_user", "REVOKE cursor_owner, pg_read_all_data FROM cursor_user",
         "SET search_path = w, public"]
# 4702111234474983681 has the bytes of a pointer to a value elsewhere, taken for a text.
VALUES = (1, 2, 3, 7, 257, 300, 65793, 4702111234474983681)
ENUM = ("red", "green", "blue")
ARGUMENT = "(1 + g % 3)"


class Kind:
    """What a function returns, the body for it, and how its answers can be asked for row by row.

    FORMS are queries with {f} for the function, {a} for the argument, {n} for the number of calls; COLUMN gives the
    answer of one call as one text. {mark} tells the definitions of a function apart.
    """

    def __init__(self, returns, bodies, column, forms, parameter="x int", mget=None):
        self.returns, self.bodies, self.column, self.forms = returns, bodies, column, forms
        self.parameter, self.mget = parameter, mget


OF_SCALAR = ["SELECT g, w.{f}({a})::text FROM {g} g", "SELECT g, q::text FROM {g} g, LATERAL w.{f}({a}) q",
             "SELECT g FROM {g} g WHERE w.{f}({a}) IS NOT NULL",
             "SELECT g, w.{f}({a})::text, w.{f}({a}) IS NULL FROM {g} g",
             "SELECT g, (SELECT w.{f}({a})::text) FROM {g} g",
             "SELECT g, (WITH c AS MATERIALIZED (SELECT w.{f}({a})::text x) SELECT x FROM c) FROM {g} g"]
EXPANDED = ["SELECT g, q.c1::text, q.c2::text, q.c3::text FROM {g} g, LATERAL w.{f}({a}) AS q(c1, c2, c3)",
            "SELECT g, q.c1::text, q.c3::text FROM {g} g LEFT JOIN LATERAL w.{f}({a}) AS q(c1, c2, c3) ON true",
            "SELECT g, ARRAY(SELECT q.c3::text FROM w.{f}({a}) AS q(c1, c2, c3)) FROM {g} g",
            # the text as it is: a value of another type in its place would be taken for one
            "SELECT g, q.c1, q.c2, q.c3 FROM {g} g, LATERAL w.{f}({a}) AS q(c1, c2, c3)"]
WHOLE = ["SELECT g, w.{f}({a})::text FROM {g} g", "SELECT g, q::text FROM {g} g, LATERAL w.{f}({a}) q"]
COLUMN_OF_ROWS = "ARRAY(SELECT concat_ws('|', q.c1, q.c2, q.c3) FROM w.{f}({a}) AS q(c1, c2, c3))::text"
COLUMN_OF_SET = "ARRAY(SELECT q::text FROM w.{f}({a}) q)::text"
ROWS = "SELECT k, count(*){mark}, max(v){mark} FROM {s} WHERE k <= x GROUP BY k ORDER BY k"
ROW = "SELECT k, count(*){mark}, max(v){mark} FROM {s} WHERE k = x GROUP BY k"
TAME_ROWS = "SELECT k, max(s) || '{text}', max(v){mark} FROM {s} WHERE k <= x GROUP BY k ORDER BY k"
TAME_ROW = "SELECT k, max(s) || '{text}', max(v){mark} FROM {s} WHERE k = x GROUP BY k"
ANY = "SELECT x FROM {s} WHERE k <= 2 ORDER BY k, v LIMIT 2 {limit}"

KINDS = {
    "scalar": Kind("bigint", ["SELECT max(v){mark} FROM {s} WHERE k = x", "SELECT (count(*) + 1){mark} FROM {s} WHERE "
                              "k >= x", "SELECT (SELECT max(v) FROM {s}){mark} + count(*) FROM {s} WHERE k = x"],
                   "w.{f}({a})::text", OF_SCALAR, mget="q bigint"),
    "text": Kind("text", ["SELECT string_agg(s, ',' ORDER BY s, v) || '{text}' FROM {s} WHERE k = x"],
                 "w.{f}({a})::text", OF_SCALAR, mget="q text"),
    "enum": Kind("e0", ["SELECT CASE '{text}' WHEN '' THEN max(e) ELSE min(e) END FROM {s} WHERE k = x"],
                 "w.{f}({a})::text", OF_SCALAR),
    "domain": Kind("d0", ["SELECT (count(*){mark})::int::d0 FROM {s} WHERE k = x"], "w.{f}({a})::text", OF_SCALAR),
    "array": Kind("bigint[]", ["SELECT array_agg(v{mark} ORDER BY v) FROM {s} WHERE k = x"], "w.{f}({a})::text",
                  OF_SCALAR),
    "setting": Kind("text", ["SELECT max(s) || current_setting('w.x', true) || '{text}' FROM {s} WHERE k = x",
                             "SELECT to_char(max(at), 'YYYY-MM-DD HH24') || '{text}' FROM {s} WHERE k <= x",
                             "SELECT current_user || max(v){mark} FROM {s} WHERE k = x",
                             "SELECT max(at)::text || '{text}' FROM {s} WHERE k <= x"],
                    "w.{f}({a})::text", OF_SCALAR),
    "set of scalar": Kind("SETOF bigint", ["SELECT v{mark} FROM {s} WHERE k <= x ORDER BY v, k"], COLUMN_OF_SET,
                          WHOLE + ["SELECT g, w.{f}({a})::text, w.{f}({a}) FROM {g} g"], mget="q bigint"),
    "wild row": Kind("ct", [ROW], COLUMN_OF_ROWS, EXPANDED + ["SELECT g, (w.{f}({a})).k FROM {g} g"],
                     mget="k int, s text, b text"),
    "wild rows": Kind("SETOF ct", [ROWS], COLUMN_OF_ROWS, EXPANDED + ["SELECT g, (w.{f}({a})).k FROM {g} g"],
                      mget="k int, s text, b text"),
    "tame row": Kind("tt", [TAME_ROW], "w.{f}({a})::text", WHOLE + EXPANDED, mget="k int, s text, b bigint"),
    "tame rows": Kind("SETOF tt", [TAME_ROWS], COLUMN_OF_ROWS, WHOLE + EXPANDED, mget="k int, s text, b bigint"),
    "table": Kind("TABLE (k int, s text, b bigint)", [TAME_ROWS], COLUMN_OF_ROWS, WHOLE + EXPANDED,
                  mget="k int, s text, b bigint"),
    "out": Kind("record", [TAME_ROW], COLUMN_OF_ROWS, WHOLE + EXPANDED,
                parameter="x int, OUT k int, OUT s text, OUT b bigint"),
    "record": Kind("SETOF record", [TAME_ROWS],
                   "ARRAY(SELECT q::text FROM w.{f}({a}) AS q(k int, s text, b bigint))::text",
                   ["SELECT g, q.* FROM {g} g, LATERAL w.{f}({a}) AS q(k int, s text, b bigint)",
                    "SELECT g, q::text FROM {g} g, LATERAL w.{f}({a}) AS q(k int, s text, b bigint)"]),
    "row of table": Kind("t0", [
        "SELECT * FROM t0 WHERE k = x ORDER BY v, s, u, at, e LIMIT 1 {limit}"], "w.{f}({a})::text", WHOLE + [
        "SELECT g, q.c1, q.c2, q.c3 FROM {g} g, LATERAL w.{f}({a}) AS q(c1, c2, c3)"]),
    "rows of table": Kind("SETOF t0", [
        "SELECT * FROM t0 WHERE k = x ORDER BY v, s, k, u, at, e LIMIT 3 {limit}"], COLUMN_OF_ROWS, WHOLE + [
        "SELECT g, w.{f}({a}) FROM {g} g",
        "SELECT g, q.c1, q.c2, q.c3 FROM {g} g, LATERAL w.{f}({a}) AS q(c1, c2, c3)"]),
    "any": Kind("anyelement", [ANY], "w.{f}({a}::bigint)::text",
                ["SELECT g, w.{f}({a}::bigint)::text FROM {g} g", "SELECT g, w.{f}({a}::text) FROM {g} g",
                 "SELECT g, w.{f}(({a}, 'x', 7)::tt)::text FROM {g} g", "SELECT g, w.{f}('red'::e0) FROM {g} g"],
                parameter="x anyelement"),
    "set of any": Kind("SETOF anyelement", [ANY], "ARRAY(SELECT q::text FROM w.{f}({a}::bigint) q)::text",
                       ["SELECT g, q FROM {g} g, LATERAL w.{f}({a}::bigint) q", "SELECT g, w.{f}({a}::text) FROM {g} g",
                        "SELECT g, q::text FROM {g} g, LATERAL w.{f}(({a}, 'x', 7)::tt) q"], parameter="x anyelement"),
    "nested": Kind("bigint", ["SELECT {inner}(x) % 1000 + max(v){mark} FROM {s} WHERE k = x"],
                   "w.{f}({a})::text", OF_SCALAR),
    "nested rows": Kind("TABLE (k int, s text, b bigint)",
                        ["SELECT k, max(s) || '{text}', {inner}(k) FROM {s} WHERE k <= x GROUP BY k ORDER BY k"],
                        COLUMN_OF_ROWS, WHOLE + EXPANDED),
    "helper": Kind("bigint", ["SELECT max(h(v)){mark} FROM {s} WHERE k = x", "SELECT h(max(v)){mark} FROM {s} WHERE "
                              "k = x"], "w.{f}({a})::text", OF_SCALAR),
}
SOURCES = ("t0", "t1", "t2", "v0", "v1", "w.t0", "w.v0")


class Function:
    def __init__(self, name, kind, body, options, inner=None):
        self.name, self.kind, self.body, self.options, self.inner = name, kind, body, options, inner
        self.version = 0  # of the body
        self.revision = 0  # of the twin: also counts new bodies of what it calls

    def cached(self):
        return "c_" + self.name

    def twin(self):
        return "p_%s_%d" % (self.name, self.revision)

    def arguments(self):
        return "(%s)" % self.kind.parameter.split(" ")[1].rstrip(",")

    def signature(self):
        return "w." + self.cached() + self.arguments()

    def twin_signature(self):
        return "w." + self.twin() + self.arguments()

    def make_twin(self):
        """The statement that makes the twin of the present version. It has to have the cached function's owner."""
        return self.definition(False, replace=self.revision > 0)

    def definition(self, cached, language=None, replace=False):
        """The statement that creates the cached function, or the plain twin, as of the present version."""
        n = self.version
        # the length differs too
        body = self.body.replace("{mark}", " + %d" % (1000 * n) if n else "").replace("{text}", "v" * n).replace(
            "{limit}", "OFFSET 0" * (n % 2))
        if self.inner:
            body = body.replace("{inner}", "w." + (self.inner.cached() if cached else self.inner.twin()))
        return "CREATE %sFUNCTION w.%s(%s) RETURNS %s LANGUAGE %s STABLE %s AS $$%s$$" % (
            "OR REPLACE " if replace else "", self.cached() if cached else self.twin(), self.kind.parameter,
            self.kind.returns, language or ("cached_sql" if cached else "sql"), self.options, body)


class World:
    """The schema of a round. `statements` make it; functions are made one by one, as some are refused."""

    def __init__(self, r):
        self.r = r
        self.statements = []
        self.functions = []
        self.user = r.choice(["postgres", "postgres", "cursor_user", "cursor_user", "cursor_user"])
        self.tables()
        self.make_functions()

    def add(self, *statements):
        self.statements += statements

    def rows(self, table, count):
        r = self.r
        return "INSERT INTO %s (k, v, s, e, at, u) VALUES %s" % (table, ", ".join(
            "(%d, %d, '%s', '%s', '2024-01-%02d 23:30+00', %d)" % (
                r.randint(1, 4), r.choice(VALUES), r.choice("abcdef") * r.choice([1, 1, 3, 200]), r.choice(ENUM),
                r.randint(1, 28), r.randint(0, 9)) for _ in range(count)))

    def tables(self):
        r = self.r
        self.add("CREATE TYPE e0 AS ENUM ('red', 'green', 'blue')", "CREATE DOMAIN d0 AS int CHECK (value > -1)",
                 "CREATE TYPE ct AS (k int, s text, b text)", "CREATE TYPE tt AS (k int, s text, b bigint)")
        columns = "k int, s text, v bigint, e e0, at timestamptz, u int"
        self.add("CREATE TABLE t0 (%s%s)" % (columns, r.choice(["", ", PRIMARY KEY (k, v, s, u)"])))
        if r.random() < 0.6:
            self.add("CREATE TABLE t1 (%s) PARTITION BY LIST (k)" % columns,
                     "CREATE TABLE t1_a PARTITION OF t1 FOR VALUES IN (1, 2)",
                     "CREATE TABLE t1_b PARTITION OF t1 FOR VALUES IN (3)", "CREATE TABLE t1_d PARTITION OF t1 DEFAULT")
        else:
            self.add("CREATE TABLE t1 (%s)" % columns, "CREATE TABLE t1_a () INHERITS (t1)")
        self.add("CREATE TABLE t2 (%s)" % columns)
        if r.random() < 0.7:
            self.add("CREATE POLICY mine ON t2 USING (%s)" % r.choice(["u < 7", "s <> current_user", "k < 3 OR u > 2"]),
                     "ALTER TABLE t2 ENABLE ROW LEVEL SECURITY")
        self.add("CREATE TABLE w2.t0 (LIKE t0)", "CREATE FUNCTION h(y bigint) RETURNS bigint LANGUAGE sql IMMUTABLE "
                 + r.choice(["", "SET enable_material = on "]) + "AS 'SELECT y %% 1000 + 1'".replace("%%", "%"))
        for table in ("t0", "t1", "t2", "w2.t0"):
            self.add(self.rows(table, r.randint(6, 15)) + " ON CONFLICT DO NOTHING")
        self.add("CREATE VIEW v0%s AS SELECT k, s, v, e, at, u FROM %s WHERE u >= 0" % (
            r.choice(["", " WITH (security_invoker)", " WITH (security_barrier)"]), r.choice(["t0", "t1", "t2"])),
            "CREATE VIEW v1 AS SELECT a.k, a.s, a.v, a.e, a.at, a.u FROM v0 a JOIN (SELECT DISTINCT k FROM %s) b USING "
            "(k)" % r.choice(["t0", "t1"]))
        for relation in ("t0", "t1", "t2", "v0", "v1", "w2.t0"):
            self.add("GRANT SELECT ON %s TO %s" % (relation, r.choice(["cursor_group", "cursor_user", "PUBLIC"])))
        self.add("GRANT INSERT, UPDATE, DELETE ON t0, t1, t2, w2.t0 TO PUBLIC", "GRANT USAGE ON TYPE e0 TO PUBLIC")
        if r.random() < 0.5:
            self.add("GRANT ALL ON SCHEMA w TO cursor_owner", "ALTER VIEW v0 OWNER TO cursor_owner",
                     "GRANT SELECT ON t0, t1, t2 TO cursor_owner")

    def options(self):
        # a SET clause keeps the twin from being inlined: then its definition would be fixed when the query is planned
        r = self.r
        return (r.choice(["SET enable_material = on", "SET enable_material = on", "SET work_mem = '2MB'",
                          "SET search_path = w, public", "SET timezone = 'Asia/Tokyo'"])
                + r.choice([""] * 4 + [" SECURITY DEFINER", " STRICT", " PARALLEL SAFE"]))

    def make_functions(self):
        r = self.r
        names = list(KINDS) + ["wild row", "wild rows", "rows of table"] * 2 + ["rows of table"]
        for number in range(r.randint(2, 4)):
            name = r.choice(names)
            kind = KINDS[name]
            inner = None
            if "nested" in name:
                inner_kind = KINDS["scalar"]
                inner = Function("g%d" % number, inner_kind, self.body(inner_kind), self.options())
                self.functions.append(inner)
            self.functions.append(Function("f%d" % number, kind, self.body(kind), self.options(), inner))
        for function in self.functions:
            self.add(function.definition(True))
            self.add(function.make_twin())
            if r.random() < 0.3:
                self.add("ALTER FUNCTION %s OWNER TO cursor_owner" % function.signature(),
                         "ALTER FUNCTION %s OWNER TO cursor_owner" % function.twin_signature())

    def body(self, kind):
        return self.r.choice(kind.bodies).replace("{s}", self.r.choice(SOURCES))
