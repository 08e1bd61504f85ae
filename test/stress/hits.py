"""How many calls were hits, and of which tier. The server counts them (aggcache.stats, aggcache.redis); they are summed
over crashes, which reset its counters."""

import threading

LEAST_RATIO = 0.30  # of results in shared memory
# How much of the time Redis can be used depends on the machine, and so does the ratio. So the test goes on until there
# were so many hits in each tier.
LEAST = 500


class Hits:
    def __init__(self, store):
        self.store, self.lock = store, threading.Lock()
        self.calls = self.hits = self.kept = 0
        self.counted = {}
        self.redis_hits = self.redis_counted = 0

    def enough(self):
        """Whether all tiers were used."""
        if self.store == "shared":
            return True
        in_shared_memory = self.hits - self.redis_hits if self.store == "tiered" else LEAST
        return min(self.redis_hits, in_shared_memory) >= LEAST

    def sample(self, session):
        """Adds what the server has counted since the last sample, or since the crash."""
        with self.lock:
            calls = hits = kept = 0
            rows, redis = read_statistics(session)
            now = {}
            for function, counts in rows.items():
                before = self.counted.get(function, (0, 0, 0))
                if before[0] > counts[0]:
                    before = (0, 0, 0)
                calls += counts[0] - before[0]
                hits += counts[1] - before[1]
                kept += counts[2] - before[2]
                now[function] = counts
            self.counted = now
            self.calls += calls
            self.hits += hits
            self.kept += kept
            if redis is not None:
                self.redis_hits += redis - (self.redis_counted if redis >= self.redis_counted else 0)
                self.redis_counted = redis

    def report(self):
        """Prints them. Returns the number of failures."""
        failed = 0
        if self.calls == 0:
            print("FAILED: no calls were counted, so the hit ratio is unknown")
            failed += 1
        else:
            ratio = self.hits / self.calls
            print("hits: %d of %d calls, %.1f %%, %d of them kept current" % (self.hits, self.calls, 100 * ratio,
                                                                              self.kept))
            if self.store == "shared" and ratio < LEAST_RATIO:
                print("FAILED: the hit ratio is below %.0f %%" % (100 * LEAST_RATIO))
                failed += 1
        if self.store != "shared":
            print("hits in Redis: %d" % self.redis_hits)
            if not self.enough():
                print("FAILED: there are less than %d hits in a tier" % LEAST)
                failed += 1
        return failed


def read_statistics(session):
    """function -> (calls, hits, those of them that were kept current), and the hits in Redis, None without it"""
    functions = {row[0]: row[1:] for row in session.run(
        "SELECT function::oid, hits + stale_hits + misses + uncached, hits + stale_hits, kept FROM aggcache.stats")}
    has_redis = session.value("SELECT coalesce(current_setting('aggcache.store', true), 'shared') <> 'shared'")
    return functions, session.value("SELECT hits FROM aggcache.redis") if has_redis else None


def counter(session):
    session.stress.hits.sample(session)
    session.pause(2)
