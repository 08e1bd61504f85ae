#!/usr/bin/python3
"""Cursor test: random changes of definitions by other sessions between the rows of open cursors over cached functions.

  test/cursors/cursors.py [--seconds N | --long] [--seed N] [--round N [--rounds N]] [--no-shrink]

Uses the installed build on a private server. A round is a small random schema with cached functions, cursors over them
in a transaction, and what other sessions do between their rows: they replace, alter and drop functions, views, tables,
types, partitions, roles' privileges, policies and the extension, and write. No row may differ from what a plain
function with the definition of the first row answers, no statement may show two definitions, nothing may crash. What
exactly is compared, and which errors a change explains, is in judge.py.

A round is made of the seed and its number, so --seed with --round plays one alone, with --rounds that many from it on.
A round that fails is played again in a database of its own, made small, and printed as a script with the sessions
marked.

Under ASan, or on a PostgreSQL with assertions: PG_CONFIG chooses the installation, and its program postgres may be a
script that starts the server with libasan preloaded. Whatever ends a process with a signal, and every line with PANIC,
TRAP or "runtime error" in the server's log, is a failure. Servers that are that slow are given time: nothing here
waits for anything but locks, which blocked statements give up soon.
"""

import argparse
import collections
import os
import random
import re
import sys
import tempfile
import time

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.realpath(__file__))
sys.path.insert(0, HERE)
sys.path.insert(1, os.path.join(os.path.dirname(HERE), "stress"))
sys.path.append(os.path.join(os.path.dirname(HERE), "property"))
from private_server import Server, drop_root  # noqa: E402
from judge import Fault  # noqa: E402
from player import Crash, Player  # noqa: E402
from rounds import Case, Round  # noqa: E402
from shrink import reduced  # noqa: E402
from world import MAKE_ROLES  # noqa: E402

ROUNDS_OF_A_DATABASE = 40
BAD_LINES = re.compile("PANIC|TRAP:|was terminated by signal|runtime error:|AddressSanitizer|reference leak|"
                       "still referenced")


class Log:
    """The server's log: what crashed since it was looked at."""

    def __init__(self, server):
        self.server, self.position = server, 0

    def crashes(self):
        with open(self.server.log, errors="replace") as file:
            file.seek(self.position)
            lines = file.readlines()
            self.position = file.tell()
        return [line.strip() for line in lines if BAD_LINES.search(line)]


def outcome(play, log):
    """Runs play(), which returns a Fault or None. Returns what went wrong as text, or None."""
    try:
        fault = play()
    except Fault as found:
        fault = found
    except Crash as crash:
        # the postmaster writes what happened a moment after the client has noticed
        for _ in range(100):
            lines = log.crashes()
            if lines:
                return "CRASH: %s\n%s" % (crash, "\n".join(lines))
            time.sleep(0.05)
        return "lost connection: %s" % crash
    lines = log.crashes()
    if lines:
        return "CRASH: " + "\n".join(lines)
    return str(fault) if fault else None


def replay(server, log, case):
    """Plays a case in a database of its own. Returns what went wrong, or None."""
    player = Player(server, collections.Counter())

    def play():
        player.setup(case.setup)
        for step in case.steps:
            player.play(step)
    try:
        return outcome(play, log)
    finally:
        player.close()


def kind_of(text):
    """What happened, and by which SQLSTATE."""
    return text and (re.match(r"[^,:]*", text)[0], re.findall(r"cached:? (\w{5}) ", text))


def shrink(server, log, case, seconds):
    """A smaller case that fails in the same way, crash or difference; or None if it does not fail again."""
    until = time.monotonic() + seconds
    found = replay(server, log, case)
    if not found:
        return None, None

    def fails(steps, setup):
        return kind_of(replay(server, log, Case(setup, steps))) == kind_of(found)
    steps = reduced(case.steps, lambda steps: fails(steps, case.setup), until)
    setup = reduced(case.setup, lambda setup: fails(steps, setup), until)
    small = Case(setup, steps)
    return small, replay(server, log, small) or found


def script(case, head):
    """The case as text: SQL with the session that runs it in front."""
    lines = ["-- " + line for line in head.split("\n")] + ["-- set up"] + [text + ";" for text in case.setup]
    session = None
    for name, what, content in case.steps:
        if name != session:
            session = name
            lines.append("-- session " + name)
        if what in ("begin", "commit", "end"):
            lines.append(content + ";")
        elif what == "sql":
            lines.append(content[0] + ";")
        elif what == "change":
            lines += ["-- (session N) %s;" % text for text in content[0].before]
            lines += ["-- (session N) ALTER FUNCTION %s OWNER TO that of %s;" % (twin, cached)
                      for cached, twin in content[0].owned]
            lines += (["BEGIN;"] if content[1] else []) + [text + ";" for text in content[0].statements]
        elif what == "open":
            lines.append("DECLARE k%d CURSOR FOR %s;" % (content["number"], content["k"]))
            lines.append("-- mode %s%s: %s;" % (content["mode"], ", DECLARE p%d" % content["number"]
                                                if content["mode"] == "pair" else "", content["p"]))
        elif what == "fetch":
            lines += ["FETCH %d FROM k%d;%s" % (content[1], content[0], " -- in a savepoint, then " + content[2]
                                                if content[2] else "")]
        elif what == "learn":
            lines += ["SAVEPOINT a; SELECT FROM pg_shdescription LIMIT 0; ROLLBACK TO a;"]
        elif what == "compare":
            lines += ["SELECT g, %s, %s FROM generate_series(1, 3) g;" % item[1:] for item in content]
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description="test of cursors over cached functions whose definitions change")
    parser.add_argument("--seconds", type=float, default=45)
    parser.add_argument("--long", action="store_true", help="ten minutes")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--round", type=int, help="from this one of the seed's rounds on")
    parser.add_argument("--rounds", type=int, help="so many; 1 if --round is given")
    parser.add_argument("--most-failures", type=int, default=3, help="stop after so many rounds that failed")
    parser.add_argument("--no-shrink", action="store_true", help="do not make a round that fails small")
    parser.add_argument("--verbose", action="store_true")
    options = parser.parse_args()
    seconds = 600 if options.long else options.seconds
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(1 << 31)
    print("cursors: seed %d" % seed, flush=True)
    drop_root()
    server = Server({"max_connections": 30, "autovacuum": "off", "jit": "off", "aggcache.memory": "16MB",
                     "statement_timeout": "60s", "log_min_messages": "warning", "timezone": "UTC",
                     "max_parallel_workers_per_gather": 0, "checkpoint_timeout": "1h", "max_wal_size": "2GB",
                     "synchronous_commit": "off", "full_page_writes": "off", "wal_level": "minimal",
                     "max_wal_senders": 0, "shared_buffers": "32MB", "restart_after_crash": "on"}, "cursors")
    connection = server.connect()
    for statement in MAKE_ROLES:
        connection.cursor().execute(statement)
    connection.close()
    log = Log(server)
    statistics = collections.Counter()
    first = number = options.round or 0
    last = number + (options.rounds or 1) if options.round is not None else options.rounds
    failed = 0
    player = None
    began = time.monotonic()
    while failed < options.most_failures and (number < last if last is not None else time.monotonic() - began
                                              < seconds):
        if player is None:
            player = Player(server, statistics)
        one = Round(player, seed, number)
        found = outcome(one.play, log)
        if found:
            failed += 1
            print("FAILED: seed %d, round %d, after %.1f s\n%s" % (seed, number, time.monotonic() - began, found),
                  flush=True)
            player.close()
            player = None
            report(server, log, one.case, "seed %d, round %d\n%s" % (seed, number, found), options.no_shrink)
        number += 1
        if player and (number - first) % ROUNDS_OF_A_DATABASE == 0:
            player.close()
            player = None
    if player:
        player.close()
    print("%d rounds in %.0f s" % (number - first, time.monotonic() - began))
    print("happened: " + ", ".join("%s %d" % item for item in sorted(statistics.items())))
    if last is None and not failed and not statistics["rows"]:
        failed += 1
        print("FAILED: nothing was fetched")
    server.remove()
    print("cursors: %d passed, %d failed" % (number - first - failed, failed))
    return 1 if failed else 0


def report(server, log, case, head, no_shrink):
    small = None
    if not no_shrink:
        small, text = shrink(server, log, case, 60)
        if small:
            head = head.split("\n")[0] + "\n" + text
        else:
            head += "\ndoes not fail when it is played again in a new database: the whole round follows"
    text = script(small or case, head)
    path = os.path.join(tempfile.gettempdir(), "cursors-%s.sql" % re.sub(r"\D+", "-", head.split("\n")[0]).strip("-"))
    with open(path, "w") as file:
        file.write(text)
    print(text if small else "", "\nthe script is in " + path, flush=True)


if __name__ == "__main__":
    sys.exit(main())
