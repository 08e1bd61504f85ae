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
import signal
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.realpath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
PG_CONFIG = os.environ.get("PG_CONFIG", "pg_config")
SERVER_LINES = ["max_prepared_transactions = 10", "log_min_messages = warning", "log_line_prefix = '%m [%p] %q%a '"]
KINDS = ("regress", "isolation", "tap", "unit", "redisclient")
LIBRARY = "pg_aggcache.so"


class Failed(Exception):
    """What is wrong with a mutant."""


class Survives(Failed):
    """Its test does not notice. Says what does, if that was asked."""


class Skipped(Exception):
    """Why one could not be tried here."""


# ---- Mutants --------------------------------------------------------------------------------------------------------


class Mutant:
    def __init__(self, name, where):
        self.name, self.where = name, where
        self.file = self.within = self.kind = self.test = None
        self.old, self.new = [], []

    def set(self, line):
        if line[0] in "-+" and line[1:2] in ("", " "):
            (self.old if line[0] == "-" else self.new).append(line[2:])
            return
        key, _, value = line.partition(": ")
        if key == "file":
            self.file = value
        elif key == "in":
            self.within = value
        elif key == "test" and value.split(" ")[0] in KINDS:
            self.kind, _, self.test = value.partition(" ")
        else:
            raise SystemExit("%s: cannot read \"%s\"" % (self.where, line))

    def apply(self, text):
        """The text of its file with the mutation."""
        start, end = 0, len(text)
        if self.within:
            if text.count(self.within) != 1:
                raise Failed("\"%s\" is there %d times" % (self.within, text.count(self.within)))
            start = text.index(self.within)
            closing = text.find("\n}", start)
            end = closing if closing >= 0 else end
        words = " ".join(self.old).split()
        found = list(re.finditer(r"\s+".join(map(re.escape, words)), text[start:end]))
        if len(found) != 1:
            raise Failed("\"%s\" is there %d times" % (" ".join(words), len(found)))
        # a statement leaves an empty one: it may be all that an "if" or a loop has
        new = "\n".join(self.new) or (";" if words[-1].endswith(";") else "")
        return text[: start + found[0].start()] + new + text[start + found[0].end():]


def read_mutants():
    mutants = []
    for name in sorted(os.listdir(HERE)):
        if not name.endswith(".mutants"):
            continue
        with open(os.path.join(HERE, name), encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                text = line.rstrip("\n")
                if not text.strip() or text.startswith("#"):
                    continue
                if not text.startswith(" "):
                    mutants.append(Mutant(text, "%s:%d" % (name, number)))
                else:
                    mutants[-1].set(text[2:])
    names = [mutant.name for mutant in mutants]
    for mutant in mutants:
        if names.count(mutant.name) > 1 or None in (mutant.file, mutant.kind) or not mutant.old:
            raise SystemExit("%s: \"%s\" is there twice, or incomplete" % (mutant.where, mutant.name))
    return mutants


# ---- What runs a test -----------------------------------------------------------------------------------------------


def run(command, log, seconds, cwd, env=None):
    """Whether it ended well within that time. Its output is appended to the log."""
    with open(log, "ab") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, cwd=cwd,
                                   env=dict(os.environ, **(env or {})), start_new_session=True)
        try:
            return process.wait(timeout=seconds) == 0
        except subprocess.TimeoutExpired:
            # Perl's tests stop their servers then
            for how, patience in ((signal.SIGTERM, 20), (signal.SIGKILL, None)):
                try:
                    os.killpg(process.pid, how)
                    process.wait(timeout=patience)
                except ProcessLookupError:
                    break
                except subprocess.TimeoutExpired:
                    continue
            raise


class Workshop:
    """A copy of the tree that is built, and a server that loads what was built."""

    def __init__(self, library):
        self.directory = tempfile.mkdtemp(prefix="aggcache-mutants.", dir="/tmp")
        self.tree = os.path.join(self.directory, "src")
        self.server = os.path.join(self.directory, "s")
        self.log = os.path.join(self.directory, "log")
        self.library = os.path.realpath(library)
        self.bindir = subprocess.check_output([PG_CONFIG, "--bindir"], text=True).strip()
        pgxs = subprocess.check_output([PG_CONFIG, "--pgxs"], text=True).strip()
        self.pgxs_test = os.path.join(os.path.dirname(os.path.dirname(pgxs)), "test")
        left_out = shutil.ignore_patterns(".git", "asan", "tsan", "tmp_check", "results")
        shutil.copytree(ROOT, self.tree, symlinks=True, ignore=left_out)
        self.before = os.path.join(self.directory, "before.so")
        shutil.copy2(self.library, self.before)
        self.has_server = False

    def close(self):
        self.stop_server()
        self.load(self.before)
        shutil.rmtree(self.directory, ignore_errors=True)

    def path(self, name):
        return os.path.join(self.tree, name)

    def load(self, built):
        """Puts a library where the server finds it. Who has the old one open keeps it."""
        fresh = self.library + ".new"
        shutil.copy2(built, fresh)
        os.replace(fresh, self.library)

    def build(self, target, directory, seconds):
        command = ["make", "-j2", "-C", directory] + target
        if directory == ".":
            command += ["PG_CONFIG=" + PG_CONFIG, "DEBUG=1", "CFLAGS_SL=-fPIC -O0 -U_FORTIFY_SOURCE"]
        else:
            command += ["CXXFLAGS=-Wno-error"]  # what a mutant leaves unused is no error
        if not run(command, self.log, seconds, self.tree):
            raise Failed("does not compile")

    def shell(self, script):
        """Of scripts/lib.sh."""
        command = ["bash", "-c", ". scripts/lib.sh; " + script, "mutants", self.server] + SERVER_LINES
        return run(command, self.log, 120, self.tree, {"BINDIR": self.bindir, "WORK": self.directory})

    def start_server(self):
        """One on a fresh cluster: a test that failed leaves roles and databases behind."""
        self.stop_server()
        first = self.server + ".first"
        if not os.path.exists(first):
            if not self.shell('start_server "$@"'):
                return False
            self.shell('stop_server "$1"')
            os.rename(os.path.join(self.server, "data"), first)
        subprocess.check_call(["cp", "-a", first, os.path.join(self.server, "data")])
        self.has_server = True
        return self.shell('"$BINDIR/pg_ctl" -D "$1/data" -l "$1/server.log" -w -t 100 start')

    def stop_server(self):
        if self.has_server:
            self.shell('"$BINDIR/pg_ctl" -D "$1/data" -m immediate -w stop')
            shutil.rmtree(os.path.join(self.server, "data"), ignore_errors=True)
        self.has_server = False

    def build_for(self, kind, seconds):
        if kind == "unit":
            self.build(["build/plain/unit_tests"], "test/unit", seconds)
        elif kind == "redisclient":
            self.build(["build/plain/client_tests"], "test/redis", seconds)
        else:
            self.build([LIBRARY], ".", seconds)
            self.load(self.path(LIBRARY))

    def passes(self, kind, tests, seconds):
        """Whether the tests pass with what is loaded."""
        size = os.path.getsize(self.log) if os.path.exists(self.log) else 0
        if kind in ("unit", "redisclient"):
            binary = "build/plain/%s_tests" % ("unit" if kind == "unit" else "client")
            directory = self.path("test/unit" if kind == "unit" else "test/redis")
            passed = run([binary, "--gtest_filter=" + tests[0]], self.log, seconds, directory)
            self.raise_skipped(rb"^\[  SKIPPED \] *(\S*)", size)
            return passed
        if kind == "tap":
            return self.passes_tap(tests[0], seconds)
        if not self.start_server():
            return False
        env = {"PGHOST": self.server, "PGUSER": "postgres", "PGISOLATIONTIMEOUT": "60"}
        if kind == "regress":
            command = ["make", "installcheck", "REGRESS=" + " ".join(tests), "ISOLATION=", "TAP_TESTS=",
                       "PG_CONFIG=" + PG_CONFIG]
        else:
            output = os.path.join(self.directory, "isolation")
            os.makedirs(output, exist_ok=True)
            command = [os.path.join(self.pgxs_test, "isolation/pg_isolation_regress"), "--bindir=" + self.bindir,
                       "--inputdir=" + self.path("test/isolation"), "--outputdir=" + output,
                       "--dbname=isolation_regression", "--load-extension=pg_aggcache"] + tests
        return run(command, self.log, seconds, self.tree, env)

    def passes_tap(self, name, seconds):
        directory = os.path.join(self.directory, "tap")
        shutil.rmtree(directory, ignore_errors=True)
        os.makedirs(directory)
        env = {"PERL5LIB": "%s/perl:%s/test/lib" % (self.pgxs_test, self.tree),
               "PG_REGRESS": self.pgxs_test + "/regress/pg_regress", "TESTDIR": directory,
               "TESTDATADIR": directory + "/data", "TESTLOGDIR": directory + "/log", "PGUSER": "postgres",
               "PG_TEST_TIMEOUT_DEFAULT": "60", "PATH": self.bindir + ":" + os.environ["PATH"]}
        size = os.path.getsize(self.log) if os.path.exists(self.log) else 0
        try:
            passed = run(["perl", "test/t/%s.pl" % name], self.log, seconds, self.tree, env)
        except subprocess.TimeoutExpired:
            self.stop_left(directory)
            raise
        self.raise_skipped(rb"^1\.\.0 # SKIP *(.*)", size)
        return passed

    def raise_skipped(self, pattern, size):
        """If what was logged since says that the test has not been run."""
        with open(self.log, "rb") as log:
            log.seek(size)
            skipped = re.search(pattern, log.read(), re.M)
        if skipped:
            raise Skipped("not run: " + skipped.group(1).decode(errors="replace"))

    def stop_left(self, directory):
        """Servers that a killed test has left."""
        for at, _, files in os.walk(directory):
            if "postmaster.pid" in files:
                run([os.path.join(self.bindir, "pg_ctl"), "-D", at, "-m", "immediate", "-w", "stop"], self.log, 60,
                    self.tree)

    def failing(self, kind):
        """The files of regress or isolation that fail with what is loaded."""
        folder, ending = (("sql", ".sql") if kind == "regress" else ("test/isolation/specs", ".spec"))
        names = sorted(name[: -len(ending)] for name in os.listdir(self.path(folder)) if name.endswith(ending))
        size = os.path.getsize(self.log)
        try:
            self.passes(kind, names, 300)
        except subprocess.TimeoutExpired:
            return ["(hangs)"]
        with open(self.log, "rb") as log:
            log.seek(size)
            output = log.read().decode(errors="replace")
        # what pg_regress prints is another thing from version 16 on
        return re.findall(r"^(?:test|not ok \d+ +-) +(\S+) +(?:\.\.\. FAILED|\d+ ms)", output, re.M)


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
