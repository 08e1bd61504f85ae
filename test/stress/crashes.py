"""Crashes: those that the test brings about, and those that nothing explains."""

import os
import signal
import time

from session import Stop


def killer(session):
    """Kills a backend from time to time; the server restarts all sessions and their shared memory."""
    stress = session.stress
    wait = session.random.uniform(12, 20)
    until = time.monotonic() + wait
    while time.monotonic() < until:
        if stress.over():
            raise Stop
        time.sleep(0.2)
    stress.hits.sample(session)
    victims = [row[0] for row in session.run("SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' "
                                             "AND pid <> pg_backend_pid() AND state <> 'idle'")]
    if victims:
        try:
            os.kill(session.random.choice(victims), signal.SIGKILL)
        except ProcessLookupError:
            return  # it has ended by itself meanwhile
        stress.crashes += 1
        time.sleep(0.5)


def unexplained_crashes(server, kills):
    """Lines of the server's log that tell of a process which died otherwise than by our hand."""
    lines = []
    with open(server.log, errors="replace") as file:
        for line in file:
            if "was terminated by signal" in line or "PANIC" in line or "TRAP:" in line:
                if "terminated by signal 9" in line and kills > 0:
                    kills -= 1
                else:
                    lines.append(line.strip())
    return lines
