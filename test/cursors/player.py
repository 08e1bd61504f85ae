"""Plays a round: session A with cursors over cached functions, B that changes definitions, C that writes.

A round is data, what sets it up and a list of steps (session, what, content), so that it can be played again with parts
left out. Everything happens in turn, in one thread; a change that is blocked gives up by its lock_timeout.
"""

import itertools

import psycopg2
from psycopg2 import extensions

from judge import CONCURRENT, END, Cursor, Error, Fault, Judge


class Crash(Exception):
    pass


class Player:
    numbers = itertools.count()

    def __init__(self, server, statistics, database=None):
        self.server, self.statistics = server, statistics
        self.database = "cursors_%d" % next(self.numbers)
        self.connections = {}
        admin = server.connect()
        admin.cursor().execute("CREATE DATABASE %s" % self.database)
        self.version = admin.server_version // 10000
        admin.close()
        self.cursors = {}
        self.settings = []  # what A's transaction has set
        self.pending = []  # what B has changed and not committed
        self.judge = Judge(self, statistics)

    def close(self):
        self.disconnect()
        admin = self.server.connect()
        admin.cursor().execute("DROP DATABASE IF EXISTS %s (FORCE)" % self.database)
        admin.close()

    def disconnect(self):
        for connection in self.connections.values():
            connection.close()
        self.connections = {}

    def connection(self, session):
        if session not in self.connections:
            connection = self.server.connect(dbname=self.database, application_name=session)
            cursor = connection.cursor()
            cursor.execute("SET search_path = w, public; SET client_min_messages = error")
            # B finds out soon that it is blocked, A only if B's transaction is open
            cursor.execute("SET lock_timeout = '%s'" % ("60ms" if session == "A" else "8ms"))
            self.connections[session] = connection
        return self.connections[session]

    def execute(self, session, sql):
        """Returns the rows of the last statement, or an Error."""
        try:
            cursor = self.connection(session).cursor()
            cursor.execute(sql)
            return cursor.fetchall() if cursor.description else []
        except UnicodeDecodeError as error:
            raise Fault("bytes that are no text: %s\n  %s" % (sql, error)) from None
        except psycopg2.Error as error:
            if error.pgcode is None or error.pgcode.startswith(("57P", "08")):
                raise Crash("session %s, %s: %s" % (session, sql, str(error).strip())) from None
            return Error(error)

    def in_block(self, session):
        return (session in self.connections and self.connections[session].info.transaction_status
                != extensions.TRANSACTION_STATUS_IDLE)

    def has_failed(self):
        return "A" in self.connections and (self.connections["A"].info.transaction_status
                                            == extensions.TRANSACTION_STATUS_INERROR)

    def guarded(self, sql, keep=True):
        """In A's transaction, in a savepoint; without `keep` it is rolled back, which gives the locks back."""
        self.execute("A", "SAVEPOINT guard")
        result = self.execute("A", sql)
        if isinstance(result, Error) or not keep:
            self.execute("A", "ROLLBACK TO guard")
        self.execute("A", "RELEASE guard")
        return result

    def in_new_session(self, text):
        """What a session says that knows nothing yet, with A's settings."""
        for statement in ["BEGIN"] + self.settings:
            self.execute("F", statement)
        result = self.execute("F", text)
        self.connections.pop("F").close()
        return result

    def setup(self, statements):
        """What makes functions of the world may be refused, and is run by itself; all else between at once."""
        for alone, group in itertools.groupby(statements, lambda text: " w.c_" in text or " w.p_" in text):
            group = list(group)
            if not alone and not isinstance(self.execute("S", "; ".join(group)), Error):
                continue
            for statement in group:
                if isinstance(self.execute("S", statement), Error):
                    self.statistics["refused in setup"] += 1

    def play(self, step):
        """Plays a step. Returns whether it succeeded; raises Fault or Crash."""
        session, what, content = step
        return getattr(self, what)(session, content)

    # ---- Steps ------------------------------------------------------------------------------------------------------

    def sql(self, session, content):
        text, about = content
        if session == "A" and self.has_failed():
            return False
        if session == "A" and self.in_block("A"):
            result = self.guarded(text)
        else:
            result = self.execute(session, text)
        if isinstance(result, Error):
            return False
        if text.startswith("SET LOCAL"):
            self.settings.append(text)
        for cursor in self.cursors.values():
            cursor.happened(about)
        return True

    def change(self, session, content):
        """A change of definitions by B; `hold` leaves its transaction open."""
        change, hold = content
        if self.pending and not change.block:
            return False
        for text in change.before:
            if isinstance(self.execute("N", text), Error):
                return False
        for cached, twin in change.owned:
            # one that is gone is made anew by B
            owner = self.execute(session, "SELECT coalesce((SELECT proowner::regrole FROM pg_proc WHERE oid = "
                                 "to_regprocedure('%s')), 'postgres')" % cached)
            if isinstance(owner, Error) or isinstance(self.execute("N", "ALTER FUNCTION %s OWNER TO %s" % (
                    twin, owner[0][0])), Error):
                return False
        if hold and change.block and not self.pending:
            self.execute(session, "BEGIN")
            self.pending.append(None)
        for number, text in enumerate(change.statements):
            if self.pending:
                self.execute(session, "SAVEPOINT change")
            result = self.execute(session, text)
            self.statistics["changes"] += 1
            if isinstance(result, Error):
                if self.pending:
                    self.execute(session, "ROLLBACK TO change")
                self.statistics["changes blocked" if result.code in CONCURRENT else "changes refused"] += 1
                if number > 0:
                    self.note_or_keep(change)  # the table is dropped, say, and the new one is refused
                return False
        self.note_or_keep(change)
        return True

    def note_or_keep(self, change):
        if self.pending:
            self.pending.append(change)
        else:
            self.note(change)

    def note(self, change):
        for about in change.about:
            self.statistics["of " + about] += 1
        for cursor in self.cursors.values():
            cursor.happened(change.about, change.twins, change.name, change.table)

    def end(self, session, content):
        changes, self.pending = self.pending[1:], []
        done = not isinstance(self.execute(session, content), Error) and content == "COMMIT"
        if done:
            for change in changes:
                self.note(change)
        return done

    def begin(self, session, content):
        self.execute(session, content)
        if session == "A":
            self.settings = self.settings + [content] if content.startswith("SET LOCAL") else []
        return True

    def commit(self, session, content):
        self.cursors = {}
        if self.in_block(session):
            self.execute(session, content)
        return True

    def reconnect(self, session, content):
        if session in self.connections and not self.in_block(session):
            self.connections.pop(session).close()
        return True

    def open(self, session, content):
        if not self.in_block("A") or self.has_failed():
            return False
        number = content["number"]
        cursor = Cursor(content)
        texts = [("k", cursor.k)]
        if cursor.mode == "pair":
            texts.append(("p", cursor.p))
        elif cursor.mode == "alone" and cursor.argument:
            texts.append(("a", cursor.argument))
        for name, text in texts:
            opened = self.guarded("DECLARE %s%d NO SCROLL CURSOR FOR %s" % (name, number, text))
            if isinstance(opened, Error):
                self.statistics["not opened"] += 1
                return False
        self.cursors[number] = cursor
        self.statistics["cursors"] += 1
        return True

    def fetch(self, session, content):
        number, rows, savepoint = content
        cursor = self.cursors.get(number)
        if cursor is None:
            return False
        for _ in range(rows):
            if cursor.dead or self.has_failed():
                break
            self.fetch_one(number, cursor, savepoint)
        return True

    def take(self, name, savepoint=None):
        """A row, END or an Error. An error ends the transaction, unless there is a savepoint: "release", "rollback"."""
        text = "FETCH 1 FROM " + name
        result = self.guarded(text, savepoint == "release") if savepoint else self.execute("A", text)
        return result if isinstance(result, Error) else result[0] if result else END

    def argument(self, cursor, g):
        """The row for g of the query for what a function hands back, as PostgreSQL writes it now; END, or an Error."""
        while True:
            rows = self.guarded("FETCH 1 FROM a%d" % cursor.number)
            if isinstance(rows, Error) or not rows:
                return rows or END
            if rows[0][0] == g:
                return rows[0]

    def fetch_one(self, number, cursor, savepoint):
        if cursor.position == 0:
            if cursor.before & {"function", "inner", "domain"} or "type" in cursor.before and (
                    cursor.mode == "row" or cursor.argument):
                # the definition of the first row is another one than the twin's, or the query's columns have other
                # types than those of a query that begins now: only a crash would be a fault
                cursor.mode = "unjudged"
            if "type" in cursor.before or cursor.of_table and {"structure", "rewrite"} & cursor.before:
                # or a plain body is analysed for the type as it was, and its row written by the type as it is, of which
                # the session hears by the locks that the body takes
                self.learn("A", None)
            cursor.expected = self.guarded(cursor.p, keep=False)
        cursor.guarded = cursor.guarded or savepoint is not None
        cursor.waits = cursor.waits or bool(self.pending)
        plain = None
        if cursor.mode == "pair" and self.asks_plain_first(cursor):
            plain = self.take("p%d" % number)
            if isinstance(plain, Error):
                # what the plain function does not get over either is not asked of the cached one
                self.statistics["errors of both"] += 1
                cursor.dead = True
                return
        row = self.take("k%d" % number, savepoint if cursor.mode == "alone" else None)
        self.statistics["rows"] += 1
        if isinstance(row, Error):
            self.statistics["errors %s" % row.code] += 1
        if cursor.mode == "row":
            self.judge.judge_row(cursor, row)
        elif cursor.mode == "pair":
            if isinstance(row, Error):
                self.judge.judge_error(cursor, row)
            else:
                self.judge.judge_pair(cursor, row, plain or self.take("p%d" % number))
        elif cursor.mode == "alone":
            self.judge.judge_alone(cursor, row)
        cursor.position += 1
        cursor.dead = isinstance(row, Error) or row == END
        if not cursor.dead:
            cursor.note_row(row)

    def asks_plain_first(self, cursor):
        """Whether the plain function may fail by what has happened, not by what the session holds of its body: the
        query was planned for other rows, or what the body calls is found by names, or the query's own types have gone.
        The last the session learns only when it looks for news, as each cached call does; here it is made to."""
        if {"type", "domain"} & cursor.about:
            self.learn("A", None)
        return (bool({"type", "domain", "path", "privilege"} & cursor.about)
                or cursor.position == 0 and bool(cursor.before) or "type" in cursor.before)

    def learn(self, session, content):
        """Makes the session look for what others have changed, by a lock that it does not hold."""
        if session == "A" and self.in_block("A") and not self.has_failed():
            self.guarded("SELECT FROM pg_shdescription LIMIT 0", keep=False)
        return True

    def compare(self, session, items):
        """Cached functions against their twins, in statements of their own."""
        for signature, k, p in items:
            if self.execute("S", "SELECT to_regprocedure('%s')" % signature)[0][0] is None:
                continue
            run = (lambda text: self.guarded(text, keep=False)) if self.in_block(session) else (
                lambda text: self.execute(session, text))
            texts = ["SELECT g, %s FROM generate_series(1, 3) g" % column for column in (k + ", " + p, k, p)]
            both = run(texts[0])
            self.statistics["comparisons"] += 1
            if not isinstance(both, Error):
                for row in both:
                    if row[1] != row[2]:
                        raise Fault("a new statement differs: cached %s, plain %s in %s" % (row[1], row[2], texts[0]))
                continue
            cached, plain = run(texts[1]), run(texts[2])
            if self.version >= 18 and isinstance(cached, Error) and not self.in_block(session):
                # plain functions of this version keep in their session what names meant, as that of a type
                self.connections.pop(session).close()
                plain = run(texts[2])
            if isinstance(cached, Error) != isinstance(plain, Error):
                if CONCURRENT.isdisjoint([e.code for e in (cached, plain, both) if isinstance(e, Error)]):
                    raise Fault("a new statement differs: cached %s, plain %s in %s" % (cached, plain, texts[0]))
        return True
