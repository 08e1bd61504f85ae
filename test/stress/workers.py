"""Sessions that do their steps in threads until the time is over, and what came of it: comparisons, events, errors,
failures."""

import collections
import random
import threading
import time
import traceback

import psycopg2

from hits import Hits
from session import Difference, Session, Stop

# How much longer than its time the test goes on for hits that are missing, in seconds.
PATIENCE = 900
EXPECTED_ERRORS = {
    "40001",  # serialization_failure
    "40P01",  # deadlock_detected
    "55P03",  # lock_not_available
    "57014",  # query_canceled
    "57P01", "57P02", "57P03",  # the server goes down or comes up
}


class Stress:
    def __init__(self, server, seed, seconds, broken=False, store="shared"):
        self.server, self.seed, self.broken, self.store = server, seed, broken, store
        self.until = time.monotonic() + seconds
        self.lock = threading.Lock()
        self.hits = Hits(store)
        self.compared = collections.Counter()
        self.events = collections.Counter()
        self.expected = collections.Counter()
        self.failures = []
        self.crashes = 0
        self.stop = threading.Event()

    def over(self):
        late = time.monotonic() - self.until
        return self.stop.is_set() or late > (0 if self.broken or self.hits.enough() else PATIENCE)

    def count(self, what, by=1):
        with self.lock:
            self.events[what] += by

    def fail(self, message):
        with self.lock:
            self.failures.append(message)
            if len(self.failures) <= 20 and not self.broken:
                print("FAILED: " + message, flush=True)
        if self.broken:
            self.stop.set()

    def worker(self, name, number, step):
        randomness = random.Random("%s %s %s" % (self.seed, name, number))
        session = None
        while not self.over():
            try:
                if session is None:
                    session = Session(self, randomness, name)
                step(session)
            except Difference as difference:
                self.fail("%s: %s" % (name, difference))
                session = session.close()
            except psycopg2.Error as error:
                code = error.pgcode
                # An error that the server has not sent: the connection broke, or could not be made.
                lost = session is None or code is None or session.connection.closed
                if lost or code in EXPECTED_ERRORS:
                    with self.lock:
                        self.expected[code or "lost connection"] += 1
                else:
                    self.fail("%s: unexpected error %s: %s\n  in %s" % (name, code, str(error).strip(), session.latest))
                try:
                    if session is not None and not lost:
                        session.run("ROLLBACK")
                    elif session is not None:
                        session = session.close()
                except psycopg2.Error:
                    session = session.close()
            except Stop:
                break
            except Exception:
                self.fail("%s: %s" % (name, traceback.format_exc()))
                break
        if session is not None:
            session.close()

    def run(self, workers):
        threads = []
        for number, (name, step) in enumerate(workers):
            thread = threading.Thread(target=self.worker, args=(name, number, step), daemon=True)
            thread.start()
            threads.append(thread)
        for thread in threads:
            thread.join(max(1, self.until - time.monotonic()) + 2 * PATIENCE)
            if thread.is_alive():
                self.fail("a session hangs")
                break
