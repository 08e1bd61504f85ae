"""A session of the stress test, and the two ways in which it compares (stress.py says why they are legitimate)."""

import psycopg2

from tables import DEPARTMENTS, DOMAINS, FUNCTIONS, OPERATORS, RULE_VERSION, TABLES, WEIGHTS, expressions

# What readers do in a second of a machine that is not busy. On one that is, short writes come more slowly too.
COMPARISONS_PER_SECOND = 1000


class Difference(Exception):
    """An answer is not the plain query's."""


class Stop(Exception):
    """The stress is over."""


class Session:
    def __init__(self, stress, randomness, name):
        self.stress, self.random, self.name = stress, randomness, name
        self.latest = ""
        self.connection = stress.server.connect(application_name=name)
        self.cursor = self.connection.cursor()
        self.run("SET app.tenant = '1'")
        if stress.store == "tiered":
            # shared memory holds all of this test's results, so some sessions pass it by
            self.run("SET aggcache.store = '%s'" % randomness.choice(["tiered", "tiered", "redis"]))
        if stress.broken and name.startswith("writer"):
            self.run("SET aggcache.debug_skip_registration = on")

    def close(self):
        try:
            self.connection.close()
        except psycopg2.Error:
            pass

    def run(self, sql):
        self.latest = sql
        self.cursor.execute(sql)
        return self.cursor.fetchall() if self.cursor.description else None

    def value(self, sql):
        return self.run(sql)[0][0]

    def pause(self, longest):
        self.stress.stop.wait(self.random.uniform(0, longest))

    def let_readers_read(self, seconds):
        """As much as they do in the time on a machine that is not busy. REQUIRES: nobody waits for this session."""
        enough = sum(self.stress.compared.values()) + seconds * COMPARISONS_PER_SECOND
        while sum(self.stress.compared.values()) < enough and not self.stress.over():
            self.stress.stop.wait(0.005)

    def choose(self, weights):
        """A function and arguments, some much more often than others."""
        r = self.random
        name = r.choices(list(weights), list(weights.values()))[0]
        arguments = []
        department = min(int(r.expovariate(0.25)) + 1, DEPARTMENTS + 1)
        for position, kind in enumerate(FUNCTIONS[name][0]):
            if kind in DOMAINS:
                arguments.append(r.choice(DOMAINS[kind][1]))
            elif kind == "text":
                texts = ["'north'", "'south'"] if name == "join_by_region" else ["'open'", "'busy'", "'done'"]
                arguments.append(r.choice(texts))
            elif position == 1:
                arguments.append("%d" % min(int(r.expovariate(0.5)) + 1, OPERATORS))
            elif r.random() < (0.1 if name == "optional" else 0.01):
                arguments.append("NULL::int")
            else:
                arguments.append("%d" % department)
        if name == "by_setting":
            self.run("SELECT set_config('app.tenant', '%d', false)" % department)
        return name, arguments

    def department(self):
        return self.random.randint(1, DEPARTMENTS)

    def report(self, what, name, arguments, cached, plain):
        why = ""
        try:
            why = self.value("SELECT row_to_json(l)::text FROM aggcache.last_call() l")
        except psycopg2.Error:
            pass
        raise Difference("%s %s(%s)\n  cached: %s\n  plain:  %s\n  %s"
                         % (what, name, ", ".join(arguments), cached, plain, why))

    def compare_locked(self, what, weights=WEIGHTS):
        name, arguments = self.choose(weights)
        cached, plain = expressions(name, arguments)
        rows = self.run("SELECT c, p FROM (SELECT %s AS c, %s AS p) x" % (cached, plain))
        self.stress.compared[what] += 1
        if rows[0][0] != rows[0][1]:
            self.report(what, name, arguments, *rows[0])

    def versions(self):
        return self.run("SELECT %s, %s" % (", ".join("pg_relation_filenode('%s')" % table for table in TABLES),
                                           RULE_VERSION))

    def compare_unlocked(self, what, weights=WEIGHTS):
        name, arguments = self.choose(weights)
        cached, plain = expressions(name, arguments)
        before = self.versions()
        # Taken by the first statement that needs one: this transaction's snapshot.
        self.run("BEGIN ISOLATION LEVEL REPEATABLE READ")
        answer = self.value("SELECT " + cached)
        # The call may have taken locks only if it missed; a hit takes none.
        expected = self.value("SELECT " + plain)
        self.run("COMMIT")
        # After the end of the transaction, whose snapshot would show the catalogs as they were.
        after = self.versions()
        if before != after:
            self.stress.count("unlocked pairs not counted")
            return
        self.stress.compared[what] += 1
        if answer != expected:
            self.report(what, name, arguments, answer, expected)
