"""Plays a case against the server: sessions, steps, and the comparison of cached functions with their plain twins.

Sessions: W and V write. N reads with a new snapshot in every statement. A and B keep snapshots, in REPEATABLE READ or
SERIALIZABLE. C keeps a cursor open over some rounds. T, K and O are about answers that may be old (judge.py). A
comparison in a session that keeps a snapshot runs in a savepoint that is rolled back, which gives the locks back: so
TRUNCATE and DDL, which ignore snapshots, can happen beside it.
"""

import collections
import io
import itertools

import psycopg2
from psycopg2 import extensions

from case import Difference, comparison
from judge import Judge

WRITERS = ("W", "V")
KEEPERS = ("A", "B")
SETTINGS = {"B": ["SET timezone = 'America/New_York'"]}
# what a busy or vanished neighbour explains
EXPECTED = {"40001", "40P01", "55P03", "57014"}
# what is said where a definition has changed under a statement, so that it cannot be run any more
CHANGED = {"55000", "42804"}
CALLS_OF_A_CURSOR = 3


class Cursor:
    """Calls of functions one by one, in one statement, and what the twins have answered since it began."""

    def __init__(self, player, items):
        self.player, self.items = player, items
        self.place = 0
        self.answers = [[] for _ in items]

    def declaration(self):
        return "DECLARE c CURSOR FOR " + " UNION ALL ".join(
            "SELECT %d, %s FROM generate_series(1, %d) g" % (number, item.rows("cached", "g > 0"), CALLS_OF_A_CURSOR)
            for number, item in enumerate(self.items))

    def note(self):
        """The snapshot is the same all the time, definitions and settings may be others. None: an error."""
        for number, item in enumerate(self.items):
            if number < self.place // CALLS_OF_A_CURSOR:
                continue
            row = self.player.attempt("C", "SELECT " + item.rows("plain"))
            answer = None if isinstance(row, Exception) else row[0]
            if answer not in self.answers[number]:
                self.answers[number].append(answer)

    def fetch(self, count):
        """Returns differences. REQUIRES: note(), after whatever may have changed."""
        try:
            rows = self.player.execute("C", "FETCH %d FROM c" % count, True)
        except psycopg2.Error as error:
            self.player.note(error)
            number = min(self.place // CALLS_OF_A_CURSOR, len(self.items) - 1)
            self.player.execute("C", "ROLLBACK")
            self.player.cursor = None
            item = self.items[number]
            if error.pgcode in EXPECTED | CHANGED or any(None in a for a in self.answers[number:]):
                return []
            return [Difference("C", item, str(error).strip(), self.answers[number], "a cursor")]
        self.place += len(rows)
        self.player.compared += len(rows)
        return [Difference("C", self.items[number], answer, self.answers[number], "a cursor")
                for number, answer in rows if answer not in self.answers[number]]


# How a build can be broken, to show that it is noticed: what sessions that write set then.
BREAKS = {"registration": "SET aggcache.debug_skip_registration = on",
          "lost": "SET aggcache.debug_lose_delta = 1000", "twice": "SET aggcache.debug_repeat_delta = 1000"}


class Player:
    """Plays steps in a fresh database; `broken`: one of BREAKS."""

    numbers = itertools.count()

    def __init__(self, server, broken=None):
        self.server, self.broken = server, broken
        self.database = "property_%d" % next(self.numbers)
        self.admin = server.connect()
        self.admin.cursor().execute("CREATE DATABASE %s TEMPLATE property" % self.database)
        self.connections = {}
        self.compared = 0
        self.errors = collections.Counter()
        self.messages = collections.Counter()
        self.conflicts = 0
        self.unlike = []  # comparisons in which both fail, differently
        self.cursor = None
        self.judge = Judge(self)

    def close(self):
        for connection in self.connections.values():
            connection.close()
        self.connections = {}
        for (gid,) in self.execute("W", "SELECT gid FROM pg_prepared_xacts WHERE database = current_database()", True):
            self.execute("W", "ROLLBACK PREPARED '%s'" % gid)
        self.connections["W"].close()
        self.admin.cursor().execute("DROP DATABASE %s (FORCE)" % self.database)
        self.admin.close()

    def connection(self, session):
        if session not in self.connections:
            connection = psycopg2.connect(host=self.server.directory, port=self.server.port, user="postgres",
                                          dbname=self.database, application_name=session)
            connection.autocommit = True
            cursor = connection.cursor()
            for setting in SETTINGS.get(session, []):
                cursor.execute(setting)
            if self.broken and session in WRITERS:
                cursor.execute(BREAKS[self.broken])
            self.connections[session] = connection
        return self.connections[session]

    def in_block(self, session):
        return (session in self.connections and
                self.connections[session].info.transaction_status != extensions.TRANSACTION_STATUS_IDLE)

    def execute(self, session, sql, fetch=False):
        cursor = self.connection(session).cursor()
        cursor.execute(sql)
        return cursor.fetchall() if fetch and cursor.description else None

    def setup(self, statements):
        cursor = self.connection("W").cursor()
        for statement in statements:
            try:
                cursor.execute(statement)
            except psycopg2.Error as error:
                self.note(error)

    def note(self, error):
        # An error without a code: the server is gone.
        if error.pgcode is None or error.pgcode.startswith(("57P", "XX", "08")):
            raise error
        self.errors[error.pgcode] += 1
        self.messages[str(error).split("\n")[0]] += 1

    def play(self, step):
        """Plays a step. Returns None, a list of differences, or False for a statement that failed."""
        session, what, content = step
        if what == "compare":
            return self.compare(session, content)
        if what == "reconnect":
            if session in self.connections:
                self.connections.pop(session).close()
            return None
        try:
            if what == "sql":
                self.execute(session, content)
            elif what == "copy":
                self.connection(session).cursor().copy_expert(content[0], io.StringIO(content[1]))
            elif what == "returning":
                text, item = content
                self.compared += 1
                text += " RETURNING %s, %s" % (item.rows("cached"), item.rows("plain"))
                rows = self.execute(session, text, True)
                return [Difference(session, item, *row) for row in rows if row[0] != row[1]][:1]
            elif what == "open":
                self.execute(session, "BEGIN ISOLATION LEVEL REPEATABLE READ")
                self.cursor = Cursor(self, content)
                self.cursor.note()
                self.execute(session, self.cursor.declaration())
            elif what == "fetch":
                if self.cursor is None:
                    return None
                self.cursor.note()
                return self.cursor.fetch(content) or None
            elif what == "close":
                self.cursor = None
                if self.in_block(session):
                    self.execute(session, "COMMIT")
            elif what == "sample":
                self.judge.sample(content)
            elif what == "snapshot":
                self.judge.note_snapshot()
            elif what == "timed":
                return [Difference(*difference) for difference in self.judge.check(session, content)] or None
        except psycopg2.Error as error:
            self.note(error)
            if self.in_block(session):
                self.execute(session, "ROLLBACK")
            if session == "C":
                self.cursor = None
            return False
        if session in WRITERS or what == "sql":
            self.judge.note_step(session, content[0] if what in ("copy", "returning") else content or "")
        return None

    def attempt(self, session, text):
        """One row, or the error. Gives back the locks, in a transaction."""
        block = self.in_block(session)
        try:
            rows = self.execute(session, ("SAVEPOINT here; " if block else "") + text, True)
            if block:
                self.execute(session, "ROLLBACK TO here; RELEASE here")
            return rows[0]
        except psycopg2.Error as error:
            self.note(error)
            if block:
                self.execute(session, "ROLLBACK TO here; RELEASE here")
            return error

    def compare(self, session, items):
        keeps = self.in_block(session) and session in KEEPERS
        try:
            text = comparison(items)
            if keeps:
                # in one message; the answer is that of the last statement
                rows = self.execute(session, "SAVEPOINT here; " + text, True)
                self.execute(session, "ROLLBACK TO here; RELEASE here")
            elif self.in_block(session):
                rows = self.execute(session, "SAVEPOINT here; " + text, True)
                self.execute(session, "RELEASE here")
            else:
                rows = self.execute(session, text, True)
            self.compared += len(items)
            if not rows:
                return None
        except psycopg2.Error as error:
            self.note(error)
            if self.in_block(session):
                self.execute(session, "ROLLBACK TO here; RELEASE here")
        # One by one: which differ, which fail.
        result = []
        for item in items:
            difference = self.compare_one(session, item)
            if difference:
                result.append(difference)
        return result or None

    def compare_one(self, session, item):
        both = self.attempt(session, "SELECT %s, %s" % (item.rows("cached"), item.rows("plain")))
        if not isinstance(both, psycopg2.Error):
            if both[0] == both[1]:
                return None
            why = self.execute(session, "SELECT row_to_json(x)::text FROM aggcache.last_call() x", True)[0][0]
            return Difference(session, item, both[0], both[1], why)
        if both.pgcode in EXPECTED:
            self.conflicts += 1
            return None
        cached = self.attempt(session, "SELECT " + item.rows("cached"))
        plain = self.attempt(session, "SELECT " + item.rows("plain"))
        for answer in (cached, plain):
            if isinstance(answer, psycopg2.Error) and answer.pgcode in EXPECTED:
                self.conflicts += 1
                return None
        if isinstance(cached, psycopg2.Error) != isinstance(plain, psycopg2.Error):
            return Difference(session, item, str(cached).strip(), str(plain).strip())
        if isinstance(cached, psycopg2.Error) and cached.pgcode != plain.pgcode:
            self.unlike.append("%s %s: %s | %s" % (item.function.body, item.arguments, str(cached).strip(),
                                                   str(plain).strip()))
        item.function.failing = True
        return None


def replay(server, case, broken=None, stop=True):
    """Plays a whole case. Returns (number of the step, differences) of the first that differs, or None."""
    player = Player(server, broken)
    try:
        player.setup(case.setup)
        for function in case.functions:
            player.setup(function.statements())
        for number, step in enumerate(case.steps):
            outcome = player.play(step)
            if outcome:
                return number, outcome
        return None
    finally:
        player.close()
