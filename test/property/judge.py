"""Who knows which answers were true when, and judges by it what aggcache.max_staleness and aggcache.ttl let through.

After each change a session that reads plain functions only, with a new snapshot, takes a sample. An answer was true
from some moment after the sample before it (which had another answer) began until some moment before the sample after
it ended. Both are measured so that the stretch comes out longer than it was, whatever the machine was doing; so an
answer that is not accepted was wrong, and nothing here has to be quick. How old an answer may be is counted from the
beginning of the statement that asks, by the server's clock.

  T  asks with a new snapshot
  K  asks with an old one: what it accepts must not be newer than that, nor older than the bound
  W  writes. What it has committed it must see, and what it has written as the plain function does
  O  takes the samples
"""

import re
from decimal import Decimal

NOW = "extract(epoch FROM {0}) * 1000"
NO_WRITE = re.compile(r"ROLLBACK|PREPARE|SAVEPOINT|BEGIN|SET|RESET")
DEFINITION = re.compile(r"CREATE OR REPLACE|ALTER (TYPE|DOMAIN)")


class Answer:
    """An answer that was true, at most from `since` to `until`, in ms; from sample `first` to sample `last`."""

    def __init__(self, value, since, first):
        self.value, self.since, self.first = value, since, first
        self.until = self.last = None  # still


class History:
    """What the plain functions answered. An answer of None stands for any: the function failed."""

    def __init__(self):
        self.answers = {}  # by function
        self.samples = 0
        self.latest = 0

    def add(self, began, ended, values):
        """Returns the functions whose answer is another one now."""
        changed = []
        for name, value in values.items():
            known = self.answers.setdefault(name, [])
            if known and known[-1].value == value:
                continue
            if known:
                known[-1].until, known[-1].last = ended, self.samples - 1
            known.append(Answer(value, self.latest, self.samples))
            changed.append(name)
        self.samples += 1
        self.latest = began
        return changed

    def forget(self, before):
        for name, known in self.answers.items():
            self.answers[name] = [a for a in known if a.until is None or a.until >= before]

    def accepts(self, name, value, earliest, least=0, most=None):
        """Whether this was true at `earliest` or later, in one of the samples from `least` to `most`."""
        return any(a.value in (None, value) and (a.until is None or a.until >= earliest) and
                   (a.last is None or a.last >= least) and (most is None or a.first <= most)
                   for a in self.answers.get(name, []))


class Judge:
    """Asks in the sessions of a player and compares with the history."""

    def __init__(self, player):
        self.player = player
        self.history = History()
        self.kept = 0  # the sample that the snapshot of K is as old as
        self.writers = set()  # who has committed since the latest sample
        self.seen_from = {}  # by function: the sample that the latest write of W made another than the one before it
        self.checked = 0

    def sample(self, items):
        values = {}
        columns = ", ".join(i.rows("plain") for i in items)
        row = self.player.attempt("O", "SELECT %s, %s, %s" % (NOW.format("statement_timestamp()"), columns,
                                                   NOW.format("clock_timestamp()")))
        if not isinstance(row, Exception):
            began, ended = row[0], row[-1]
            values = {i.function.name: strip(i, answer) for i, answer in zip(items, row[1:])}
        else:
            began = self.player.attempt("O", "SELECT " + NOW.format("clock_timestamp()"))[0]
            for item in items:
                one = self.player.attempt("O", "SELECT " + item.rows("plain"))
                values[item.function.name] = None if isinstance(one, Exception) else strip(item, one[0])
            ended = self.player.attempt("O", "SELECT " + NOW.format("clock_timestamp()"))[0]
        changed = self.history.add(began, ended, values)
        if self.writers == {"W"}:
            self.seen_from.update((name, self.history.samples - 1) for name in changed)
        self.writers.clear()
        self.history.forget(began - 60000)

    def check(self, session, items):
        """Returns what differs, each as the arguments of a Difference."""
        columns = [NOW.format("statement_timestamp()"), NOW.format("now()")]
        for item in items:
            columns += [item.rows("cached"), item.rows("plain")]
        row = self.player.attempt(session, "SELECT " + ", ".join(columns))
        if not isinstance(row, Exception):
            differences = [self.check_one(session, item, row[0], row[1], row[2 * i + 2], row[2 * i + 3])
                           for i, item in enumerate(items)]
        elif len(items) > 1:
            differences = [difference for item in items for difference in self.check(session, [item])]
        else:
            differences = []  # of both, or of a neighbour; exact comparisons tell
        return [difference for difference in differences if difference]

    def check_one(self, session, item, asked, now, cached, plain):
        self.checked += 1
        moment = moments(item, cached)
        if moment is not None and not all(now - item.bound <= m <= asked for m in moment):
            return session, item, cached, plain, "the clock is out of the bound, at %s" % now
        cached, plain = strip(item, cached), strip(item, plain)
        if cached == plain:
            return None
        name = item.function.name
        if item.clock:
            return session, item, cached, plain, "ttl is about the clock only"
        if session == "T":
            accepted = self.history.accepts(name, cached, asked - item.bound)
        elif session == "K":
            accepted = self.history.accepts(name, cached, asked - item.bound, most=self.kept)
        else:
            block = self.player.in_block(session)
            if block and self.player.attempt(session, "SHOW transaction_isolation")[0] != "read committed":
                return None
            # If it sees another answer than all others, it has written what the function reads.
            current = self.history.answers[name][-1].value
            accepted = (not block or current in (None, plain)) and self.history.accepts(
                name, cached, asked - item.bound, least=self.seen_from.get(name, 0))
        if accepted:
            return None
        known = ["%s to %s: %s" % (a.since, a.until, a.value) for a in self.history.answers.get(name, [])][-4:]
        return session, item, cached, plain, "at %s, bound %d ms; true were\n    %s" % (asked, item.bound,
                                                                                    "\n    ".join(known))

    def note_step(self, session, text):
        """After a step of a writer. What replaces a definition, or rolls back, is no write that it has to see."""
        if self.player.in_block(session) or NO_WRITE.match(text):
            return
        self.writers.add("?" if DEFINITION.match(text) else session)

    def note_snapshot(self):
        """K has taken its snapshot, after a sample and before anything else."""
        self.kept = self.history.samples - 1


def moments(item, answer):
    if not item.clock:
        return None
    return [Decimal(re.match(r"\(?([0-9.]+)", row).group(1)) for row in answer]


def strip(item, answer):
    """The answer without the clock."""
    return [re.sub(r"^\(?[0-9.]+,?", "", row) for row in answer] if item.clock else answer
