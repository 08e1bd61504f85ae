"""A case: a schema, functions on it, and some hundred rounds, all made of the seed and the case's number."""

import collections
import random
import re

import helpers
from case import Case
from play import KEEPERS, Player, WRITERS
from schema import Schema
from twins import Twins
from writes import Writer

RETURNING = ("insert", "delete", "update_key", "update_other", "move", "upsert")


class Found(Exception):
    pass


class Run:
    """`broken`: how, as in play.BREAKS. `about`: what all cases are about, as in schema.py."""

    def __init__(self, server, seed, available, broken=None, about=None):
        self.server, self.seed, self.available, self.broken, self.about = server, seed, available, broken, about
        self.rounds = self.compared = self.conflicts = self.judged = 0
        self.events = collections.Counter()
        self.errors = collections.Counter()
        self.messages = collections.Counter()
        self.refused = collections.Counter()
        self.unlike = []
        self.failures = []
        self.calls = collections.defaultdict(collections.Counter)

    def case(self, number, rounds):
        """Plays a case. Returns it if something differed, else None."""
        one = OneCase(self, number)
        try:
            return one.play(rounds)
        finally:
            one.close()


class OneCase:
    def __init__(self, run, number):
        self.run, self.number = run, number
        self.r = random.Random("%s %s" % (run.seed, number))
        self.player = Player(run.server, run.broken)
        self.schema = Schema(self.r, run.available, run.about)
        self.writer = Writer(self.r, self.schema)
        self.log = Case(self.schema.statements)
        self.twins = Twins(self.r, self.schema, self.player, run.refused)
        self.strong = None  # the writer whose open transaction readers would wait for
        self.prepared = []
        self.transactions = 0
        self.fetches = 0  # that the open cursor is left

    def close(self):
        run = self.run
        if not run.broken:
            self.player.execute("N", "RESET ALL")
            for row in self.player.execute("N", "SELECT function::text, hits, misses - own_write, own_write, uncached, "
                                           "stale_hits, kept FROM aggcache.stats", True) or []:
                name = re.match(r"cached_(\w+)\(", row[0])
                for function in self.twins.functions + [item.function for item in self.twins.timed]:
                    if name and function.name == name.group(1):
                        run.calls[function.shape].update(hits=row[1], misses=row[2], own=row[3], uncached=row[4],
                                                         stale=row[5], kept=row[6])
        run.compared += self.player.compared
        run.judged += self.player.judge.checked
        run.conflicts += self.player.conflicts
        run.errors.update(self.player.errors)
        run.messages.update(self.player.messages)
        run.unlike += self.player.unlike
        self.player.close()

    def play_step(self, session, what, content):
        step = (session, what, content)
        self.log.steps.append(step)
        outcome = self.player.play(step)
        if outcome:
            self.run.failures.append("case %d, round %d\n%s" % (self.number, self.run.rounds, outcome[0]))
            raise Found
        return outcome is not False

    def sql(self, session, text):
        return self.play_step(session, "sql", text)

    def open_writers(self):
        return [w for w in WRITERS if self.player.in_block(w)]

    def begin_keeper(self, keeper):
        if self.player.in_block(keeper):
            self.sql(keeper, "COMMIT")
        level = self.r.choice(["REPEATABLE READ", "REPEATABLE READ", "REPEATABLE READ", "REPEATABLE READ, READ ONLY",
                               "SERIALIZABLE"])
        self.sql(keeper, "BEGIN ISOLATION LEVEL " + level)
        self.sql(keeper, "SELECT 1")  # takes the snapshot and no lock

    def end(self, writer):
        """Ends the writer's transaction, in one way or the other."""
        fate = self.r.random()
        if fate < 0.12 and writer != self.strong and len(self.prepared) < 2:
            gid = "p%d" % self.transactions
            self.transactions += 1
            if self.sql(writer, "PREPARE TRANSACTION '%s'" % gid):
                self.prepared.append(gid)
                self.run.events["prepared"] += 1
        else:
            self.sql(writer, "COMMIT" if fate < 0.7 else "ROLLBACK")
            self.run.events["committed" if fate < 0.7 else "rolled back"] += 1
        if writer == self.strong:
            self.strong = None

    def change(self):
        """What a round begins with."""
        r = self.r
        if self.strong and not self.player.in_block(self.strong):
            self.strong = None
        if self.prepared and r.random() < 0.35:
            gid = self.prepared.pop(0)
            session = [s for s in WRITERS + ("N",) if not self.player.in_block(s)][0]
            if not self.sql(session, "%s PREPARED '%s'" % (r.choice(["COMMIT", "COMMIT", "ROLLBACK"]), gid)):
                self.run.failures.append("case %d: a prepared transaction could not be finished" % self.number)
                raise Found
            return
        # a writer whose locks stop the others goes on alone
        writer = self.strong or r.choices(WRITERS, [4, 1])[0]
        block = self.player.in_block(writer)
        if block:
            if r.random() < 0.3:
                return self.end(writer)
            if r.random() < 0.15:
                self.sql(writer, "SAVEPOINT s")
            elif r.random() < 0.12:
                self.sql(writer, "ROLLBACK TO s")
                self.run.events["rolled back to savepoint"] += 1
                return
        elif r.random() < 0.2:
            self.sql(writer, "BEGIN" + r.choice(["", "", "", " ISOLATION LEVEL REPEATABLE READ",
                                                 " ISOLATION LEVEL SERIALIZABLE"]))
            block = True
        others = [w for w in self.open_writers() if w != writer] or self.prepared
        for _ in range(50):
            kind, write = self.writer.write()
            if (write.block or not block) and not (write.alone and (others or self.player.cursor)) and not (
                    write.definition and others):
                break
        else:
            return
        self.run.events[kind] += 1
        if write.strong and block:
            self.strong = writer
        for text in write.statements:
            items = self.twins.items(1) if kind in RETURNING and r.random() < 0.1 else None
            if items:
                done = self.play_step(writer, "returning", (text, items[0]))
            elif write.copy:
                done = self.play_step(writer, "copy", (text, write.copy))
            else:
                done = self.sql(writer, text)
            if not done:
                self.run.events["failed " + kind] += 1

    def round(self):
        r = self.r
        if not self.strong:
            for keeper in KEEPERS:
                if not self.player.in_block(keeper) or r.random() < 0.1:
                    self.begin_keeper(keeper)
            if not self.player.cursor and r.random() < 0.06 and self.twins.functions:
                items = self.twins.items(3)
                if items and self.play_step("C", "open", items):
                    self.fetches = r.choice([1, 2, 3])
                    if r.random() < 0.7:
                        self.play_step("C", "fetch", 1)
            if r.random() < 0.03 and not self.open_writers() and not self.prepared and not self.player.cursor and len(
                    self.twins.functions) < 20:
                # A new function brings a new watch, beside old snapshots.
                function = self.twins.function()
                if function:
                    for text in function.statements():
                        self.log.steps.append(("W", "sql", text))
            if r.random() < 0.01:
                self.play_step("N", "reconnect", None)
            # functions of extensions and replaced ones read settings, too
            if self.schema.about and r.random() < 0.2:
                session = r.choice(("N",) + KEEPERS + (("C",) if self.player.cursor else ()))
                self.sql(session, helpers.change_of_setting(r))
                self.run.events["changed setting"] += 1
        # what is kept current gathers some changes before it is read
        fewest, most = (5, 12) if self.schema.only_kept else (1, 3) if self.schema.about == "kept" else (1, 1)
        if self.run.broken in ("lost", "twice"):
            fewest, most = 20, 40  # each thousandth has to come
        for _ in range(r.randint(fewest, most)):
            self.change()
        # of what is asked for less often more has changed
        items = self.twins.items(4 if self.schema.only_kept else 6)
        if not items:
            return
        writers = self.open_writers()
        if self.strong:
            if self.player.in_block(self.strong):
                self.play_step(self.strong, "compare", items)
                return
            self.strong = None
        if self.player.cursor:
            self.fetches -= 1
            self.play_step("C", "fetch", r.choice([1, 1, 2]) if self.fetches else 100)
            if not self.fetches:
                self.play_step("C", "close", None)
        if self.twins.timed:
            self.ask_timed()
        self.play_step("N", "compare", items)
        # what writers have left does not reach back before it was computed, nor has it what the caller has written
        asks = 0.15 if self.schema.only_kept else 1
        for keeper in KEEPERS:
            if r.random() < asks:
                self.play_step(keeper, "compare", items)
        for writer in writers:
            if r.random() < asks:
                self.play_step(writer, "compare", items[:4])
        if not self.schema.only_kept:
            self.play_step("N", "compare", items[:3])

    def ask_timed(self):
        """Answers that may be old."""
        self.play_step("O", "sample", self.twins.timed)
        if not self.player.in_block("K") or self.r.random() < 0.1:
            if self.player.in_block("K"):
                self.sql("K", "COMMIT")
            self.sql("K", "BEGIN ISOLATION LEVEL REPEATABLE READ")
            self.sql("K", "SELECT 1")
            self.play_step("K", "snapshot", None)
        for session in ("T", "K", "W"):
            if self.r.random() < 0.6:
                self.play_step(session, "timed", self.twins.timed)

    def play(self, rounds):
        try:
            self.player.setup(self.schema.statements)
            for _ in range(self.r.randint(8, 14) * (2 if self.schema.only_kept else 1)):
                self.twins.function()
            if self.r.random() < (0 if self.schema.only_kept else 0.3):
                self.twins.make_timed()
            # what setup made is what a replay makes first
            self.log.functions = self.twins.functions + [item.function for item in self.twins.timed]
            for _ in range(rounds):
                if self.twins.functions:
                    self.round()
                self.run.rounds += 1
        except Found:
            return self.log
        return None
