"""Where mutants are built and tested: a copy of the tree, and a server that loads what was built there."""

import os
import re
import shutil
import signal
import subprocess
import tempfile

from mutants import Failed, Skipped

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
PG_CONFIG = os.environ.get("PG_CONFIG", "pg_config")
SERVER_LINES = ["max_prepared_transactions = 10", "log_min_messages = warning", "log_line_prefix = '%m [%p] %q%a '"]
LIBRARY = "pg_aggcache.so"


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
