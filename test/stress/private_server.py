"""A PostgreSQL server of one's own for a test or benchmark: temporary directory, Unix socket, unprivileged user."""

import atexit
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
import time

import psycopg2


def drop_root():
    """Goes on as an unprivileged user: the server refuses to run as root."""
    if os.geteuid() != 0:
        return
    for name in ("postgres", "nobody"):
        try:
            user = pwd.getpwnam(name)
            break
        except KeyError:
            continue
    else:
        sys.exit("no unprivileged user to run the server as")
    os.setgroups([])
    os.setgid(user.pw_gid)
    os.setuid(user.pw_uid)
    os.environ["HOME"] = "/tmp"
    os.chdir("/")


class Server:
    def __init__(self, settings, name="aggcache"):
        """Starts a server with the given settings, a dict. It goes with this process."""
        config = os.environ.get("PG_CONFIG", "pg_config")
        self.bindir = subprocess.check_output([config, "--bindir"], text=True).strip()
        # Unix socket paths are short, TMPDIR may not be.
        self.directory = tempfile.mkdtemp(prefix=name + ".", dir=os.environ.get("TMPDIR", "/tmp"))
        self.data = os.path.join(self.directory, "data")
        self.log = os.path.join(self.directory, "log")
        self.port = 5432
        atexit.register(self.remove)
        subprocess.check_call([self.program("initdb"), "-D", self.data, "-U", "postgres", "-A", "trust", "-N", "-E",
                               "UTF8",
                               "--locale=C"], stdout=subprocess.DEVNULL)
        settings = dict({"listen_addresses": "", "unix_socket_directories": self.directory, "port": self.port,
                         "shared_preload_libraries": "pg_aggcache", "fsync": "off", "autovacuum_naptime": "5s"},
                        **settings)
        with open(os.path.join(self.data, "postgresql.conf"), "a") as file:
            for key, value in settings.items():
                file.write("%s = '%s'\n" % (key, value))
        self.start()

    def program(self, name):
        return os.path.join(self.bindir, name)

    def start(self):
        subprocess.check_call([self.program("pg_ctl"), "-D", self.data, "-l", self.log, "-w", "-s", "start"])

    def stop(self, mode="fast"):
        subprocess.call([self.program("pg_ctl"), "-D", self.data, "-w", "-s", "-m", mode, "stop"],
                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def remove(self):
        if os.path.isdir(self.directory):
            self.stop("immediate")
            shutil.rmtree(self.directory, ignore_errors=True)

    def connect(self, patience=60, **options):
        """Connects; waits for a server that is recovering from a crash."""
        until = time.monotonic() + patience
        while True:
            try:
                connection = psycopg2.connect(**dict({"host": self.directory, "port": self.port, "user": "postgres",
                                                      "dbname": "postgres"}, **options))
                connection.autocommit = True
                return connection
            except psycopg2.OperationalError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.1)
