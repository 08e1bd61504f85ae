#!/usr/bin/python3
"""Real Redis servers for tests: one on a Unix socket, one on TCP with an ACL user, a cluster, a master with Sentinels.

  redis_servers.py start KIND DIRECTORY [LINE...]      starts servers with more lines of configuration; prints the URL
  redis_servers.py stop DIRECTORY                      kills all that runs there
  redis_servers.py kill DIRECTORY NODE                 kill -9 of one, and waits for its end
  redis_servers.py restart DIRECTORY NODE              starts one that was killed
  redis_servers.py command DIRECTORY NODE WORD...      prints the reply; NODE 'all': to each that runs
  redis_servers.py master DIRECTORY                    whom Sentinels take for the master, or a cluster's masters
  redis_servers.py failover DIRECTORY                  kills a master, waits until its replica is one, restarts it
  redis_servers.py reshard DIRECTORY SLOTS             moves that many slots, with the keys in them, to another master
  redis_servers.py version                             what would be started: "Redis 7.0.15"; 3: it is not here

KIND is unix, acl, sentinel or cluster. The nodes are called redis (unix, acl), data1, data2, sentinel1 … sentinel3, and
node1 … node6. Python tests import the module instead.

With AGGCACHE_TEST_SERVER=valkey the servers are Valkey's; the default is redis.

DIRECTORY gets url, password_file (acl) and postgresql.conf, the settings that use the servers. Its path must be short
enough for sockets in it. Servers listen there, and on ports of 127.0.0.1 where the kind needs that. They are known by
the process ids in their files and outlive this program.
"""

import json
import os
import random
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from redis_client import Error  # noqa: E402
from redis_node import Missing, Node, free_port, version, wait_for  # noqa: E402

USER, PASSWORD, ADMIN_PASSWORD = "pgcache", "it's:a/p@ss%20word", "the-tests-own"
MASTER_NAME = "the-master"
# How long a node may say nothing, in milliseconds, before the others take it for dead: one that is only slow is not.
# Who kills one makes the others impatient until it has been replaced.
NEVER = 600000
# What the extension needs, no more.
RIGHTS = "~aggcache:* +@connection +get +mget +set +unlink +scan"


class Servers:
    """What one start made. REQUIRES: the directory exists and is empty; its path is short."""

    def __init__(self, directory, about):
        self.directory, self.kind, self.ports = directory, about["kind"], about["ports"]
        credentials = ("admin", ADMIN_PASSWORD) if self.kind == "acl" else ()
        # of one on a Unix socket another database than the first is used, so that this is tested too
        self.nodes = {name: Node(directory, name, credentials, int(self.kind == "unix")) for name in about["nodes"]}

    @classmethod
    def open(cls, directory):
        with open(os.path.join(directory, "servers.json")) as file:
            about = json.load(file)
        return KINDS[about["kind"]](directory, about)

    @classmethod
    def start(cls, kind, directory, lines=()):
        """Starts servers of the kind; each gets the lines besides what the kind needs."""
        os.makedirs(directory, exist_ok=True)
        made = KINDS[kind]
        for tries in range(1, 6):
            about = {"kind": kind, "nodes": made.NAMES, "ports": {name: free_port() for name in made.NAMES}}
            with open(os.path.join(directory, "servers.json"), "w") as file:
                json.dump(about, file)
            servers = made(directory, about)
            for name, node in servers.nodes.items():
                node.configure(servers.configuration(name) + ([] if name.startswith("sentinel") else list(lines)))
            try:
                servers.set_up()
                break
            except BaseException as error:
                servers.stop()
                # a port that was free may have become another process's
                if tries == 5 or "Address already in use" not in str(error):
                    raise
                for node in servers.nodes.values():
                    node.remove()
        if kind == "acl":
            servers.write("password_file", PASSWORD)
        servers.write("url", servers.url())
        servers.write("postgresql.conf", "\n".join("%s = '%s'" % setting for setting in servers.settings().items()))
        return servers

    def write(self, name, text):
        path = os.path.join(self.directory, name)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(text + "\n")

    def settings(self):
        """The settings of a PostgreSQL server that uses these."""
        settings = {"aggcache.redis_url": self.url()}
        if self.kind == "acl":
            settings["aggcache.redis_password_file"] = os.path.join(self.directory, "password_file")
        return settings

    def stop(self):
        for node in self.nodes.values():
            node.kill()

    def running(self):
        return [node for node in self.nodes.values() if node.pid()]

    # What kinds differ in; the simplest is one server on a Unix socket only.

    NAMES = ["redis"]
    PLAIN = ['save ""', "appendonly no", "repl-diskless-sync-delay 0"]

    def configuration(self, name):
        return self.PLAIN + ["port 0"]

    def set_up(self):
        for node in self.nodes.values():
            node.start()

    def url(self):
        node = self.nodes["redis"]
        return "unix://%s?db=%d" % (node.socket, node.database)

    def masters(self):
        return list(self.nodes.values())

    def address(self, name):
        return "127.0.0.1:%d" % self.ports[name]


class WithUser(Servers):
    """On TCP, with a user who may do what the extension needs, and no default user."""

    def configuration(self, name):
        return self.PLAIN + ["bind 127.0.0.1", "port %d" % self.ports[name], "user default off",
                             'user %s on ">%s" %s' % (USER, PASSWORD, RIGHTS),
                             'user admin on ">%s" ~* &* +@all' % ADMIN_PASSWORD]

    def url(self):
        return "redis://%s:@%s/0" % (USER, self.address("redis"))


class WithSentinels(Servers):
    """A master, its replica and three Sentinels, two of whom decide."""

    NAMES = ["data1", "data2", "sentinel1", "sentinel2", "sentinel3"]
    SOON = 500

    def configuration(self, name):
        port = ["bind 127.0.0.1", "port %d" % self.ports[name]]
        if name == "data2":
            return self.PLAIN + port + ["replicaof 127.0.0.1 %d" % self.ports["data1"]]
        if name == "data1":
            return self.PLAIN + port
        return port + ["sentinel monitor %s 127.0.0.1 %d 2" % (MASTER_NAME, self.ports["data1"])] + [
            "sentinel %s %s %s" % (what, MASTER_NAME, number) for what, number in
            (("down-after-milliseconds", NEVER), ("failover-timeout", 3000), ("parallel-syncs", 1))]

    def set_up(self):
        self.nodes["data1"].start()
        self.nodes["data2"].start()
        wait_for("replication", lambda: self.is_replica("data2"))
        for sentinel in self.sentinels():
            sentinel.start()
            # they notice changes of roles in seconds instead of in tens of seconds
            sentinel.run("SENTINEL", "DEBUG", "INFO-PERIOD", 500, "PUBLISH-PERIOD", 500, "PING-PERIOD", 200)
        wait_for("the Sentinels to know each other", self.is_settled)

    def sentinels(self):
        return [node for name, node in self.nodes.items() if name.startswith("sentinel")]

    def is_replica(self, name):
        role = self.nodes[name].run("ROLE")
        return role[0] == "slave" and role[3] == "connected"

    def is_settled(self):
        """Whether every Sentinel knows the others and a replica that is well, and all name one master."""
        for sentinel in self.sentinels():
            state = sentinel.run("SENTINEL", "MASTER", MASTER_NAME)
            state = dict(zip(state[::2], state[1::2]))
            if state["num-other-sentinels"] != "2" or state["flags"] != "master":
                return False
            replicas = [dict(zip(r[::2], r[1::2])) for r in sentinel.run("SENTINEL", "REPLICAS", MASTER_NAME)]
            if not any(r["flags"] == "slave" and r["master-link-status"] == "ok" for r in replicas):
                return False
        return self.masters()

    def masters(self):
        """The node that all Sentinels name, if it says so itself; else none."""
        ports = {int(sentinel.run("SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER_NAME)[1])
                 for sentinel in self.sentinels()}
        nodes = [self.nodes[name] for name in ("data1", "data2") if ports == {self.ports[name]}]
        return [node for node in nodes if node.pid() and node.run("ROLE")[0] == "master"]

    def be_patient(self, milliseconds):
        for sentinel in self.sentinels():
            sentinel.run("SENTINEL", "SET", MASTER_NAME, "down-after-milliseconds", milliseconds)

    def failover(self, _=None):
        """Returns the name of the node that was the master."""
        old = wait_for("a master", self.masters)[0]
        wait_for("a replica to take over", self.is_settled)
        old.kill()
        self.be_patient(self.SOON)
        wait_for("a failover", lambda: self.masters() and self.masters() != [old])
        self.be_patient(NEVER)
        old.start()
        # Sentinels would tell it after a while
        old.run("REPLICAOF", "127.0.0.1", self.ports[self.masters()[0].name])
        wait_for("the old master to follow", lambda: self.is_replica(old.name) and self.is_settled())
        return old.name

    def url(self):
        return "redis-sentinel://%s/%s/0" % (",".join(self.address(s.name) for s in self.sentinels()), MASTER_NAME)


class Cluster(Servers):
    """Three masters and three replicas."""

    NAMES = ["node%d" % number for number in range(1, 7)]
    SLOTS = 16384
    SOON = 1500

    def configuration(self, name):
        return self.PLAIN + ["bind 127.0.0.1", "port %d" % self.ports[name], "cluster-enabled yes",
                             "cluster-port %d" % self.bus(name), "cluster-node-timeout %d" % NEVER,
                             "cluster-replica-validity-factor 0", "cluster-migration-barrier 5"]

    def bus(self, name):
        """The port that nodes talk to each other by. Once set up, only the node's configuration file has it."""
        return self.ports.setdefault("bus of " + name, free_port())

    def set_up(self):
        super().set_up()
        names = list(self.nodes)
        for index in range(3):
            first, last = self.SLOTS * index // 3, self.SLOTS * (index + 1) // 3 - 1
            self.nodes[names[index]].run("CLUSTER", "ADDSLOTSRANGE", first, last)
            self.nodes[names[index]].run("CLUSTER", "SET-CONFIG-EPOCH", index + 1)
        # each meets each: from others they would hear of it only after a while
        for index, name in enumerate(names):
            for other in names[:index]:
                self.nodes[name].run("CLUSTER", "MEET", "127.0.0.1", self.ports[other], self.bus(other))
        ids = [node.run("CLUSTER", "MYID") for node in self.nodes.values()]
        for index in range(3):
            wait_for("the nodes to meet", lambda: all(
                any(known == wanted for known, *_ in self.view(node)) for node in self.nodes.values()
                for wanted in ids))
            self.nodes[names[index + 3]].run("CLUSTER", "REPLICATE", ids[index])
        wait_for("the cluster to be ready", self.is_settled)

    @staticmethod
    def view(node):
        """The nodes as one of them sees them: id, port, flags, master's id, ranges of slots."""
        for line in node.run("CLUSTER", "NODES").splitlines():
            words = line.split()
            yield words[0], int(words[1].split("@")[0].rsplit(":", 1)[1]), words[2].split(","), words[3], words[8:]

    def is_settled(self):
        """Whether all nodes run, agree on who serves all slots, and each master has a replica that is in step."""
        if len(self.running()) < len(self.nodes):
            return False
        owners, epochs = set(), set()
        for node in self.nodes.values():
            about = dict(line.partition(":")[::2] for line in node.run("CLUSTER", "INFO").splitlines())
            if about["cluster_state"] != "ok":
                return False
            epochs.add(about["cluster_current_epoch"])
            nodes = list(self.view(node))
            if any("fail" in flag or flag in ("handshake", "noaddr") for _, _, flags, _, _ in nodes for flag in flags):
                return False
            owners.add(tuple(sorted((i, *(s for s in slots if s[0] != "[")) for i, _, _, _, slots in nodes if slots)))
            role = node.run("ROLE")
            if role[0] == "slave" and role[3] != "connected" or role[0] == "master" and not role[2]:
                return False
        # who takes slots then is the latest for all
        return len(owners) == len(epochs) == 1

    def masters(self):
        """Those that say so themselves and have slots."""
        return [node for node in self.running()
                if any("myself" in flags and "master" in flags and slots
                       for _, _, flags, _, slots in self.view(node))]

    def failover(self, chooser=random):
        """kill -9 of a master; returns its name when its replica serves its slots and it has become a replica."""
        wait_for("the cluster to be ready", self.is_settled)
        old = chooser.choice(self.masters())
        old.kill()
        self.be_patient(self.SOON)
        wait_for("a failover", lambda: len(self.masters()) == 3 and all(
            "cluster_state:ok" in node.run("CLUSTER", "INFO") for node in self.running()))
        old.start()
        wait_for("the old master to follow", self.is_settled)
        self.be_patient(NEVER)
        while not self.is_settled():  # somebody was too slow in the last moment
            self.be_patient(self.SOON)
            wait_for("the cluster to be ready", self.is_settled)
            self.be_patient(NEVER)
        return old.name

    def be_patient(self, milliseconds):
        for node in self.running():
            node.run("CONFIG", "SET", "cluster-node-timeout", milliseconds)

    def reshard(self, count, chooser=random):
        """Moves `count` slots from one master to another, those with keys first. Returns how many keys moved."""
        wait_for("the cluster to be ready", self.is_settled)
        source, target = chooser.sample(self.masters(), 2)
        ids = {node: node.run("CLUSTER", "MYID") for node in (source, target)}
        with source.connect() as giver, target.connect() as taker:
            slots = []
            for _ in range(2 * count):
                key = giver.run("RANDOMKEY")
                slot = giver.run("CLUSTER", "KEYSLOT", key) if key is not None else None
                if slot is not None and slot not in slots and len(slots) < count:
                    slots.append(slot)
            ranges = next(s for _, _, flags, _, s in self.view(source) if "myself" in flags)
            owned = [slot for first, _, last in (r.partition("-") for r in ranges if r[0] != "[")
                     for slot in range(int(first), int(last or first) + 1) if slot not in slots]
            slots += chooser.sample(owned, min(len(owned), count - len(slots)))
            return sum(self.move_slot(slot, giver, taker, ids[source], ids[target], target) for slot in slots)

    def move_slot(self, slot, giver, taker, giver_id, taker_id, target):
        moved = 0
        taker.run("CLUSTER", "SETSLOT", slot, "IMPORTING", giver_id)
        giver.run("CLUSTER", "SETSLOT", slot, "MIGRATING", taker_id)
        while True:
            keys = giver.run("CLUSTER", "GETKEYSINSLOT", slot, 100)
            if not keys:
                break
            for key in keys:
                giver.run("MIGRATE", "127.0.0.1", self.ports[target.name], key, 0, NEVER, "REPLACE")
            moved += len(keys)
        for connection in (taker, giver):
            connection.run("CLUSTER", "SETSLOT", slot, "NODE", taker_id)
        return moved

    def url(self):
        return "redis-cluster://" + ",".join(self.address(name) for name in list(self.nodes)[:3])


KINDS = {"unix": Servers, "acl": WithUser, "sentinel": WithSentinels, "cluster": Cluster}


def show(reply):
    if isinstance(reply, list):
        return "\n".join(show(element) for element in reply)
    return "" if reply is None else str(reply)


def main(words):
    try:
        action, rest = words[0], words[1:]
        if action == "version":
            print(version())
            return 0
        if action == "start":
            print(Servers.start(rest[0], os.path.abspath(rest[1]), rest[2:]).url())
            return 0
        servers = Servers.open(os.path.abspath(rest[0]))
        if action == "stop":
            servers.stop()
        elif action == "kill":
            servers.nodes[rest[1]].kill()
        elif action == "restart":
            servers.nodes[rest[1]].start()
        elif action == "command":
            for node in servers.running() if rest[1] == "all" else [servers.nodes[rest[1]]]:
                print(show(node.run(*rest[2:])))
        elif action == "master":
            print("\n".join(node.name for node in servers.masters()))
        elif action == "failover":
            print(servers.failover())
        elif action == "reshard":
            print(servers.reshard(int(rest[1])))
        else:
            raise IndexError
    except IndexError:
        print(__doc__.strip(), file=sys.stderr)
        return 2
    except Error as error:
        print("(error) %s" % error)
        return 1
    except Missing as error:
        print(error, file=sys.stderr)
        return 3
    except (RuntimeError, OSError, KeyError) as error:
        print("redis_servers.py: %s: %s" % (type(error).__name__, error), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
