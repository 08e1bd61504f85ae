"""The item "redis" of bench/run: what the tier costs that docs/redis.md is about. A real redis-server on a Unix socket
in the server's directory; everything by sessions that stay connected to it."""

import atexit
import os
import socket
import statistics
import sys
import threading
import time

HERE = os.path.dirname(os.path.realpath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "test", "lib"))
from redis_servers import Servers  # noqa: E402
import psycopg2  # noqa: E402

KEYS = 200
MANY_ROWS = 200

SCHEMA = r"""
CREATE FUNCTION redis_get(key text) RETURNS int LANGUAGE c VOLATILE STRICT AS '{source}/redis_get', 'redis_get';
-- some twenty thousand bytes, as rows and as one text: labels repeat, hashes do not, so that about half is saved
CREATE FUNCTION many_rows(department int) RETURNS TABLE (id bigint, status text, hours numeric, note text)
  LANGUAGE cached_sql STABLE AS
  $$SELECT id, status, hours, 'department ' || department_id || ', ' || md5(id::text) FROM task
    WHERE department_id = department ORDER BY id LIMIT {many_rows}$$;
CREATE FUNCTION document(department int) RETURNS text LANGUAGE cached_sql STABLE AS
  $$SELECT string_agg('id ' || id || ', status ' || status || ', hours ' || hours || ', hash ' || md5(id::text), E'\n'
                      ORDER BY id)
    FROM (SELECT id, status, hours FROM task WHERE department_id = department ORDER BY id
          LIMIT {many_rows} * 6 / 5) AS t$$;
CREATE FUNCTION scalar_of(operator int) RETURNS numeric LANGUAGE cached_sql STABLE AS
  'SELECT sum(hours) FROM task WHERE operator_id = operator';
CREATE FUNCTION rows_of(operator int) RETURNS TABLE (status text, tasks bigint, hours numeric)
  LANGUAGE cached_sql STABLE AS
  'SELECT status, count(*), sum(hours) FROM task WHERE operator_id = operator GROUP BY status';
-- a millisecond or so; the second argument makes keys
CREATE FUNCTION computed(department int, number int) RETURNS numeric LANGUAGE cached_sql STABLE AS
  'SELECT sum(hours + number) FROM task WHERE department_id = department';
"""


class BlackHole:
    """Listens, and lets connections pile up that nobody answers."""

    def __init__(self, path):
        self.path = path
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(path)
        self.socket.listen(100)

    def close(self):
        self.socket.close()
        os.remove(self.path)


class RedisTier:
    def __init__(self, bench):
        self.bench = bench
        self.redis = Servers.start("unix", os.path.join(bench.server.directory, "redis"))
        self.node = self.redis.nodes["redis"]
        self.values = {}
        source = bench.build("redis_get")
        for name, value in self.redis.settings().items():
            self.configure(name, value)
        bench.run(SCHEMA.format(source=source, many_rows=MANY_ROWS))
        bench.run("CREATE INDEX task_operator_idx ON task (operator_id)")
        bench.run("VACUUM ANALYZE task")

    def configure(self, name, value):
        self.bench.run("ALTER SYSTEM SET %s = '%s'" % (name, value))
        self.bench.reload()

    def options(self, store):
        """What sessions are started with."""
        return {"aggcache.store": store, "bench.redis_socket": self.node.socket,
                "bench.redis_database": str(self.node.database)}

    def enter(self, store):
        """The bench's own session gets them too."""
        for name, value in self.options(store).items():
            self.bench.run("SET %s = '%s'" % (name, value))

    def key_of(self, call):
        """The name of the result of a call, which is the only one in Redis; and the size of its value."""
        self.node.run("FLUSHALL")
        self.enter("redis")
        self.bench.run("SELECT aggcache.invalidate_all()")
        self.bench.run("SELECT * FROM %s" % call)
        self.bench.run("SELECT * FROM %s" % call)
        result, tier = self.bench.run("SELECT result, tier FROM aggcache.last_call()")[0]
        assert (result, tier) == ("hit", "redis"), (result, tier)
        cursor, keys = self.node.run("SCAN", 0, "COUNT", 1000)
        assert cursor == "0" and len(keys) == 1, (cursor, keys)
        return keys[0], self.node.run("STRLEN", keys[0])

    def timed_loop(self, store, statement):
        """Seconds of a statement in the bench's session."""
        self.enter(store)
        return self.bench.timed(statement)

    def cpu_timed_loop(self, store, statement):
        """The same in processor time, for what waits for nobody."""
        self.enter(store)
        return self.bench.cpu_timed(statement)

    # ---- A hit in Redis ---------------------------------------------------------------------------------------------

    def hits(self):
        for compress_from, how in (("2048", "compressed"), ("-1", "not compressed")):
            self.configure("aggcache.redis_compress_from", compress_from)
            if compress_from == "2048":
                # too small to be compressed
                self.compare("scalar", "hit_scalar(3)", "SELECT hit_scalar(3);", "SELECT count(hit_scalar(3 + (g & 0)))"
                             " FROM {series}")
                self.compare("5 rows", "hit_rows(3)", "SELECT * FROM hit_rows(3);",
                             "SELECT count(*) FROM {series}, LATERAL hit_rows(3 + (g & 0)) r")
            self.compare("a text, " + how, "document(3)", "SELECT octet_length(document(3));",
                         "SELECT count(document(3 + (g & 0))) FROM {series}")
            # What any function takes to return so many rows is in it, so there is no bound.
            self.compare("%d rows, %s" % (MANY_ROWS, how), "many_rows(3)", "SELECT count(*) FROM many_rows(3);",
                         "SELECT count(*) FROM {series}, LATERAL many_rows(3 + (g & 0)) r", bound=None)

    def compare(self, what, call, script, loop, bound=0.85):
        rounds, seconds = (5, 1) if self.bench.quick else (9, 3)
        key, size = self.key_of(call)
        what = "%s, %.1f kB in Redis" % (what, size / 1000)
        plot = "redis" if bound else None
        # pgbench would take what follows a colon for a variable; the constant is folded
        get = "SELECT redis_get('%s');" % key.replace(":", "' || chr(58) || '")
        for clients in (1, 2):
            tps = self.bench.in_turns(rounds, {
                name: (lambda s=text: self.bench.pgbench(s, clients, seconds, self.options("redis")))
                for name, text in (("hit", script), ("get", get))})
            self.bench.ratio("4.7", "Redis hit / a bare GET: %s, %d client%s" % (what, clients, "s"[:clients - 1]),
                             tps["hit"], tps["get"], bound, True, plot=plot)
        calls = 2000 if self.bench.quick else 5000
        series = "generate_series(1, %d) g" % calls
        statements = {"empty": "SELECT count(g) FROM " + series, "hit": loop.format(series=series),
                      "get": "SELECT count(redis_get('%s')) FROM %s" % (key, series)}
        times = self.bench.in_turns(5 * rounds, {name: (lambda s=text: self.timed_loop("redis", s))
                                                 for name, text in statements.items()})
        took = {name: [(a - b) / calls * 1e6 for a, b in zip(times[name], times["empty"])] for name in ("get", "hit")}
        self.bench.ratio("4.7", "Redis hit / a bare GET: %s, within one statement" % what, took["get"], took["hit"],
                         bound, True, plot=plot)
        for name, text in (("hit", "Redis hit"), ("get", "a bare GET")):
            self.bench.report("4.7", "%s within one statement: %s" % (text, what), statistics.median(took[name]), "us")

    # ---- Many keys --------------------------------------------------------------------------------------------------

    def many_keys(self):
        rounds, seconds = (5, 1) if self.bench.quick else (9, 3)
        self.node.run("FLUSHALL")
        self.enter("redis")
        for function, columns in (("scalar_of", "result numeric"),
                                  ("rows_of", "status text, tasks bigint, hours numeric")):
            self.bench.run("SELECT count(*) FROM generate_series(1, %d) g, LATERAL %s(g) r" % (KEYS, function))
            ids = "{%s}" % ",".join(str(n) for n in range(1, KEYS + 1))
            mget = "aggcache.mget('%s(int)', '%%s'::int[]) AS r (n bigint, %s)" % (function, columns)
            calls = {"many": mget % ids, "one by mget": mget % "{7}", "one": "%s(7)" % function,
                     "lateral": "generate_series(1, %d) g, LATERAL %s(g) r" % (KEYS, function)}
            # what a client waits, and what the server takes
            for form, what in (("SELECT count(*) FROM %s;", "by pgbench"),
                               ("SELECT * FROM %s;", "by pgbench, with all rows to the client")):
                latency = self.bench.in_turns(rounds, {
                    name: (lambda s=form % text: 1e6 / self.bench.pgbench(s, 1, seconds, self.options("redis")))
                    for name, text in calls.items()})
                self.judge_many("%s, %s" % (function, what), latency, 5 if "count" in form else None)
            loop = "DO $$ BEGIN FOR i IN 1..200 LOOP PERFORM count(*) FROM %s; END LOOP; END $$"
            latency = self.bench.in_turns(2 * rounds, {
                name: (lambda s=loop % text: self.timed_loop("redis", s) / 200 * 1e6) for name, text in calls.items()})
            self.judge_many("%s, in a loop of PL/pgSQL" % function, latency, 5)

    def judge_many(self, what, latency, bound):
        for name, text in (("one", "one key"), ("one by mget", "one key by mget"), ("many", "%d keys by mget" % KEYS),
                           ("lateral", "%d keys by LATERAL" % KEYS)):
            self.bench.report("4.7", "%s: %s" % (what, text), statistics.median(latency[name]), "us")
        self.bench.ratio("4.7", "%d keys by mget / one key (time): %s" % (KEYS, what), latency["many"], latency["one"],
                         bound, False, plot="redis_mget" if bound else None)
        self.bench.ratio("4.7", "%d keys by mget / one key by mget (time): %s" % (KEYS, what), latency["many"],
                         latency["one by mget"], bound, False)
        self.bench.ratio("4.7", "%d keys by LATERAL / one key (time): %s" % (KEYS, what), latency["lateral"],
                         latency["one"], None, False)

    # ---- A hit in shared memory, with Redis behind it ---------------------------------------------------------------

    def tiered(self):
        rounds, seconds = (5, 1) if self.bench.quick else (9, 3)
        for function, script, loop in (
                ("hit_scalar", "SELECT hit_scalar(3);", "SELECT count(hit_scalar(3 + (g & 0))) FROM {series}"),
                ("hit_rows", "SELECT * FROM hit_rows(3);",
                 "SELECT count(*) FROM {series}, LATERAL hit_rows(3 + (g & 0)) r")):
            self.enter("tiered")
            self.bench.run("SELECT * FROM %s(3)" % function)
            self.bench.run("SELECT * FROM %s(3)" % function)
            assert self.bench.run("SELECT tier FROM aggcache.last_call()")[0] == ("shared",)
            what = "hit in shared memory, tiered / shared: %s, %s"
            for clients in (1, 2):
                tps = self.bench.in_turns(rounds, {
                    store: (lambda s=store: self.bench.pgbench(script, clients, seconds, self.options(s)))
                    for store in ("tiered", "shared")})
                self.bench.ratio("4.7", what % (function, "%d client%s" % (clients, "s"[:clients - 1])), tps["tiered"],
                                 tps["shared"], 0.97, True, plot="redis")
            calls = 200000 if self.bench.quick else 1000000
            series = "generate_series(1, %d) g" % calls
            times = self.bench.in_turns(2 * rounds, {
                store: (lambda s=store: self.cpu_timed_loop(s, loop.format(series=series)))
                for store in ("tiered", "shared")})
            self.bench.ratio("4.7", what % (function, "within one statement"), times["shared"], times["tiered"], 0.97,
                             True, plot="redis")

    # ---- Without Redis ----------------------------------------------------------------------------------------------

    def outage(self):
        """Misses that compute, one session; the latency of each call as pgbench has it."""
        rounds, seconds = (7, 2) if self.bench.quick else (15, 4)
        self.node.kill()
        self.enter("redis")
        self.bench.run("SELECT computed(1, 0)")
        # whoever comes next finds the breaker open, but for one probe in a while
        assert self.bench.run("SELECT state FROM aggcache.redis")[0] == ("unavailable",)
        script = "\\set number random(1, 1000000000)\nSELECT computed(7, :number);"
        ranks = {"median": 0.5, "p99": 0.99}
        taken = self.bench.in_turns(rounds, {
            store: (lambda s=store: self.percentiles(script, seconds, self.options(s), ranks.values()))
            for store in ("shared", "tiered", "redis")})
        assert self.bench.run("SELECT state <> 'ready' FROM aggcache.redis")[0][0]
        for index, rank in enumerate(ranks):
            column = {store: [values[index] for values in taken[store]] for store in taken}
            self.bench.report("4.3", "%s of a miss without Redis" % rank, statistics.median(column["shared"]), "us")
            for store in ("tiered", "redis"):
                self.bench.ratio("4.3", "%s of a miss while Redis is down, %s / without Redis" % (rank, store),
                                 column[store], column["shared"], 1.1, False, plot="redis_outage")
        self.node.start()
        self.enter("redis")
        while self.bench.run("SELECT state FROM aggcache.redis")[0] != ("ready",):
            self.bench.run("SELECT computed(1, 0)")

    # ---- A cancel -------------------------------------------------------------------------------------------------

    def cancel(self):
        """From pg_cancel_backend to the error in the session, which waits for a Redis that never answers."""
        hole = BlackHole(os.path.join(self.bench.server.directory, "black_hole"))
        self.configure("aggcache.redis_url", "unix://" + hole.path)
        milliseconds = []
        for _ in range(10 if self.bench.quick else 40):
            session = self.bench.server.connect()
            cursor = session.cursor()
            cursor.execute("SET aggcache.store = 'redis'; SET aggcache.redis_timeout = '5s'; "
                           "SET aggcache.redis_connect_timeout = '5s'")
            ended = []

            def call():
                try:
                    cursor.execute("SELECT hit_scalar(3)")
                except psycopg2.errors.QueryCanceled:
                    ended.append(time.perf_counter())
            thread = threading.Thread(target=call)
            thread.start()
            pid = session.get_backend_pid()
            while not self.bench.run("SELECT count(*) FROM pg_stat_activity WHERE pid = %d AND wait_event_type = "
                                     "'Extension'" % pid)[0][0]:
                pass
            began = time.perf_counter()
            self.bench.run("SELECT pg_cancel_backend(%d)" % pid)
            thread.join()
            milliseconds.append((ended[0] - began) * 1000)
            session.close()
        what = "a cancel while Redis does not answer within its 5 s"
        self.bench.report("4.6", what + ", median", statistics.median(milliseconds), "ms")
        self.bench.report("4.6", what + ", longest", max(milliseconds), "ms", 50)
        self.configure("aggcache.redis_url", self.redis.settings()["aggcache.redis_url"])
        hole.close()

    def percentiles(self, script, seconds, options, ranks):
        """Microseconds that these parts of all transactions did not exceed."""
        prefix = os.path.join(self.bench.server.directory, "latency")
        self.bench.pgbench(script, 1, seconds, options, ["--log", "--log-prefix", prefix])
        latencies = []
        for name in os.listdir(self.bench.server.directory):
            if name.startswith("latency."):
                path = os.path.join(self.bench.server.directory, name)
                with open(path) as file:
                    latencies += [int(line.split()[2]) for line in file]
                os.remove(path)
        latencies.sort()
        # the first calls of a session connect, analyse and plan
        return [latencies[int(rank * (len(latencies) - 1))] for rank in ranks]


def run(bench, parts):
    """Some of the parts of the item, on one Redis, whatever was run before."""
    if bench.redis_tier is None:
        bench.redis_tier = RedisTier(bench)
        atexit.register(bench.redis_tier.redis.stop)
    for part in parts:
        getattr(bench.redis_tier, part)()
    bench.redis_tier.enter("shared")
