"""Plays a round: session A with cursors over cached functions, B that changes definitions, C that writes.

A round is data, what sets it up and a list of steps (session, what, content), so that it can be played again with parts
left out. Everything happens in turn, in one thread; a change that is blocked gives up by its lock_timeout.

What a cursor has to answer
---------------------------
row    The cached function and its twin stand in each row. They have one snapshot, and the twin keeps its locks and its
       definition: any difference is a fault.
pair   Two cursors in one transaction, fetched from in turn. The same, for more ways to call a function, and where one
       fails it is known which. The cached function's comes first, unless the plain one may fail by what has happened:
       then it is asked first, and what it does not get over is not asked of the other.
alone  Only the cached function, so that nobody holds the locks of the body for it. Just before the first row the twin
       was asked for all rows, and its locks were given back by the end of a savepoint. What comes has to be that, or,
       if the tables have really been changed meanwhile, an error that says so.

The twin is a plain function with the definition that the cached function had at the first row (world.py). So a row that
another definition has made is a fault on every version of PostgreSQL, also where plain functions themselves notice that
they were replaced.
"""

import itertools

import psycopg2
from psycopg2 import extensions

# What other sessions' locks and transactions explain.
CONCURRENT = {"55P03", "40P01", "40001"}
# Errors by which the plain function does not get over a change that concerns a type; the cached one may.
OF_TYPES = {"42804", "22P07", "23514", "23502", "XX000", "42P13", "42704", "55000"}


class Crash(Exception):
    pass


class Fault(Exception):
    pass


class Error:
    def __init__(self, error):
        self.code, self.message = error.pgcode, str(error).strip()

    def __repr__(self):
        return "%s %s" % (self.code, self.message.split("\n")[0])


END = "no more rows"


class Cursor:
    def __init__(self, content):
        self.mode, self.k, self.p = content["mode"], content["k"], content["p"]
        self.repeatable, self.mget = content["repeatable"], content["mget"]
        self.name, self.helped, self.calls = content["name"], content["helped"], content["calls"]
        self.about = set()  # what has happened since the first row
        self.before = set()  # since the cursor was opened
        self.twins = []  # (former, new)
        self.position = 0
        self.expected = None  # rows or an Error
        self.dead = False
        self.guarded = False  # a row was fetched in a savepoint
        self.errors_now = set()  # by which a new statement with the twin fails

    def happened(self, about, twins=(), name=None):
        """What a change is about, as far as it concerns this cursor's function."""
        about = set(about)
        if "inner" in about and not self.helped:
            about.discard("inner")
        if self.calls and ("view" in about or name is not None and name == self.calls):
            about.add("inner")  # what is called is analysed anew at each call
        if self.name in twins:
            if self.name != name:
                about.add("inner")
            self.twins.append(twins[self.name])
        (self.about if self.position else self.before).update(about)


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
        self.pending = []  # what B has changed and not committed

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

    def setup(self, statements):
        for statement in statements:
            result = self.execute("S", statement)
            if isinstance(result, Error):
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
        if hold and change.block and not self.pending:
            self.execute(session, "BEGIN")
            self.pending.append(None)
        for text in change.statements:
            if self.pending:
                self.execute(session, "SAVEPOINT change")
            result = self.execute(session, text)
            self.statistics["changes"] += 1
            if isinstance(result, Error):
                if self.pending:
                    self.execute(session, "ROLLBACK TO change")
                self.statistics["changes blocked" if result.code in CONCURRENT else "changes refused"] += 1
                return False
        if self.pending:
            self.pending.append(change)
        else:
            self.note(change)
        return True

    def note(self, change):
        for about in change.about:
            self.statistics["of " + about] += 1
        for cursor in self.cursors.values():
            cursor.happened(change.about, change.twins, change.name)

    def end(self, session, content):
        changes, self.pending = self.pending[1:], []
        done = not isinstance(self.execute(session, content), Error) and content == "COMMIT"
        if done:
            for change in changes:
                self.note(change)
        return done

    def begin(self, session, content):
        self.execute(session, content)
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
        texts = [("k", cursor.k)] + ([("p", cursor.p)] if cursor.mode == "pair" else [])
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

    def fetch_one(self, number, cursor, savepoint):
        if cursor.position == 0:
            if cursor.before & {"function", "inner", "type", "domain"}:
                # the definition of the first row is another one than the twin's, or the query's columns have other
                # types than those of a query that begins now: only a crash would be a fault
                cursor.mode = "unjudged"
            cursor.expected = self.guarded(cursor.p, keep=False)
        cursor.guarded = cursor.guarded or savepoint is not None
        plain = None
        if cursor.mode == "pair" and self.asks_plain_first(cursor):
            plain = self.take("p%d" % number)
            if isinstance(plain, Error):
                # what the plain function does not get over either is not asked of the cached one
                self.statistics["errors of both"] += 1
                cursor.dead = True
                return
        elif cursor.mode == "alone" and {"path", "privilege"} & cursor.about:
            cursor.errors_now = {e.code for e in self.now(cursor) if isinstance(e, Error)}
        row = self.take("k%d" % number, savepoint if cursor.mode == "alone" else None)
        self.statistics["rows"] += 1
        if isinstance(row, Error):
            self.statistics["errors %s" % row.code] += 1
        if cursor.mode == "row":
            self.judge_row(cursor, row)
        elif cursor.mode == "pair":
            if isinstance(row, Error):
                self.judge_error(cursor, row)
            else:
                self.judge_pair(cursor, row, plain or self.take("p%d" % number))
        elif cursor.mode == "alone":
            self.judge_alone(cursor, row)
        cursor.position += 1
        cursor.dead = isinstance(row, Error) or row == END

    def asks_plain_first(self, cursor):
        """Whether the plain function may fail by what has happened, not by what the session holds of its body: the
        query was planned for other rows, or what the body calls is found by names, or the query's own types have gone.
        The last the session learns only when it looks for news, as each cached call does; here it is made to."""
        if {"type", "domain"} & cursor.about:
            self.guarded("SELECT FROM pg_shdescription LIMIT 0", keep=False)  # by a lock that it does not hold
        return (bool({"type", "domain", "path", "privilege"} & cursor.about)
                or cursor.position == 0 and bool(cursor.before))

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

    # ---- The judge --------------------------------------------------------------------------------------------------

    def fault(self, cursor, what, row, right):
        raise Fault("%s, cursor of mode %s at row %d\n  %s\n  cached: %s\n  plain:  %s\n  at the first row: %s\n  "
                    "happened since: %s" % (what, cursor.mode, cursor.position, cursor.k, row, right, cursor.expected,
                                            " ".join(sorted(cursor.about)) or "nothing"))

    def at_first(self, cursor):
        """What the row is by what the twin said before the first row."""
        if isinstance(cursor.expected, Error):
            return cursor.expected
        return cursor.expected[cursor.position] if cursor.position < len(cursor.expected) else END

    def now(self, cursor):
        """What the twin says now, and what the twins say that call something else instead: rows and Errors."""
        texts = [cursor.p] + [cursor.p.replace(cursor.twins[0][0] + "(", new + "(") for _, new in cursor.twins]
        result = []
        for text in texts:
            rows = self.guarded(text, keep=False)
            result += [rows] if isinstance(rows, Error) else rows
        return result

    def is_excused(self, cursor, row):
        """Whether a row that differs is what plain functions too show of changes that ignore snapshots."""
        about = cursor.about
        if cursor.guarded and {"function", "view", "path"} & about:
            # PostgreSQL's handler too analyses the body anew when the savepoint of its first call has ended
            self.statistics["not judged"] += 1
            return True
        if self.is_plain_anew(cursor):
            return True
        if cursor.position == 0 or not ({"inner", "rewrite", "type"} & about or cursor.mget):
            return False
        if "type" in about and self.is_written_anew(cursor, row):
            return True
        if not ({"inner", "rewrite"} & about or cursor.mget):
            return False
        if cursor.mget and {"function", "path"} & about:
            self.statistics["not judged"] += 1
            return True
        # in READ COMMITTED nobody can ask with the cursor's snapshot any more, and how many rows there are may change
        if not cursor.repeatable or row == END or self.has_failed():
            self.statistics["not judged"] += 1
            return True
        now = self.now(cursor)
        if "inner" in about and ("function" in about or any(isinstance(answer, Error) for answer in now)):
            # the former body with what it calls now, or what it calls is gone: no twin can say what that answers
            self.statistics["not judged"] += 1
            return True
        return row in now

    def is_plain_anew(self, cursor):
        """Plain functions of version 18 notice that they were replaced: so does a call that is not cached."""
        if self.version < 18 or "function" not in cursor.about or self.has_failed():
            return False
        last = self.guarded("SELECT result FROM aggcache.last_call()")
        if isinstance(last, Error) or not last or last[0][0] not in ("uncached", "own write", "own_write"):
            return False
        self.statistics["not judged"] += 1
        return True

    def is_written_anew(self, cursor, row):
        """Whether the row is the right one, written as text by the type as it is now.

        The cursor's query turns the function's value into text: the labels of an enum, the columns of a row. It does so
        by what its session knows of the type, and a cached call makes the session look for news, as any statement does
        that locks something (033_one_statement.pl shows the same of the plain function). So what the twin answers now
        is right too, where its snapshot still is the cursor's."""
        if row == END or self.has_failed():
            return False
        if not cursor.repeatable and {"write", "rewrite", "structure"} & cursor.about:
            self.statistics["not judged"] += 1
            return True
        rows = self.guarded(cursor.p, keep=False)
        if isinstance(rows, Error):
            self.statistics["not judged"] += 1
            return True  # what else has happened keeps the twin from answering
        return cursor.position < len(rows) and row == rows[cursor.position]

    def judge_row(self, cursor, row):
        if row == END:
            return
        if not isinstance(row, Error):
            if row[1] != row[2] and not (cursor.about & {"inner"} or self.is_late(cursor)
                                         or self.is_plain_anew(cursor)):
                self.fault(cursor, "a row differs", row[1], row[2])
            return
        self.judge_error(cursor, row)

    def judge_error(self, cursor, row):
        """An error while a twin holds the locks: what changes that need no lock explain."""
        about, first = cursor.about, self.at_first(cursor)
        if isinstance(first, Error) and (row.code == first.code or first.code in CONCURRENT):
            return
        if row.code in CONCURRENT and (self.pending or cursor.mode == "row"):
            return
        if row.code in OF_TYPES - {"XX000"} and about & {"type", "domain", "inner"}:
            return
        if row.code in self.of_names(cursor):
            return
        if "inner" in about and (row.code == "42883" or "cache lookup failed for function" in row.message):
            return
        if self.is_of_mget(cursor, row) or self.is_of_dropped(cursor, row):
            return
        self.fault(cursor, "an error", row, first)

    def of_names(self, cursor):
        """Codes of errors by which plain functions fail if a function that they call finds its names no longer: it is
        analysed anew at each call of theirs, by the search path and the rights on schemas as they are then. So are they
        themselves after the savepoint of their first call, and by version 18 whenever the path changes."""
        about = cursor.about
        codes = {"42501"} if "privilege" in about else set()
        if {"path", "privilege"} & about and (
                cursor.calls or cursor.helped or cursor.guarded or self.version >= 18):
            codes |= {"42P01", "42883", "42704"}
        if cursor.guarded and "view" in about:
            codes |= {"42P01", "42703"}
        return codes

    def is_of_dropped(self, cursor, error):
        """Whether the function was dropped before its first call, or has to be looked up anew, as version 18 does at
        each call, and PostgreSQL itself does not find it: plain functions are called in the same way."""
        return ("cache lookup failed for function" in error.message
                and (cursor.guarded or cursor.position == 0 or self.version >= 18)
                and bool({"function", "extension", "inner", "type", "structure"} & (cursor.before | cursor.about)))

    def is_of_mget(self, cursor, error):
        """Errors of a new look at the function, which each call of mget takes. Its list of columns is of a type, and
        the function may be of another language before the cursor is opened."""
        happened = cursor.about | cursor.before
        return cursor.mget and error.code != "XX000" and (
            error.code in {"42804", "42809"} or bool({"function", "path", "type", "extension"} & happened)
            or cursor.position == 0 and isinstance(cursor.expected, Error))

    def is_late(self, cursor):
        """Whether plain functions of this version notice what has changed within the statement."""
        return self.version >= 18 and bool({"type", "domain", "path"} & cursor.about)

    def judge_pair(self, cursor, row, plain):
        first = self.at_first(cursor)
        if isinstance(plain, Error):
            if plain.code in CONCURRENT or row == first and (plain.code in OF_TYPES or self.is_late(cursor)):
                return
            self.fault(cursor, "no error of the cached function", row, plain)
        elif row != plain:
            if row == first and ("inner" in cursor.about or self.is_late(cursor)) or self.is_excused(cursor, row):
                return
            self.fault(cursor, "a row differs", row, plain)

    def judge_alone(self, cursor, row):
        first = self.at_first(cursor)
        about = cursor.about
        if isinstance(row, Error):
            if isinstance(first, Error) and first.code == row.code or row.code in CONCURRENT and self.pending:
                return
            if self.is_of_mget(cursor, row) or self.is_of_dropped(cursor, row):
                return
            allowed = set()
            if about & {"structure", "rewrite"}:
                allowed |= {"55000", "42P01", "42703", "42804", "42704"}
            if about & {"type"}:
                allowed |= {"55000", "42804", "42P13", "22P07", "42704"}
                if "cache lookup failed for type" in row.message:
                    return  # by the query, for which the row is turned into text (asks_plain_first)
            allowed |= cursor.errors_now
            if cursor.position == 0 and cursor.before:
                allowed |= {"42804"}  # the query was planned for other rows
            if about & {"domain"}:
                allowed |= {"23514", "23502"}
            allowed |= self.of_names(cursor)
            if about & {"inner"}:
                allowed |= {"55000", "42883"}
                if "cache lookup failed for function" in row.message:
                    return  # as the plain body would
            if row.code not in allowed:
                self.fault(cursor, "an error", row, first)
        elif isinstance(first, Error):
            self.statistics["not judged"] += 1  # it failed at some row
        elif row != first and not self.is_excused(cursor, row):
            self.fault(cursor, "a row differs", row, first)
