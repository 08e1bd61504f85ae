#!/usr/bin/python3
"""Property test: random schemas, queries and writes; every cached function must answer as its plain twin does.

  test/property/property.py [--rounds N | --long] [--seed N] [--case N] [--store STORE] [--about kept]
                            [--no-self-test | --self-test]

Uses the installed build on a private server. A round is one write, or the end of a transaction, and then a comparison
of a sample of the functions in every session: with a new snapshot, with old ones, and inside the writing transaction.
Cached call and plain twin stand in one statement, so they have one snapshot. A cursor that stays open over some rounds
is compared with what the twin answers under its snapshot.

Cases are about settings that change between calls, about functions of extensions, about functions, operators,
aggregates and types that are replaced (helpers.py), about results that writes keep current (kept.py), or about none of
these. In some there are functions with aggcache.max_staleness and aggcache.ttl, and an oracle that knows when each
answer was true (judge.py). With --about kept all cases are about results that writes keep current, and a third of the
answers has to be put together from what writers left.

A run is made of cases: a schema, functions on it, some hundred rounds. Each has its own database and its own
randomness, made of the seed and its number, so --seed with --case repeats one case alone. A case that fails is played
again, made small, and printed as a script with the sessions marked.

STORE is shared, redis or tiered; a Redis server is started for the latter two.

The answers of functions that are not cached are compared too, but the hit ratio counts only calls that could have hit.
"""

import argparse
import os
import random
import sys
import time

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.realpath(__file__))
sys.path.insert(0, HERE)
sys.path.insert(1, os.path.join(os.path.dirname(HERE), "stress"))
from chaos import Chaos  # noqa: E402
from private_server import Server, drop_root  # noqa: E402
import psycopg2  # noqa: E402
import helpers  # noqa: E402
import kinds  # noqa: E402
from one_case import Run  # noqa: E402
from report import report, summary  # noqa: E402

ROUNDS_OF_A_CASE = 200


def available_kinds(server):
    """Makes the database that cases are copied from. Returns the names of the kinds that it has."""
    connection = server.connect()
    connection.cursor().execute("CREATE DATABASE property")
    connection.close()
    connection = psycopg2.connect(host=server.directory, port=server.port, user="postgres", dbname="property")
    connection.autocommit = True
    cursor = connection.cursor()
    for statement in kinds.TEMPLATE:
        cursor.execute(statement)
    names = set(kinds.KINDS) | set(helpers.EXTENSIONS)
    for name, statement in kinds.OPTIONAL.items():
        try:
            cursor.execute(statement)
        except psycopg2.Error as error:
            print("without %s: %s" % (name, str(error).split("\n")[0]))
            names.discard(name)
    cursor.execute("SELECT count(*) FROM pg_settings WHERE name = 'aggcache.debug_skip_registration'")
    debug = cursor.fetchone()[0] == 1
    connection.close()
    return names, debug


def kept_self_test(server, seed, available):
    """That each thousandth delta of kept results is lost, or added twice, must be noticed within 200 rounds."""
    for broken in ("lost", "twice"):
        run = Run(server, seed, available, broken=broken, about="kept")
        if not any(run.case(number, 25) for number in range(8)):
            print("FAILED: self-test: deltas %s were not noticed" % broken)
            return False
        print("self-test: deltas %s were noticed after %d rounds" % (broken, run.rounds + 1))
    return True


def self_test(server, seed, available):
    """Writes that are not recorded must be noticed soon, and made small."""
    run = Run(server, seed, available, broken="registration")
    for number in range(20):
        case = run.case(number, 50)
        if case:
            _, text, small = report(run, server, case, number, 30)
            if small is None:
                print("FAILED: self-test: the difference did not come again")
                return False
            print("self-test: the broken build was noticed after %d rounds, made small: %d statements and %d steps"
                  % (run.rounds + 1, len(small.setup), len(small.steps)))
            return True
    print("FAILED: self-test: writes that were not recorded were not noticed")
    return False


def main():
    parser = argparse.ArgumentParser(description="property test of exactness")
    parser.add_argument("--rounds", type=int, default=20000)
    parser.add_argument("--long", action="store_true", help="1,000,000 rounds")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--case", type=int, help="only this one of the seed's cases")
    parser.add_argument("--most-failures", type=int, default=3, help="stop after so many cases that differ")
    parser.add_argument("--store", choices=["shared", "redis", "tiered"], default="shared")
    parser.add_argument("--keep-current", choices=["off", "auto", "on"], help="by the seed if not given")
    parser.add_argument("--about", choices=["kept"], help="what all cases are about, rather than by the seed")
    parser.add_argument("--verbose", action="store_true")
    parser.add_argument("--self-test", action="store_true", help="only check that a broken build is noticed")
    parser.add_argument("--no-self-test", action="store_true")
    options = parser.parse_args()
    rounds = 1000000 if options.long else options.rounds
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(1 << 31)
    keep = options.keep_current or ("on" if options.about else random.Random(seed).choice(["on", "on", "auto"]))
    print("%s: seed %d" % (options.about or "property", seed))
    print("keep_current %s" % keep, flush=True)

    drop_root()
    store = {}
    if options.store != "shared":
        # The servers alone: nothing happens to them.
        store = dict(Chaos("unix", seed).settings, **{"aggcache.store": options.store})
    server = Server(dict({"max_connections": 30, "max_prepared_transactions": 10, "autovacuum": "off", "jit": "off",
                          "aggcache.memory": "16MB", "aggcache.keep_current": keep, "lock_timeout": "30ms",
                          "statement_timeout": "30s", "log_min_messages": "fatal", "timezone": "UTC",
                          "max_parallel_workers_per_gather": 0, "checkpoint_timeout": "1h", "max_wal_size": "2GB",
                          "synchronous_commit": "off", "full_page_writes": "off", "wal_level": "minimal",
                          "max_wal_senders": 0, "shared_buffers": "64MB"}, **store), "property")
    available, debug = available_kinds(server)
    failed = passed = 0
    run = Run(server, seed, available, about=options.about)
    began = time.monotonic()
    if not options.self_test:
        number = options.case if options.case is not None else 0
        while run.rounds < rounds:
            case = run.case(number, min(ROUNDS_OF_A_CASE, rounds - run.rounds))
            if case:
                failed += 1
                print("FAILED: " + run.failures[-1], flush=True)
                path, text, small = report(run, server, case, number, 120)
                print(text if small else "", "\nthe script is in " + path, flush=True)
                if failed >= options.most_failures:
                    break
            number += 1
            if options.case is not None:
                break
            if number % 25 == 0:
                print("%d rounds, %d comparisons, %.0f s" % (run.rounds, run.compared, time.monotonic() - began),
                      flush=True)
        passed = run.rounds
        failed += summary(run, options.verbose, time.monotonic() - began, options.case is None)
    if options.self_test or not (options.no_self_test or options.case is not None):
        if not debug:
            print("self-test: skipped, the installed build has no aggcache.debug_skip_registration (make DEBUG=1)")
        elif (kept_self_test if options.about else self_test)(server, seed, available):
            passed += 1
        else:
            failed += 1
    server.remove()
    print("%s: %d passed, %d failed" % (options.about or "property", passed, failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
