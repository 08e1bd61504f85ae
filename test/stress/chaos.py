"""What happens to Redis while the stress test runs: it is flushed, full, killed, resharded, fails over, or is reached
through a proxy that breaks connections.

None of it may be seen in an answer, nor as an error. What goes wrong with the chaos itself is a failure too, so that it
cannot stop quietly.
"""

import atexit
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading

LIBRARY = os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib")
sys.path.insert(0, LIBRARY)
from redis_servers import Servers  # noqa: E402

KINDS = ["unix", "acl", "cluster", "sentinel", "proxy"]


class Chaos:
    def __init__(self, kind, seed):
        """Starts the servers. They go with this process."""
        self.kind, self.random = kind, random.Random("chaos %s" % seed)
        # Unix socket paths are short, TMPDIR may not be.
        self.directory = tempfile.mkdtemp(prefix="aggcache-redis.", dir="/tmp")
        self.bag = []
        self.servers = self.proxy = None
        atexit.register(self.remove)
        self.servers = Servers.start("unix" if kind == "proxy" else kind, self.directory)
        self.settings = dict(self.servers.settings())
        if kind == "proxy":
            listen = os.path.join(self.directory, "proxy")
            self.proxy = subprocess.Popen(
                [os.path.join(LIBRARY, "fault_proxy.py"), listen, self.servers.nodes["redis"].socket],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            self.answer()
            self.settings["aggcache.redis_url"] = "unix://%s?db=1" % listen

    def remove(self):
        if self.proxy:
            self.proxy.stdin.close()
            self.proxy.wait()
            self.proxy = None
        if self.servers:
            self.servers.stop()
            self.servers = None
        shutil.rmtree(self.directory, ignore_errors=True)

    def start(self, stress):
        """Harms Redis in a thread of its own until the stress is over; returns the thread."""
        thread = threading.Thread(target=self.run, args=(stress,), daemon=True)
        thread.start()
        return thread

    def run(self, stress):
        step = {"unix": self.harm_one, "acl": self.harm_one, "cluster": self.harm_cluster,
                "sentinel": self.harm_master, "proxy": self.harm_connections}[self.kind]
        try:
            while not stress.over():
                # calm in between, or the breaker would never be closed for long
                stress.stop.wait(self.random.uniform(0.3, 1.5))
                step(stress)
            if self.proxy:
                for item in self.command("count").split()[1:]:
                    what, times = item.split("=")
                    stress.count("proxy: " + what, int(times))
        except Exception as error:
            stress.fail("chaos: %s: %s" % (type(error).__name__, error))

    def draw(self, *choices):
        """One of them by chance, none again before each was drawn: a short run has seen all."""
        if not self.bag:
            self.bag = list(choices)
            self.random.shuffle(self.bag)
        return self.bag.pop()

    def harm_one(self, stress):
        node = self.servers.nodes["redis"]
        what = self.draw("flushed", "killed", "full", "evicting")
        stress.count("Redis " + what)
        if what == "flushed":
            node.run("FLUSHALL")
        elif what == "killed":
            node.kill()
            stress.stop.wait(self.random.uniform(0, 1))
            node.start()
        else:
            used = next(line for line in node.run("INFO", "memory").splitlines() if line.startswith("used_memory:"))
            node.run("CONFIG", "SET", "maxmemory-policy", "noeviction" if what == "full" else "allkeys-random")
            node.run("CONFIG", "SET", "maxmemory", max(1, int(used.partition(":")[2]) - 20000))
            stress.stop.wait(self.random.uniform(0.5, 1.5))
            node.run("CONFIG", "SET", "maxmemory", 0)

    def harm_cluster(self, stress):
        if self.draw("kill", "reshard", "reshard") == "kill":
            self.servers.failover(self.random)
            stress.count("masters killed")
        else:
            stress.count("slots moved", 100)
            stress.count("keys moved", self.servers.reshard(100, self.random))

    def harm_master(self, stress):
        self.servers.failover()
        stress.count("masters killed")

    def harm_connections(self, stress):
        mode = self.draw("random", "random", "random", "blackhole", "refuse", "drop", "delay 50", "lose", "half",
                         "garble 1")
        if mode == "random":
            mode = "random %d 10" % self.random.getrandbits(30)
        self.command(mode)
        stress.stop.wait(self.random.uniform(0.2, 2 if mode.startswith("random") else 0.5))
        self.command("pass")

    def command(self, line):
        self.proxy.stdin.write(line + "\n")
        self.proxy.stdin.flush()
        return self.answer()

    def answer(self):
        line = self.proxy.stdout.readline()
        if not line.startswith("ok"):
            raise RuntimeError("the fault proxy says %r" % line)
        return line
