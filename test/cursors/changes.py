"""Random changes of definitions, privileges and data that happen between the rows of a cursor.

Each says what it is about, by which the judge (judge.py) knows what may come of it where the cached function has
no lock yet:
  function   the cached function itself is replaced, altered or dropped: no row shows it
  inner      a function that the body calls: the body's next run shows it, in plain functions too
  view       a view, or a policy, in a way that the former definition can still be run
  structure  the former definition may not be runnable any more
  rewrite    rows are gone for old snapshots too
  type       a composite type, an enum
  renewed    an attribute of the type goes, and another one of its name comes
  gone       the type itself
  domain     a constraint of a domain
  privilege  who may do what
  extension  the extension or what it keeps on the tables
  names      a name now stands for another table
"""

import re


class Change:
    def __init__(self, about, *statements, **options):
        self.about = set(about.split())
        self.statements = list(statements)
        self.before = options.get("before", [])  # twins of what comes, made by another session
        self.owned = options.get("owned", [])  # cached functions and their new twins, by signature
        self.twins = options.get("twins", {})  # by name of a function: its former twin and the new one
        self.name = options.get("name")  # of the function that is replaced or altered itself
        self.table = options.get("table")  # which it keeps all others from reading
        self.block = options.get("block", True)  # whether a transaction block allows it


class Changes:
    def __init__(self, r, world):
        self.r, self.world = r, world
        self.aims = []

    def draw(self, open_functions):
        """A change, more likely one that concerns functions with open cursors."""
        makers = [self.replace] * 6 + [self.alter_function] * 4 + [self.helper] + [self.view] * 4 + [
            self.type] * 2 + [self.privilege] * 5 + [self.policy] * 3 + [self.extension] * 2 + [self.table] * 6 + [
            self.partition] * 2 + [self.maintain] * 2
        self.aims = [f for f in open_functions if f in self.world.functions]
        for function in self.aims:
            if re.search(r"\b(ct|tt|anyelement|e0|d0)\b", function.kind.returns):
                makers += [self.type] * 15
            if re.search(r"\bt0\b", function.kind.returns):
                makers += [self.row_table] * 15
            if "h(" in function.body:
                makers += [self.helper] * 8
            if "t1" in function.body:
                makers += [self.partition] * 4
            if "v0" in function.body or "v1" in function.body:
                makers += [self.view] * 6
        return self.r.choice(makers)()

    def function(self):
        choice = self.r.choice(self.world.functions)
        return self.r.choice(self.aims) if self.aims and self.r.random() < 0.7 else choice

    def relation(self, names, aimed=0.6):
        """One of them; more likely one that a function with an open cursor reads."""
        read = [name for name in names for f in self.aims if re.search(r"\b%s\b" % name, f.body)]
        return self.r.choice(read if read and self.r.random() < aimed else names)

    def replace(self, function=None):
        """A new body for a cached function. The twin of each that calls it is made anew as well."""
        r = self.r
        function = function or self.function()
        old = function.twin()
        function.version += 1
        function.revision += 1
        before = [function.make_twin()]
        owned = [(function.signature(), function.twin_signature())]
        twins = {function.name: (old, function.twin())}
        for outer in self.world.functions:
            if outer.inner is function:
                old = outer.twin()
                outer.revision += 1
                before.append(outer.make_twin())
                owned.append((outer.signature(), outer.twin_signature()))
                twins[outer.name] = (old, outer.twin())
        language = r.choice([None] * 6 + ["sql"])
        return Change("function", function.definition(True, language=language, replace=True), before=before,
                      owned=owned, twins=twins, name=function.name)

    def alter_function(self):
        r = self.r
        function = self.function()
        f = function.signature()
        return Change("function", r.choice([
            "ALTER FUNCTION %s COST 7", "ALTER FUNCTION %s SECURITY DEFINER", "ALTER FUNCTION %s SECURITY INVOKER",
            "ALTER FUNCTION %s STRICT", "ALTER FUNCTION %s SET work_mem = '1MB'", "ALTER FUNCTION %s RESET ALL",
            "ALTER FUNCTION %s SET search_path = w2, w", "ALTER FUNCTION %s SET timezone = 'UTC'",
            "ALTER FUNCTION %s OWNER TO cursor_other", "ALTER FUNCTION %s RENAME TO renamed",
            "ALTER FUNCTION %s SET SCHEMA elsewhere", "DROP FUNCTION %s CASCADE", "DROP FUNCTION %s",
            "ALTER FUNCTION %s SET aggcache.ttl = '1min'", "ALTER FUNCTION %s SET aggcache.enabled = off",
            "REVOKE ALL ON FUNCTION %s FROM PUBLIC", "GRANT EXECUTE ON FUNCTION %s TO cursor_user",
            "SELECT aggcache.invalidate('%s'::regprocedure)", "SELECT aggcache.refresh('%s'::regprocedure)"]) % f,
            name=function.name)

    def helper(self):
        r = self.r
        return Change("inner", r.choice([
            "CREATE OR REPLACE FUNCTION h(y bigint) RETURNS bigint LANGUAGE sql IMMUTABLE AS 'SELECT y % 100 + 5'",
            "CREATE OR REPLACE FUNCTION h(y bigint) RETURNS bigint LANGUAGE plpgsql IMMUTABLE AS "
            "'BEGIN RETURN y % 10; END'", "DROP FUNCTION h CASCADE", "ALTER FUNCTION h SET enable_sort = on",
            "CREATE OR REPLACE FUNCTION h(y bigint) RETURNS bigint LANGUAGE sql STABLE AS 'SELECT y % 50'",
            "ALTER FUNCTION h(bigint) RENAME TO h2", "CREATE FUNCTION h(y int) RETURNS bigint LANGUAGE sql IMMUTABLE "
            "AS 'SELECT 1::bigint'"]))

    def view(self):
        r = self.r
        view = self.relation(["v0", "v1"])
        if r.random() < 0.5:
            return Change("view", "CREATE OR REPLACE VIEW %s AS SELECT k, s, %s AS v, e, at, u FROM %s%s" % (
                view, r.choice(["v", "v + 500", "-v"]), r.choice(["t0", "t1", "t2"]),
                r.choice(["", " WHERE u < 5", " WHERE k <> 2"])))
        about, text = r.choice([
            ("structure", "DROP VIEW %s CASCADE"), ("structure", "ALTER VIEW %s RENAME COLUMN v TO vv"),
            ("view", "ALTER VIEW %s RENAME TO renamed_view"), ("view", "ALTER VIEW %s SET SCHEMA elsewhere"),
            ("view", "ALTER VIEW %s SET (security_barrier)"),
            ("view privilege", "ALTER VIEW %s SET (security_invoker)"),
            ("view privilege", "ALTER VIEW %s OWNER TO cursor_other")])
        return Change(about, text % view)

    def type(self):
        r = self.r
        wild = ["ALTER TYPE ct ALTER ATTRIBUTE b TYPE bigint", "ALTER TYPE ct ALTER ATTRIBUTE s TYPE bigint",
                "ALTER TYPE ct ALTER ATTRIBUTE s TYPE bigint, ALTER ATTRIBUTE b TYPE bigint",
                "ALTER TYPE ct ALTER ATTRIBUTE b TYPE text", "ALTER TYPE ct ALTER ATTRIBUTE b TYPE numeric",
                "ALTER TYPE ct ALTER ATTRIBUTE k TYPE bigint, ALTER ATTRIBUTE b TYPE text"]
        tame = ["ALTER TYPE %s ADD ATTRIBUTE z int", "ALTER TYPE %s DROP ATTRIBUTE b", "ALTER TYPE %s DROP ATTRIBUTE s",
                "ALTER TYPE %s RENAME ATTRIBUTE s TO ss", "ALTER TYPE %s RENAME TO renamed_type",
                "ALTER TYPE %s SET SCHEMA elsewhere", "DROP TYPE %s CASCADE",
                "ALTER TYPE %s DROP ATTRIBUTE b, ADD ATTRIBUTE b text"]
        fate = r.random()
        returned = " ".join(f.kind.returns for f in self.aims)
        if "ct" in returned and fate < 0.8 or fate < 0.35:
            return Change("type", r.choice(wild))
        if "d0" not in returned and "e0" not in returned and fate < 0.75:
            text = r.choice(tame) % r.choice(["tt", "ct"])
            return Change("type renewed" if "b, ADD" in text else "type gone" if "DROP TYPE" in text else "type", text)
        if fate < 0.9:
            # a row type of a record that is handed over without a lock on the type
            return Change("type", r.choice(["ALTER TYPE e0 RENAME VALUE 'red' TO 'crimson'",
                                            "ALTER TYPE e0 ADD VALUE IF NOT EXISTS 'aaa' BEFORE 'red'",
                                            "ALTER TYPE e0 RENAME TO e1", "ALTER TYPE e0 SET SCHEMA elsewhere"]))
        return Change("domain", r.choice(["ALTER DOMAIN d0 ADD CONSTRAINT few CHECK (value < 2)",
                                          "ALTER DOMAIN d0 DROP CONSTRAINT d0_check", "ALTER DOMAIN d0 SET NOT NULL",
                                          "ALTER DOMAIN d0 RENAME TO d1"]))

    def row_table(self):
        """The table whose rows functions return, freed from the views that keep its columns as they are."""
        return Change("structure rewrite", "DROP VIEW IF EXISTS v0, v1 CASCADE; ALTER TABLE t0 " + self.r.choice([
            "ALTER COLUMN k TYPE text", "ALTER COLUMN s TYPE bigint USING length(s)", "ALTER COLUMN v TYPE text",
            "ALTER COLUMN v TYPE text, ALTER COLUMN s TYPE bigint USING length(s)", "DROP COLUMN v CASCADE",
            "ADD COLUMN z text DEFAULT clock_timestamp()::text", "ALTER COLUMN e TYPE text"]), table="t0")

    def read_table(self, function):
        """One that the function reads, mostly in the columns that it reads."""
        self.aims = [function]
        if self.r.random() < 0.4:
            return self.table(1.0)
        table = self.relation(["t0", "t1", "t2"], 1.0)
        return Change("structure rewrite", "DROP VIEW IF EXISTS v0, v1 CASCADE; ALTER TABLE %s %s" % (
            table, self.r.choice(["ALTER COLUMN v TYPE text", "ALTER COLUMN v TYPE numeric", "DROP COLUMN v CASCADE",
                                  "ALTER COLUMN s TYPE bigint USING length(s)", "DROP COLUMN k CASCADE"])), table=table)

    def row_type(self, function):
        """The type of the rows that the function returns."""
        self.aims = [function]
        return self.type()

    def privilege(self):
        r = self.r
        relation = self.relation(["t0", "t1", "t2", "v0", "v1"])
        return Change("privilege", r.choice([
            "REVOKE SELECT ON %s FROM PUBLIC, cursor_user, cursor_group, cursor_owner" % relation,
            "GRANT SELECT ON %s TO cursor_user" % relation, "GRANT SELECT (k, v) ON %s TO cursor_user" % relation,
            "REVOKE SELECT (v) ON %s FROM cursor_user" % relation, "REVOKE cursor_group FROM cursor_user",
            "GRANT cursor_group TO cursor_user", "ALTER ROLE cursor_user NOINHERIT", "ALTER ROLE cursor_user BYPASSRLS",
            "ALTER ROLE cursor_user SUPERUSER", "ALTER ROLE cursor_user NOSUPERUSER",
            "REVOKE USAGE ON SCHEMA w FROM PUBLIC", "GRANT USAGE ON SCHEMA w TO PUBLIC",
            "ALTER ROLE cursor_user SET search_path = w2", "ALTER TABLE %s OWNER TO cursor_owner" % relation,
            "REASSIGN OWNED BY cursor_owner TO cursor_other", "DROP OWNED BY cursor_group",
            "ALTER DEFAULT PRIVILEGES IN SCHEMA w REVOKE ALL ON TABLES FROM PUBLIC",
            "GRANT cursor_owner TO cursor_user", "GRANT pg_read_all_data TO cursor_user",
            "REVOKE pg_read_all_data FROM cursor_user"]))

    def policy(self):
        r = self.r
        return Change("view privilege", r.choice([
            "ALTER POLICY mine ON t2 USING (u < 3)", "DROP POLICY mine ON t2",
            "ALTER TABLE t2 ENABLE ROW LEVEL SECURITY",
            "CREATE POLICY mine ON t2 USING (k = 1)", "CREATE POLICY others ON t2 AS RESTRICTIVE USING (k <> 2)",
            "ALTER TABLE t2 DISABLE ROW LEVEL SECURITY", "ALTER TABLE t2 FORCE ROW LEVEL SECURITY",
            "ALTER TABLE t0 ENABLE ROW LEVEL SECURITY", "ALTER POLICY mine ON t2 TO cursor_other"]))

    def extension(self):
        r = self.r
        about, text = r.choice([
            ("structure extension", "DROP EXTENSION pg_aggcache CASCADE"),
            ("structure extension", "DROP EXTENSION pg_aggcache CASCADE; CREATE EXTENSION pg_aggcache"),
            ("structure extension", "DROP LANGUAGE cached_sql CASCADE"),
            ("extension", "SELECT aggcache.invalidate_all()"),
            ("extension", "ALTER LANGUAGE cached_sql RENAME TO renamed_sql; "
             "ALTER LANGUAGE renamed_sql RENAME TO cached_sql"),
            ("extension", "REVOKE USAGE ON LANGUAGE cached_sql FROM PUBLIC"),
            ("extension", "SELECT aggcache.detach('t0')"), ("extension", "SELECT aggcache.detach('t2')"),
            ("extension", "SELECT aggcache.attach('t0')"), ("extension", "SELECT aggcache.refresh()"),
            ("extension", "ALTER TABLE t0 DISABLE TRIGGER ALL"), ("extension", "ALTER TABLE t0 ENABLE TRIGGER ALL"),
            ("extension", "SELECT aggcache.invalidate_table('t0')"),
            ("extension", "SELECT aggcache.wrap('w.h(bigint)'::regprocedure, 'wrapped')")])
        return Change(about, *text.split("; "))

    def table(self, aimed=0.6):
        r = self.r
        table = self.relation(["t0", "t1", "t2"], aimed)
        about, text = r.choice([
            ("structure", "ALTER TABLE %s ADD COLUMN z int"),
            ("structure", "ALTER TABLE %s ADD COLUMN z int DEFAULT 7"),
            ("structure rewrite", "ALTER TABLE %s ADD COLUMN z text DEFAULT clock_timestamp()::text"),
            ("structure", "ALTER TABLE %s DROP COLUMN u CASCADE"),
            ("structure", "ALTER TABLE %s DROP COLUMN v CASCADE"),
            ("structure", "ALTER TABLE %s DROP COLUMN s CASCADE"),
            ("structure rewrite", "ALTER TABLE %s ALTER COLUMN u TYPE bigint"),
            ("structure rewrite", "ALTER TABLE %s ALTER COLUMN s TYPE bigint USING length(s)"),
            ("structure rewrite", "ALTER TABLE %s ALTER COLUMN v TYPE text"),
            ("structure rewrite", "ALTER TABLE %s ALTER COLUMN v TYPE numeric"),
            ("structure", "ALTER TABLE %s ALTER COLUMN s TYPE varchar"),
            ("view", "ALTER TABLE %s RENAME COLUMN v TO vv"),
            ("structure", "ALTER TABLE %s RENAME TO renamed_table"),
            ("structure", "ALTER TABLE %s SET SCHEMA elsewhere"),
            ("structure", "DROP TABLE %s CASCADE"),
            ("structure",
            "DROP TABLE %s CASCADE; CREATE TABLE %s (k int, v text, s bigint, e e0, at timestamptz, u int)"),
            ("structure names", "ALTER TABLE %s RENAME TO was; CREATE TABLE %s (LIKE was INCLUDING ALL)"),
            ("structure rewrite", "TRUNCATE %s"), ("structure rewrite", "TRUNCATE %s CASCADE"),
            ("structure", "CREATE RULE nothing AS ON INSERT TO %s DO INSTEAD NOTHING"),
            ("structure", "ALTER TABLE %s ADD CHECK (u < 100)"),
            ("structure", "ALTER TABLE %s ALTER COLUMN u SET NOT NULL")])
        return Change(about, *[t.replace("%s", table) for t in text.split("; ")], table=table)

    def partition(self):
        r = self.r
        return Change("structure rewrite", r.choice([
            "ALTER TABLE t1 DETACH PARTITION t1_b", "ALTER TABLE t1 ATTACH PARTITION t1_b FOR VALUES IN (3)",
            "CREATE TABLE t1_c PARTITION OF t1 FOR VALUES IN (17)", "DROP TABLE t1_b CASCADE",
            "CREATE TABLE t1_z () INHERITS (t1)", "ALTER TABLE t1_a NO INHERIT t1", "TRUNCATE t1_a",
            "DROP TABLE t1_a CASCADE", "ALTER TABLE t1 DETACH PARTITION t1_d"]))

    def maintain(self):
        r = self.r
        table = self.relation(["t0", "t1", "t2"])
        about, text, block = r.choice([
            ("view", "CREATE INDEX ON %s (k, v)", True), ("view", "DROP INDEX IF EXISTS t0_k_v_idx", True),
            ("view", "ANALYZE %s", True), ("view", "VACUUM %s", False), ("view", "VACUUM FULL %s", False),
            ("view", "REINDEX TABLE %s", True), ("view", "CREATE STATISTICS w.st ON k, u FROM t0", True),
            ("structure rewrite", "ALTER TABLE t0 SET UNLOGGED", True),
            ("view", "ALTER TABLE t0 SET (fillfactor = 50)", True),
            ("view", "CREATE INDEX CONCURRENTLY ON t0 (s)", False),
            ("view", "ALTER TABLE %s ALTER COLUMN k SET STATISTICS 7", True)])
        return Change(about, text.replace("%s", table), block=block)
