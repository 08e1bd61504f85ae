"""Makes random rounds: a schema, cursors, and what happens between their rows."""

import random
import re

from changes import Changes
from judge import Fault
from world import ARGUMENT, CLEAR, World


class Case:
    """A round as data."""

    def __init__(self, setup, steps):
        self.setup, self.steps = list(setup), list(steps)


class Round:
    def __init__(self, player, seed, number):
        self.r = random.Random("%s %s" % (seed, number))
        self.player = player
        self.world = World(self.r)
        self.changes = Changes(self.r, self.world)
        self.case = Case(CLEAR + self.world.statements, [])
        self.changed = set()  # names of functions of which no twin is known
        self.held = []  # what goes back if B rolls back: (function, its version, its twin's)
        self.cursors = 0
        self.functions_of = {}  # cursors by number

    def step(self, session, what, content):
        step = (session, what, content)
        self.case.steps.append(step)
        return self.player.play(step)

    def play(self):
        """Plays it. Returns None, or the Fault (judge.py)."""
        r = self.r
        try:
            self.player.setup(self.case.setup)
            if r.random() < 0.3:
                self.step("L", "begin", "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1")
            # fills the cache; rows of a table outlive the call, which only matters if a hit is who returns them
            if r.random() < (0.9 if any("t0" in f.kind.returns for f in self.world.functions) else 0.6):
                self.compare()
            for _ in range(r.choice([1, 1, 2])):
                self.transaction()
            self.step("L", "commit", "COMMIT")
        except Fault as fault:
            return fault
        return None

    # ---- Steps ------------------------------------------------------------------------------------------------------

    def known(self):
        return [f for f in self.world.functions if f.name not in self.changed]

    def compare(self):
        if self.held:
            return
        items = []
        for function in self.known():
            column = function.kind.column.replace("{a}", ARGUMENT)
            items.append((function.signature(), column.replace("{f}", function.cached()),
                          column.replace("{f}", function.twin())))
        self.step(self.r.choice("ASC"), "compare", items)

    def transaction(self):
        r = self.r
        level = r.choice(["REPEATABLE READ"] * 5 + ["READ COMMITTED"] * 3 + ["SERIALIZABLE"])
        self.step("A", "begin", "BEGIN ISOLATION LEVEL " + level)
        if self.world.user != "postgres":
            self.step("A", "begin", "SET LOCAL ROLE " + self.world.user)
        if r.random() < 0.15:
            self.write("A")
        opened = []
        for _ in range(r.choice([1, 1, 1, 2])):
            self.open(opened, level != "READ COMMITTED")
        for _ in range(r.randint(4, 10)):
            if not opened:
                break
            for _ in range(r.choice([0, 1, 1, 1, 2, 3])):
                self.something(opened)
            number, mode = r.choice(opened)
            savepoint = r.choice([None] * 6 + ["release", "rollback"]) if mode == "alone" else None
            self.step("A", "fetch", (number, r.choice([1, 1, 1, 2]), savepoint))
        for number, _ in opened:
            self.step("A", "fetch", (number, 20, None))
        # B may wait for A's locks, so it ends first only by chance
        if self.held and r.random() < 0.5:
            self.end()
        self.step("A", "commit", r.choice(["COMMIT", "COMMIT", "ROLLBACK"]))
        self.end()
        self.compare()

    def open(self, opened, repeatable):
        r = self.r
        known = self.known()
        if not known or self.held:
            return
        function = r.choice(known)
        of_table = "t0" in function.kind.returns
        mode = r.choice(["row", "pair", "pair", "alone", "alone"] + ["alone"] * 5 * of_table)
        rows = "generate_series(1, %d)" % r.randint(3, 9)
        mget = False
        column = function.kind.column
        if mode == "row":
            k = "SELECT g, %s, %s FROM {g} g" % (column, column.replace("{f}", "{p}"))
            p = "SELECT g, %s, NULL FROM {g} g" % column
        elif function.kind.mget and r.random() < 0.25:
            mget = True
            arrays = "ARRAY[{a}, {a} + 1]"
            k = "SELECT g, ARRAY(SELECT r::text FROM aggcache.mget('%s', %s) AS r(n bigint, %s)) FROM {g} g" % (
                function.signature(), arrays, function.kind.mget)
            p = ("SELECT g, ARRAY(SELECT ROW(u.n, q.*)::text FROM unnest(%s) WITH ORDINALITY u(x, n), "
                 "LATERAL w.{f}(u.x) q) FROM {g} g" % arrays)
        else:
            k = p = r.choice(function.kind.forms)

        def text(template, name):
            return template.replace("{f}", name).replace("{p}", function.twin()).replace("{g}", rows).replace(
                "{a}", r_argument)
        r_argument = r.choice([ARGUMENT, ARGUMENT, "g", "1"])
        made = re.search(r"w\.\{f\}\((\(.*\)::tt|'red'::e0)\)", k)
        # more than once for each g, as functions that return sets hand it back more than once
        argument = made and text("SELECT g, (%s)%s FROM {g} g, generate_series(1, 3 + 0 * g)" % (
            made[1], "::text" if made[1].endswith("tt") else ""), "")
        if self.step("A", "open", {"number": self.cursors, "mode": mode, "k": text(k, function.cached()),
                                   "p": text(p, function.twin()), "repeatable": repeatable, "mget": mget,
                                   "argument": argument, "of_table": of_table,
                                   "called_anew": "{a}" in k and r_argument != "1",
                                   "name": function.name, "helped": "h(" in function.body,
                                   "calls": function.inner.name if function.inner else None}):
            self.functions_of[self.cursors] = function
            # PostgreSQL's handler begins a set of a target list anew when the savepoint of its first row has ended
            in_list = ("SETOF" in function.kind.returns or "TABLE" in function.kind.returns) and "LATERAL" not in k
            opened.append((self.cursors, "no savepoint" if in_list else mode))
            # what happens between the opening and the first row is what the definition may be of
            if function.kind.returns.split(" ")[-1] in ("ct", "tt") and r.random() < 0.15:
                # the query is planned for other rows
                self.change(opened, lambda: self.changes.row_type(function))
                self.step("A", "fetch", (self.cursors, 1, None))
            elif not repeatable or r.random() < 0.7:
                self.step("A", "fetch", (self.cursors, 1, None))
                self.between_calls(opened, function, mode)
        self.cursors += 1

    def between_calls(self, opened, function, mode):
        """What the locks of the first calls are for, and what is looked at if there are none."""
        r = self.r
        if "t0" in function.kind.returns and r.random() < 0.8:
            # between two rows of the first call, which are read by the type as the session knows it
            self.change(opened, self.changes.row_table)
            self.step("A", "learn", None)
            self.step("A", "fetch", (self.cursors, 1, None))
        elif mode == "alone" and r.random() < 0.6:
            # before the second call, which finds other tables, or after it: then it has locked them
            if r.random() < 0.5:
                self.step("A", "fetch", (self.cursors, r.randint(1, 3), None))
            self.change(opened, lambda: self.changes.read_table(function))
            self.step("A", "fetch", (self.cursors, r.randint(1, 3), None))

    def something(self, opened):
        r = self.r
        fate = r.random()
        alone = any(mode in ("alone", "no savepoint") for _, mode in opened)
        if self.held and fate < 0.4:
            self.end()
        elif fate < 0.72:
            self.change(opened)
        elif fate < 0.85:
            self.write("C")
        elif fate < 0.88 and not alone:
            self.write("A")
        elif fate < 0.91:
            self.compare_elsewhere()
        elif fate < 0.94:
            self.step("A", "sql", ("SET LOCAL search_path = " + r.choice(["w2, w", "w", "public", "w, public"]),
                                   {"path"}))
        elif not alone:
            self.step("A", "sql", (r.choice(["SET LOCAL timezone = 'Asia/Tokyo'", "SET LOCAL datestyle = 'SQL'",
                                             "SET LOCAL w.x = 'other'", "SET LOCAL aggcache.enabled = off",
                                             "SET LOCAL enable_hashagg = off", "SET LOCAL work_mem = '64kB'"]),
                                   {"setting"}))

    def compare_elsewhere(self):
        """New statements of others, which store results of the new definitions beside the old ones."""
        if self.held or not self.known():
            return
        function = self.r.choice(self.known())
        column = function.kind.column.replace("{a}", ARGUMENT)
        self.step(self.r.choice("SC"), "compare", [(function.signature(), column.replace("{f}", function.cached()),
                                                    column.replace("{f}", function.twin()))])

    def write(self, session):
        r = self.r
        table = r.choice(["t0", "t1", "t2"])
        text = r.choice([
            "INSERT INTO {t} (k, v, s, e, at, u) VALUES (%d, %d, 'new', 'blue', '2024-03-01', 1)" % (
                r.randint(1, 4), r.randint(1, 9)),
            "UPDATE {t} SET v = v + 1 WHERE k = %d" % r.randint(1, 4), "UPDATE {t} SET s = s || '!' WHERE k <= 2",
            "DELETE FROM {t} WHERE k = %d AND v > 100" % r.randint(1, 4), "UPDATE {t} SET k = k + 1 WHERE k = 1"])
        self.step(session, "sql", (text.replace("{t}", "w." + table), {"write"}))

    def change(self, opened, make=None):
        r = self.r
        versions = [(f, f.version, f.revision) for f in self.world.functions]
        change = make() if make else self.changes.draw([self.functions_of[number] for number, _ in opened])
        hold = r.random() < 0.12 and change.block
        holding = bool(self.held) or hold
        done = self.step("B", "change", (change, hold))
        if "function" in change.about and not change.before:
            # altered or dropped: what it answers now is not known
            self.changed.update(f.name for f in self.world.functions if f.signature() in change.statements[0])
            self.changed.update(f.name for f in self.world.functions
                                if f.inner and f.inner.name in self.changed)
        if not done:
            self.take_back(versions)
        elif holding:
            self.held += versions
        if hold and not self.held:
            self.end()

    def end(self):
        if self.held or self.player.pending:
            if not self.step("B", "end", self.r.choice(["COMMIT", "COMMIT", "ROLLBACK"])):
                self.take_back(reversed(self.held))
        self.held = []

    @staticmethod
    def take_back(versions):
        for function, version, revision in versions:
            function.version, function.revision = version, revision
