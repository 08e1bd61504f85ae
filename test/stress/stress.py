#!/usr/bin/python3
"""Stress test: many sessions read through cached functions while others write, and every answer is compared.

  test/stress/stress.py [--seconds N | --long] [--seed N] [--no-self-test | --self-test]
                        [--store STORE [--redis KIND]]

STORE is shared, redis or tiered; KIND is what Redis is, and so what happens to it meanwhile: unix or acl (it is
flushed, killed, full), cluster (slots move, masters are killed), sentinel (masters are killed), proxy (connections
break).
Uses the installed build on a private server. Prints the seed, what happened, and 'stress: N passed, M failed'.

Which comparisons are legitimate
--------------------------------
locked    SELECT cached(...) IS NOT DISTINCT FROM (the body as a plain sub-select), in one statement. Both parts run
          under the statement's snapshot. The plain part names the tables, so the statement locks them when it is
          analysed, before its snapshot is taken, and keeps them locked: TRUNCATE, rewriting ALTER TABLE and replaced
          views, which ignore snapshots, cannot come between the parts. So any difference is a wrong answer, in every
          isolation level, in cursors that are read slowly, and inside a transaction that has itself written. But a
          session that holds locks never waits for another one that computes the same result, so these readers do
          not exercise single flight.
unlocked  In REPEATABLE READ, the cached call alone is the first statement (no lock is held, it may wait for another
          session), then the plain query runs in the same snapshot. Only what ignores snapshots can legitimately come
          between: it gives a table a new file. So the file numbers, read before the transaction and after it, tell:
          if they are equal, a difference is a wrong answer; if not, the pair is not counted. A replaced view has no
          file, but its rewrite rule is another version of a row: the rule's xmin is compared too.

A function's answer and the plain one are compared as text, so that 1.0 and 1.00 differ.
Errors that concurrency explains (serialization failure, deadlock, lock timeout, lost connection) end the
transaction and nothing else. Any other error is a failure, and so is a server process that dies of anything but the
test's own kill -9.
"""

import argparse
import os
import random
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
import chaos  # noqa: E402
from crashes import killer, unexplained_crashes  # noqa: E402
from definitions import writer_definitions  # noqa: E402
from hits import counter  # noqa: E402
from private_server import Server, drop_root  # noqa: E402
from readers import (by_cursor, by_other_rows, parallel, prepared_statement, read_committed,  # noqa: E402
                     repeatable_read, serializable, unlocked)
from session import Session  # noqa: E402
from tables import prepare  # noqa: E402
from workers import PATIENCE, Stress  # noqa: E402
from writers import (writer_bulk, writer_late, writer_other_rows, writer_prepared, writer_savepoints,  # noqa: E402
                     writer_short, writer_truncate)

WORKERS = (
    [("reader rc", read_committed)] * 3 + [("reader rr", repeatable_read)] * 3 + [("reader unlocked", unlocked)] * 2 +
    [("reader ser", serializable), ("reader cursor", by_cursor), ("reader prepared", prepared_statement),
     ("reader parallel", parallel)] + [("reader by other rows", by_other_rows)] +
    [("writer short", writer_short)] * 2 +
    [("writer savepoints", writer_savepoints), ("writer late", writer_late), ("writer prepared", writer_prepared),
     ("writer bulk", writer_bulk), ("writer truncate", writer_truncate), ("writer definitions", writer_definitions),
     ("writer other rows", writer_other_rows),
     ("killer", killer), ("counter", counter)])

SELF_TEST_WORKERS = (
    [("reader rc", read_committed)] * 4 + [("reader rr", repeatable_read)] * 2 + [("writer short", writer_short)] * 4)


def run(server, seed, seconds, store, redis):
    """The stress itself. Returns it."""
    stress = Stress(server, seed, seconds, store=store)
    harm = redis.start(stress) if redis else None
    stress.run(WORKERS)
    if harm:
        harm.join(2 * PATIENCE)  # it ends what it has begun
        if harm.is_alive():
            stress.fail("the chaos hangs")
    session = Session(stress, random.Random(seed), "counter")
    stress.hits.sample(session)
    session.close()
    print("compared: " + ", ".join("%s %d" % item for item in sorted(stress.compared.items())))
    print("happened: " + ", ".join("%s %d" % item for item in sorted(stress.events.items())) + ", crashes %d"
          % stress.crashes)
    print("errors that concurrency explains: " + ", ".join("%s %d" % item for item in sorted(stress.expected.items())))
    return stress


def self_test(server, seed, store):
    """Whether writes that are not registered are noticed."""
    # it ends with the first difference, which takes a moment; longer on a machine that is busy
    broken = Stress(server, seed, 300, broken=True, store=store)
    broken.run(SELF_TEST_WORKERS)
    if any("cached:" in failure for failure in broken.failures):
        print("self-test: the broken build was noticed after %d comparisons" % sum(broken.compared.values()))
        return True
    print("FAILED: self-test: writes that were not registered were not noticed. %s" % broken.failures[:1])
    return False


def main():
    parser = argparse.ArgumentParser(description="stress test of exactness")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--long", action="store_true", help="30 minutes")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--self-test", action="store_true", help="only check that a broken build is noticed")
    parser.add_argument("--no-self-test", action="store_true")
    parser.add_argument("--store", choices=["shared", "redis", "tiered"], default="shared")
    parser.add_argument("--redis", choices=chaos.KINDS, default="unix", metavar="KIND")
    parser.add_argument("--keep-current", choices=["off", "auto", "on"], help="by the seed if not given")
    parser.add_argument("--log", help="copy the server's log there at the end")
    options = parser.parse_args()
    seconds = 1800 if options.long else options.seconds
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(1 << 31)
    print("stress: seed %d" % seed, flush=True)

    drop_root()
    redis = None if options.store == "shared" else chaos.Chaos(options.redis, seed)
    # What is not broken shall not time out because the machine is busy.
    store = dict(redis.settings, **{"aggcache.store": options.store, "aggcache.redis_timeout": "500ms",
                                    "aggcache.redis_connect_timeout": "500ms"}) if redis else {}
    keep = options.keep_current or random.Random(seed + 1).choice(["on", "on", "auto", "off"])
    print("stress: keep_current %s" % keep, flush=True)
    # With few stamp slots tags share them, writers are forgotten early, and transactions meet full slots.
    server = Server(dict({"max_connections": 60, "max_prepared_transactions": 20, "aggcache.bulk_threshold": 150,
                          "aggcache.stamp_slots": random.Random(seed).choice([1024, 131072]), "aggcache.memory": "1MB",
                          "aggcache.keep_current": keep,
                          "deadlock_timeout": "200ms", "restart_after_crash": "on", "log_min_messages": "warning",
                          "checkpoint_timeout": "30s", "jit": "off"}, **store), "stress")
    debug = prepare(server)
    passed = failed = 0

    if not options.self_test:
        stress = run(server, seed, seconds, options.store, redis)
        passed += sum(stress.compared.values())
        failed += len(stress.failures) + stress.hits.report()
    if options.self_test or not options.no_self_test:
        if not debug:
            print("self-test: skipped, the installed build has no aggcache.debug_skip_registration (make DEBUG=1)")
        elif self_test(server, seed, options.store):
            passed += 1
        else:
            failed += 1
    if not options.self_test:
        crashes = unexplained_crashes(server, stress.crashes)
        failed += len(crashes)
        for line in crashes:
            print("FAILED: " + line)
    if options.log:
        with open(server.log) as source, open(options.log, "w") as target:
            target.write(source.read())
    server.remove()
    print("stress: %d passed, %d failed" % (passed, failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
