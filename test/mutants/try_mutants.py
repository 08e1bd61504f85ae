#!/usr/bin/python3
"""Mutants: each takes one thing out of the source that keeps answers right, and a test has to notice.

  test/mutants/try_mutants.py [--long | --count N] [--seconds N] [--seed N] [--only REGEX] [--find] [--library FILE]

  --long      all of them (default: --count 5 at random, and none that would not end within --seconds 90)
  --seed      repeats a choice
  --only      those whose names match
  --find      tries all of regress and isolation on those that survive their own test, and prints what fails: for those
              who write a new one
  --library   what the server loads, or a link there leads to: it is replaced, and put back at the end, so nothing else
              may use it meanwhile (default: the installed library)

A mutant is a paragraph in a file *.mutants here:

  name
    file: src/pg/call/handler.cc
    in: bool FindOwn(              (may be left out)
    test: isolation call_messages
    - AcceptInvalidationMessages();
    + (what stands there instead; may be left out)

The text after - has to be found exactly once, in the file or, with "in", between that text, which has to be there once
too, and the next line that begins with a closing brace. How it is broken into lines does not matter. Lines of - and of
+ can be several. What does not match fails, so that no mutant rots. "test" is what must fail with it, and pass without:

  regress NAME, isolation NAME, tap NAME        of sql, test/isolation/specs, test/t
  unit FILTER, redisclient FILTER               of test/unit and test/redis, a filter of GoogleTest

Works in a copy of the tree, with a server of its own. Prints one line for each, and "mutants: N passed, M failed".
"""

import argparse
import os
import random
import re
import shutil
import subprocess
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from mutants import KINDS, Failed, Skipped, Survives, read_mutants  # noqa: E402
from workshop import LIBRARY, PG_CONFIG, ROOT, Workshop  # noqa: E402


class Run:
    def __init__(self, options):
        self.options = options
        self.shop = None
        self.passed = self.failed = self.skipped = 0
        self.without = {}  # (kind, test) -> seconds that it takes without a mutant, or what is wrong with it
        self.end = None if options.long or options.only else time.monotonic() + options.seconds

    def left(self, wanted):
        return wanted if self.end is None else min(wanted, self.end - time.monotonic())

    def say(self, what, mutant, began, remark=""):
        print("%-9s %-44s %4d s%s" % (what, mutant.name, time.monotonic() - began, remark and "  " + remark),
              flush=True)

    def check_without(self, mutant):
        """The test must pass without the mutant; that is asked once for each test."""
        test = (mutant.kind, mutant.test)
        if test not in self.without:
            try:
                self.shop.build_for(mutant.kind, self.left(600))
                began = time.monotonic()
                passes = self.shop.passes(mutant.kind, [mutant.test], self.left(300))
                self.without[test] = time.monotonic() - began if passes else Failed("its test fails without it")
            except subprocess.TimeoutExpired:
                if self.end is not None:
                    raise Skipped("out of time")
                self.without[test] = Failed("its test hangs without it")
            except Skipped as reason:
                self.without[test] = reason
        if isinstance(self.without[test], Exception):
            raise self.without[test]
        return self.without[test]

    def kill(self, mutant):
        """Raises if it cannot be tried, or survives. Returns a remark."""
        shop = self.shop
        path = shop.path(mutant.file)
        with open(path, encoding="utf-8") as file:
            before = file.read()
        mutated = mutant.apply(before)
        takes = self.check_without(mutant)
        kept = self.keep(path)
        try:
            with open(path, "w", encoding="utf-8") as file:
                file.write(mutated)
            patience = 8 * takes + 60
            try:
                shop.build_for(mutant.kind, self.left(600))
                survives = shop.passes(mutant.kind, [mutant.test], self.left(patience))
            except subprocess.TimeoutExpired:
                if self.left(patience) < patience:
                    raise Skipped("out of time")
                survives = False
            if survives:
                raise Survives(self.find() if self.options.find else "")
            return "%s %s" % (mutant.kind, mutant.test)
        finally:
            for name, copy in kept.items():
                shutil.copy2(copy, name)

    def find(self):
        """What else notices, for the one that is applied."""
        self.shop.build_for("regress", 600)
        found = ["%s %s" % (kind, name) for kind in KINDS[:2] for name in self.shop.failing(kind)]
        return "found by " + ", ".join(found) if found else "found by none of regress and isolation"

    def keep(self, path):
        """Copies of the source and of all that is built of it. With their times, so that nothing is built again."""
        kept = {}
        stem = os.path.splitext(os.path.basename(path))[0]
        for at, _, files in os.walk(self.shop.tree):
            for name in files:
                whole = os.path.join(at, name)
                if whole == path or name in (stem + ".o", LIBRARY, "unit_tests", "client_tests"):
                    kept[whole] = os.path.join(self.shop.directory, "kept%d" % len(kept))
                    shutil.copy2(whole, kept[whole])
        return kept

    def attempt(self, mutant):
        began = time.monotonic()
        try:
            remark = self.kill(mutant)
            self.passed += 1
            self.say("killed", mutant, began, remark)
        except Skipped as reason:
            self.skipped += 1
            self.say("skipped", mutant, began, str(reason))
        except Failed as problem:
            self.failed += 1
            remark = "%s: %s %s" % (mutant.where, mutant.kind, mutant.test)
            self.say("SURVIVED" if isinstance(problem, Survives) else "FAILED", mutant, began,
                     remark + (": %s" % problem if str(problem) else ""))
            if not isinstance(problem, Survives):
                self.show_log()

    def show_log(self):
        if not os.path.exists(self.shop.log):
            return
        with open(self.shop.log, "rb") as log:
            log.seek(max(0, os.path.getsize(self.shop.log) - 2000))
            for line in log.read().decode(errors="replace").strip().split("\n")[-15:]:
                print("    " + line[:200])

    def check_texts(self, mutants):
        """Also those that are not tried must match."""
        for mutant in mutants:
            try:
                with open(os.path.join(ROOT, mutant.file), encoding="utf-8") as file:
                    mutant.apply(file.read())
            except (Failed, OSError) as problem:
                self.failed += 1
                self.say("FAILED", mutant, time.monotonic(), "%s: %s" % (mutant.where, problem))

    def all(self, mutants):
        self.shop = Workshop(self.options.library)
        try:
            for mutant in mutants:
                if self.left(1) <= 0:
                    self.skipped += 1
                else:
                    self.attempt(mutant)
        finally:
            self.shop.close()


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--long", action="store_true")
    parser.add_argument("--count", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=90)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 31))
    parser.add_argument("--only")
    parser.add_argument("--find", action="store_true")
    parser.add_argument("--library")
    options = parser.parse_args()
    if options.library is None:
        pkglib = subprocess.check_output([PG_CONFIG, "--pkglibdir"], text=True).strip()
        options.library = os.path.join(pkglib, LIBRARY)
    mutants = read_mutants()
    one = Run(options)
    one.check_texts(mutants)
    chosen = [mutant for mutant in mutants if not options.only or re.search(options.only, mutant.name)]
    if not (options.long or options.only):
        print("mutants: seed %d" % options.seed, flush=True)
        chosen = random.Random(options.seed).sample(chosen, min(options.count, len(chosen)))
    if one.failed == 0:
        one.all(chosen)
    line = "mutants: %d passed, %d failed" % (one.passed, one.failed)
    print(line + (", %d skipped" % one.skipped if one.skipped else ""))
    sys.exit(1 if one.failed or not chosen else 0)


main()
