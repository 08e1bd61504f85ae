"""One server of Redis, or of Valkey with AGGCACHE_TEST_SERVER=valkey: a process, its configuration and its socket."""
import os
import random
import shutil
import signal
import socket
import subprocess
import time

from redis_client import Connection, Error

PATIENCE = 300  # seconds


class Missing(Exception):
    """There is no such server on this machine."""


def wait_for(what, condition, patience=PATIENCE):
    """Returns the first true value of the condition, which may raise what a server that is not ready causes."""
    until = time.monotonic() + patience
    latest = None
    while True:
        try:
            value = condition()
            if value:
                return value
        except (OSError, Error) as error:
            latest = error
        if time.monotonic() > until:
            raise RuntimeError("timed out: %s%s" % (what, " (%s)" % latest if latest else ""))
        time.sleep(0.02)


def program():
    """The server's name and file. Debian has it in the package of the tools too, which brings no service, by another
    name; which of the two it is to be it sees by the name that it is called by."""
    kind = os.environ.get("AGGCACHE_TEST_SERVER") or "redis"
    if kind not in ("redis", "valkey"):
        raise RuntimeError("AGGCACHE_TEST_SERVER is neither redis nor valkey")
    for path in ("/usr/bin/%s-server" % kind, "/usr/bin/%s-check-rdb" % kind):
        if os.access(path, os.X_OK):
            return kind + "-server", path
    raise Missing("there is no %s-server here" % kind)


def version():
    """As "Redis 7.0.15"."""
    name, path = program()
    text = subprocess.run([name, "--version"], executable=path, stdout=subprocess.PIPE, check=True).stdout.decode()
    return text.split()[0] + " " + next(word for word in text.split() if word.startswith("v="))[2:]


def free_port():
    """Below the range that connections get theirs from, so that a node which is restarted finds it free again."""
    while True:
        port = random.SystemRandom().randrange(10000, 32000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                pass


def is_ours(pid, path):
    """Whether the process is one that was started with this configuration file, and runs."""
    try:
        with open("/proc/%d/cmdline" % pid, "rb") as file:
            if path.encode() not in file.read().split(b"\0"):
                return False
        with open("/proc/%d/stat" % pid) as file:
            return file.read().rpartition(") ")[2][0] not in "ZX"
    except OSError:
        return False


class Node:
    """One server or Sentinel. Everything about it follows from the directory and the name."""

    def __init__(self, directory, name, credentials=(), database=0):
        self.name, self.credentials, self.database = name, credentials, database
        self.base = os.path.join(directory, name)
        self.config, self.socket, self.pid_file = self.base + ".conf", self.base + ".sock", self.base + ".pid"
        if len(self.socket) >= 100:
            raise RuntimeError("the path of a socket would be too long: " + self.socket)

    def configure(self, lines):
        os.makedirs(self.base)
        with open(self.config, "w") as file:
            file.write("dir %s\nunixsocket %s\nunixsocketperm 700\nset-proc-title no\nprotected-mode no\n"
                       % (self.base, self.socket) + "".join(line + "\n" for line in lines))

    def remove(self):
        shutil.rmtree(self.base)
        for file in (self.config, self.pid_file, self.base + ".log"):
            if os.path.exists(file):
                os.unlink(file)

    def start(self):
        is_sentinel = self.name.startswith("sentinel")
        name, path = program()
        with open(self.base + ".log", "ab") as log:
            process = subprocess.Popen(
                [name, self.config] + (["--sentinel"] if is_sentinel else []), executable=path,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        with open(self.pid_file, "w") as file:
            file.write("%d\n" % process.pid)

        def answers():
            if process.poll() is not None:
                with open(self.base + ".log", errors="replace") as log:
                    raise RuntimeError("%s did not start: %s" % (self.name, log.read()[-500:]))
            try:
                return self.run("PING")
            except Error as error:
                return str(error).startswith(("LOADING", "MASTERDOWN"))

        wait_for(self.name + " to start", answers)

    def pid(self):
        """0: it does not run."""
        try:
            with open(self.pid_file) as file:
                pid = int(file.read())
        except (OSError, ValueError):
            return 0
        return pid if is_ours(pid, self.config) else 0

    def kill(self, how=signal.SIGKILL):
        pid = self.pid()
        if not pid:
            return
        os.kill(pid, how)
        if how in (signal.SIGKILL, signal.SIGTERM):
            wait_for(self.name + " to end", lambda: not is_ours(pid, self.config))
            try:
                os.waitpid(pid, 0)  # if it is a child of this process
            except ChildProcessError:
                pass

    def connect(self):
        connection = Connection(self.socket, self.credentials)
        if self.database:
            connection.run("SELECT", self.database)
        return connection

    def run(self, *words):
        with self.connect() as connection:
            return connection.run(*words)
