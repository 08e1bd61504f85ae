"""Says whether what a cursor over a cached function answers is right.

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

import re

# What other sessions' locks and transactions explain.
CONCURRENT = {"55P03", "40P01", "40001"}
# Errors by which the plain function does not get over a change that concerns a type; the cached one may.
OF_TYPES = {"42804", "22P07", "23514", "23502", "XX000", "42P13", "42704", "55000"}


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
        self.number = content["number"]
        self.mode, self.k, self.p = content["mode"], content["k"], content["p"]
        self.repeatable, self.mget = content["repeatable"], content["mget"]
        self.name, self.helped, self.calls = content["name"], content["helped"], content["calls"]
        self.about = set()  # what has happened since the first row
        self.before = set()  # since the cursor was opened
        self.twins = []  # (former, new)
        self.helpers = 0  # how often h has changed since the first row
        self.position = 0
        self.expected = None  # rows or an Error
        self.dead = False
        self.guarded = False  # a row was fetched in a savepoint
        self.altered = set()  # names of the function or the one that it calls, if no twin is altered so
        self.argument = content["argument"]  # a query for what the function hands back as it is; or None
        self.of_table = content["of_table"]  # whether it returns a table's rows
        self.called_anew = content["called_anew"]  # whether each g is a call of its own
        self.arguments = set()  # of the calls so far
        self.handed = False  # any row that is not NULL
        self.waits = False  # a change may have been in the way of its locks
        self.locked = False  # what the function reads

    def note_row(self, row):
        """The second call of a statement locks what the function reads, as docs/internals.md says. Not judged so:
        savepoints, which give locks back, and what the functions that the body calls read."""
        self.handed = self.handed or any(value is not None for value in row[1:])
        self.arguments.add(row[0])
        self.locked = (len(self.arguments) > 1 and self.mode == "alone" and self.called_anew and not self.guarded
                       and not (self.waits or self.mget or self.calls or self.helped))

    def happened(self, about, twins=(), name=None, table=None):
        """What a change is about, as far as it concerns this cursor's function."""
        about = set(about)
        if self.locked and table:
            about -= {"structure", "rewrite"}  # of a table that the function does not read
        if "inner" in about and not self.helped:
            about.discard("inner")
        if self.calls and ({"view", "path", "privilege", "names"} & about or name == self.calls):
            about.add("inner")  # what is called is analysed anew at each call
        if self.name in twins:
            if self.name != name:
                about.add("inner")
            self.twins.append(twins[self.name])
        elif name is not None and name in (self.name, self.calls):
            self.altered.add(name)
        self.helpers += "inner" in about and self.helped and self.position > 0
        (self.about if self.position else self.before).update(about)


class Judge:
    """What else it has to know it asks in the player's session A, in savepoints that are rolled back."""

    def __init__(self, player, statistics):
        self.player, self.statistics = player, statistics

    def fault(self, cursor, what, row, right):
        raise Fault("%s, cursor of mode %s at row %d\n  %s\n  cached: %s\n  plain:  %s\n  at the first row: %s\n  "
                    "happened since: %s" % (what, cursor.mode, cursor.position, cursor.k, row, right, cursor.expected,
                                            " ".join(sorted(cursor.about)) or "nothing"))

    def at_first(self, cursor):
        """What the row is by what the twin said before the first row."""
        if isinstance(cursor.expected, Error):
            return cursor.expected
        return cursor.expected[cursor.position] if cursor.position < len(cursor.expected) else END

    def now(self, cursor, ask=None):
        """What the twin says now, and what the twins say that call something else instead: rows and Errors."""
        ask = ask or (lambda text: self.player.guarded(text, keep=False))
        texts = [cursor.p] + [cursor.p.replace(cursor.twins[0][0] + "(", new + "(") for _, new in cursor.twins]
        result = []
        for text in texts:
            rows = ask(text)
            result += [rows] if isinstance(rows, Error) else rows
        return result

    def is_excused(self, cursor, row):
        """Whether a row that differs is what plain functions too show of changes that ignore snapshots."""
        about = cursor.about
        if cursor.mode == "pair":
            about = about - {"rewrite"}  # what the twin has locked is not rewritten
        if cursor.guarded and {"function", "view", "path", "names"} & about:
            # PostgreSQL's handler too analyses the body anew when the savepoint of its first call has ended
            return self.is_anew(cursor, row)
        if self.is_plain_anew(cursor, row):
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
        return self.is_of_present(cursor, row)

    def is_of_present(self, cursor, row):
        """Whether the row is made by functions that the body calls as they are now, or from tables as they are now,
        whose rows old snapshots do not see."""
        about = cursor.about
        # in READ COMMITTED nobody can ask with the cursor's snapshot any more, and how many rows there are may change
        if not cursor.repeatable or row == END or self.player.has_failed():
            self.statistics["not judged"] += 1
            return True
        now = self.now(cursor)
        columns = 2 if cursor.mode == "row" else len(row)
        if row[:columns] in [answer[:columns] for answer in now if not isinstance(answer, Error)]:
            return True
        # the former body with what it calls now, or what it calls is gone, or is neither the first nor the present one
        # but what there was when the body was planned, or a former view of a rewritten table: no twin can say what that
        # answers
        unknown = "inner" in about and (
            "function" in about or cursor.helpers > 1 or any(isinstance(answer, Error) for answer in now)
            or cursor.calls is not None and bool({"view", "path", "privilege", "names"} & about))
        if cursor.mode == "alone" and "rewrite" in about:
            unknown = unknown or bool({"view", "path", "names"} & about)
        self.statistics["not judged"] += unknown
        return unknown

    def is_anew(self, cursor, row):
        """Whether the row is of the function as it was replaced meanwhile, as far as that can be known."""
        known = not {"view", "path", "inner", "type", "write", "rewrite"} & cursor.about and not cursor.altered
        if not known or not cursor.repeatable or cursor.mode == "row" or self.player.has_failed():
            self.statistics["not judged"] += 1
            return True
        return row in self.now(cursor)

    def is_plain_anew(self, cursor, row):
        """Plain functions of version 18 notice that they were replaced, and another search path: so does a call that is
        not cached."""
        if self.player.version < 18 or not {"function", "path"} & cursor.about or self.player.has_failed():
            return False
        last = self.player.guarded("SELECT result FROM aggcache.last_call()")
        if isinstance(last, Error) or not last or last[0][0] not in ("uncached", "own write"):
            return False
        return self.is_anew(cursor, row)

    def is_written_anew(self, cursor, row):
        """Whether the row is the right one, written as text by the type as it is now.

        The cursor's query turns the function's value into text: the labels of an enum, the columns of a row. It does so
        by what its session knows of the type, and a cached call makes the session look for news, as any statement does
        that locks something (033_one_statement.pl shows the same of the plain function). So what the twin answers now
        is right too, where its snapshot still is the cursor's."""
        if row == END or self.player.has_failed():
            return False
        if cursor.argument:
            # a row that the query itself has made, maybe before its type was altered: no later query can make it so
            at_first, made = self.at_first(cursor), self.player.argument(cursor, row[0])
            return at_first != END and at_first[0] == row[0] and at_first[1] is not None and row == made
        if self.is_former_written_anew(cursor, row):
            return True
        if not cursor.repeatable and {"write", "rewrite", "structure"} & cursor.about:
            self.statistics["not judged"] += 1
            return True
        rows = self.player.guarded(cursor.p, keep=False)
        if isinstance(rows, Error):
            self.statistics["not judged"] += 1
            return True  # what else has happened keeps the twin from answering
        return cursor.position < len(rows) and row == rows[cursor.position]

    def is_former_written_anew(self, cursor, row):
        """Whether the row is the first definition's, with a label of the enum that was renamed, or with nothing in the
        place of an attribute that was dropped and made anew. Seen of plain functions too. What the twin answers now
        may be of other tables, by another search path, or of the new attribute."""
        first = self.at_first(cursor)

        def is_former(then, now):
            if now == then or not (isinstance(then, str) and isinstance(now, str)):
                return now == then
            renamed = re.sub(r"\bred\b", "crimson", then)
            return now == renamed or "renewed" in cursor.about and now == re.sub(r",[^,()]*\)$", ",)", renamed)
        return first != END and len(first) == len(row) and all(map(is_former, first, row))

    def judge_row(self, cursor, row):
        if row == END:
            return
        if not isinstance(row, Error):
            if row[1] != row[2] and not (self.is_of_former(cursor, row) or self.is_plain_anew(cursor, row)):
                self.fault(cursor, "a row differs", row[1], row[2])
            return
        self.judge_error(cursor, row)

    def is_of_former(self, cursor, row):
        """Whether the plain function beside it has noticed what was changed, and the cached one goes on as it began; or
        what it calls is another function now, which the twin does not call."""
        if not ("inner" in cursor.about or self.is_late(cursor, "privilege")):
            return False
        first = self.at_first(cursor)
        if isinstance(first, Error):
            self.statistics["not judged"] += 1
            return True
        return self.is_as_first(cursor, row) or "inner" in cursor.about and self.is_of_present(cursor, row)

    def is_as_first(self, cursor, row):
        """Whether the row is what it was at first, as far as it is written by the same settings."""
        first, columns = self.at_first(cursor), 2 if cursor.mode == "row" else None
        if isinstance(first, Error) or END in (row, first):
            same = row == first
        else:
            same = row[:columns] == first[:columns]
        if same or not ("setting" in cursor.about and self.is_late(cursor, "privilege")):
            return same
        self.statistics["not judged"] += 1
        return True

    def judge_error(self, cursor, row):
        """An error while a twin holds the locks: what changes that need no lock explain."""
        about, first = cursor.about, self.at_first(cursor)
        if isinstance(first, Error) and (row.code == first.code or first.code in CONCURRENT):
            return
        if row.code in CONCURRENT and (self.player.pending or cursor.mode == "row"):
            return
        if row.code in OF_TYPES - {"XX000"} and about & {"type", "domain", "inner"}:
            return
        if row.code in self.of_names(cursor):
            return
        if "inner" in about and (row.code == "42883" or self.is_of_gone(row)):
            return
        if self.is_of_called(cursor, row) or self.is_of_other_rows(cursor, row):
            return
        if self.is_of_mget(cursor, row) or self.is_of_dropped(cursor, row) or self.is_of_now(cursor, row):
            return
        self.fault(cursor, "an error", row, first)

    def is_of_now(self, cursor, error):
        """Whether a new statement fails so, and what has happened makes a plain function too analyse a body anew: that
        of a function that it calls; its own after a savepoint that its first call was in; by version 18, if what it is
        made of was changed. That version also keeps, in the session, what names meant that a body is made of.

        What a called function reads is locked by the plain function from the first row on, by a hit from the second
        (docs/internals.md): between them a body that is called may become one that cannot be analysed any more."""
        about = cursor.about
        late = self.player.version >= 18 and (cursor.position == 0 or bool(
            {"type", "domain", "path", "function", "inner"} & about))
        called = cursor.calls is not None and ("inner" in about or cursor.mode == "alone" and bool(
            {"structure", "rewrite"} & about))
        if not (late or called or cursor.guarded or {"path", "privilege"} & about):
            return False
        errors = [e for e in self.now(cursor, self.player.in_new_session) if isinstance(e, Error)]
        if errors and all(e.code in CONCURRENT for e in errors):
            self.statistics["not judged"] += 1
            return True  # what B has not committed yet is in the way
        return any(e.code == error.code for e in errors)

    def of_names(self, cursor):
        """Codes of errors by which plain functions fail if a function that they call finds its names no longer: it is
        analysed anew at each call of theirs, by the search path and the rights on schemas as they are then. So are they
        themselves after the savepoint of their first call, and by version 18 whenever the path changes; and so is what
        mget calls."""
        about = cursor.about
        unknown = {"42P01", "42883", "42704"}
        codes = {"42501"} if "privilege" in about else set()
        if {"path", "privilege"} & about and (
                cursor.calls or cursor.helped or cursor.guarded or cursor.mget or self.player.version >= 18):
            codes |= unknown
        if cursor.position == 0 and {"path", "privilege"} & cursor.before:
            # the twin's query does not find its names itself, this one had before; or that version's session knows them
            if isinstance(cursor.expected, Error) and (cursor.expected.code in unknown or "for schema" in
                                                       cursor.expected.message) or self.player.version >= 18:
                codes |= unknown
        if cursor.guarded and "view" in about:
            codes |= {"42P01", "42703"}
        return codes

    def is_of_dropped(self, cursor, error):
        """Whether the function was dropped before its first call, or has to be looked up anew, as version 18 does at
        each call, and PostgreSQL itself does not find it: plain functions are called in the same way."""
        return ("cache lookup failed for function" in error.message
                and (cursor.guarded or cursor.position == 0 or self.player.version >= 18)
                and bool({"function", "extension", "inner", "type", "structure"} & (cursor.before | cursor.about)))

    @staticmethod
    def is_of_gone(error):
        """Whether a function that the body calls is gone, as PostgreSQL says it: at each run of a body it asks who may
        call it, and says 42883 up to version 15, 42704 from 16 on; a superuser may call it, until it is looked up."""
        return ("cache lookup failed for function" in error.message
                or re.match(r"function with OID \d+ does not exist", error.message) is not None)

    @staticmethod
    def is_of_called(cursor, error):
        """Whether the cached function that the body calls was altered: revoked, or made to run as another role; its
        twin was not."""
        return cursor.calls in cursor.altered and error.code == "42501"

    @staticmethod
    def is_of_other_rows(cursor, error):
        """Whether the query was planned for other rows: the type was altered before the first one. That shows as soon
        as there is one."""
        if cursor.handed:
            return False
        return "type" in cursor.before and error.code in OF_TYPES or (
            error.code == "42804" and bool({"structure", "rewrite"} & cursor.before))

    def is_of_mget(self, cursor, error):
        """Errors of a new look at the function, which each call of mget takes. Its list of columns is of a type, and
        the function may be of another language before the cursor is opened."""
        happened = cursor.about | cursor.before
        return cursor.mget and error.code != "XX000" and (
            error.code in {"42804", "42809"} or bool({"function", "path", "type", "extension"} & happened)
            or cursor.position == 0 and isinstance(cursor.expected, Error))

    def is_late(self, cursor, *further):
        """Whether plain functions of this version notice what has changed within the statement. With "privilege": if a
        role is subject to row security no longer."""
        return self.player.version >= 18 and bool({"type", "domain", "path", "inner", *further} & cursor.about)

    def judge_pair(self, cursor, row, plain):
        if isinstance(plain, Error):
            explained = plain.code in OF_TYPES or self.is_late(cursor)
            if plain.code in CONCURRENT or explained and self.is_as_first(cursor, row):
                return
            self.fault(cursor, "no error of the cached function", row, plain)
        elif row != plain:
            explained = "inner" in cursor.about or self.is_late(cursor, "privilege")
            if explained and self.is_as_first(cursor, row) or self.is_excused(cursor, row):
                return
            self.fault(cursor, "a row differs", row, plain)

    def judge_alone(self, cursor, row):
        first = self.at_first(cursor)
        about = cursor.about
        if isinstance(row, Error):
            if isinstance(first, Error) and first.code == row.code or row.code in CONCURRENT and self.player.pending:
                return
            if (self.is_of_mget(cursor, row) or self.is_of_dropped(cursor, row) or self.is_of_called(cursor, row)
                    or self.is_of_other_rows(cursor, row)):
                return
            if re.match(r"attribute \d+ of type ", row.message) and not (cursor.of_table or about & {"type", "inner"}):
                self.fault(cursor, "columns are not what they were when the body was analysed", row, first)
            allowed = set()
            if about & {"structure", "rewrite"}:
                allowed |= {"55000", "42P01", "42703", "42804", "42704"}
            if about & {"type"}:
                allowed |= {"55000", "42804", "42P13", "22P07", "42704"}
                if "cache lookup failed for type" in row.message or (
                        "gone" in about and "could not open relation with OID" in row.message):
                    return  # by the query, for which the row is turned into text (asks_plain_first)
            if about & {"domain"}:
                allowed |= {"23514", "23502"}
            allowed |= self.of_names(cursor)
            if about & {"inner"}:
                allowed |= {"55000", "42883"}
                if self.is_of_gone(row):
                    return  # as the plain body would
            if row.code not in allowed and not self.is_of_now(cursor, row):
                self.fault(cursor, "an error", row, first)
        elif isinstance(first, Error):
            self.statistics["not judged"] += 1  # it failed at some row
        elif row != first and not self.is_excused(cursor, row):
            self.fault(cursor, "a row differs", row, first)
