"""What readers do, again and again: the two comparisons in every isolation level, in cursors, prepared statements and
parallel workers."""

from tables import BY_OTHER_ROWS, DEPARTMENTS, expressions
from writers import write


def read_committed(session):
    session.compare_locked("read committed")
    if session.random.random() < 0.05:
        session.run("BEGIN")
        for _ in range(session.random.randint(1, 6)):
            session.compare_locked("read committed, in a block")
            session.pause(0.02)
        session.run("COMMIT")


def repeatable_read(session):
    session.run("BEGIN ISOLATION LEVEL REPEATABLE READ" + session.random.choice(["", ", READ ONLY"]))
    for _ in range(session.random.randint(1, 30)):
        session.compare_locked("repeatable read")
        session.pause(session.random.choice([0.001, 0.01, 0.1]))
    session.run("COMMIT")


def serializable(session):
    session.run("BEGIN ISOLATION LEVEL SERIALIZABLE")
    for _ in range(session.random.randint(1, 5)):
        session.compare_locked("serializable")
    if session.random.random() < 0.2:
        write(session)
        session.compare_locked("serializable, own write")
    session.run("COMMIT")
    session.pause(0.1)


def unlocked(session):
    for _ in range(20):
        session.compare_unlocked("unlocked")


def by_other_rows(session):
    """Results whose tasks the rows of other tables tell, while these and the tasks change."""
    if session.random.random() < 0.5:
        for _ in range(20):
            session.compare_unlocked("by other rows, unlocked", BY_OTHER_ROWS)
        return
    level = session.random.choice(["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"])
    session.run("BEGIN ISOLATION LEVEL " + level)
    for _ in range(session.random.randint(1, 20)):
        session.compare_locked("by other rows", BY_OTHER_ROWS)
        session.pause(0.01)
    session.run("COMMIT")


def by_cursor(session):
    """A cursor that computes row by row while others write: its snapshot grows old."""
    name = session.random.choice(["scalar_by_key", "by_view", "optional", "rows_by_key"])
    cached, plain = expressions(name, ["k"])
    session.run("BEGIN" + session.random.choice(["", " ISOLATION LEVEL REPEATABLE READ"]))
    session.run("DECLARE c NO SCROLL CURSOR FOR SELECT k, %s AS c, %s AS p FROM generate_series(1, %d) k"
                % (cached, plain, DEPARTMENTS))
    while True:
        rows = session.run("FETCH 3 FROM c")
        if not rows:
            break
        for row in rows:
            session.stress.compared["cursor"] += 1
            if row[1] != row[2]:
                session.report("cursor", name, [str(row[0])], row[1], row[2])
        session.pause(0.05)
    session.run("COMMIT")


def prepared_statement(session):
    """Plans that live long, and calls that keep their state from one row to the next."""
    session.run("DEALLOCATE ALL")
    cached, plain = expressions("scalar_by_key", ["$1"])
    rows_cached, rows_plain = expressions("rows_by_key", ["$1"])
    session.run("PREPARE p (int) AS SELECT %s, %s, %s, %s" % (cached, plain, rows_cached, rows_plain))
    for _ in range(40):
        key = session.department()
        row = session.run("EXECUTE p (%d)" % key)[0]
        session.stress.compared["prepared statement"] += 2
        if row[0] != row[1]:
            session.report("prepared statement", "scalar_by_key", [str(key)], row[0], row[1])
        if row[2] != row[3]:
            session.report("prepared statement", "rows_by_key", [str(key)], row[2], row[3])


def parallel(session):
    """Calls in a parallel worker, where the plan allows it, sometimes of a transaction that has written."""
    name = "force_parallel_mode" if session.connection.server_version < 160000 else "debug_parallel_query"
    session.run("SET %s = on" % name)
    session.run("BEGIN" + session.random.choice(["", " ISOLATION LEVEL REPEATABLE READ"]))
    for _ in range(4):
        if session.random.random() < 0.1:
            write(session)
        rows = session.run("SELECT k, cached_scalar_by_key(k)::text, s::text "
                           "FROM (SELECT department_id::int AS k, sum(hours) AS s FROM task GROUP BY 1) x")
        for row in rows:
            session.stress.compared["parallel"] += 1
            if row[1] != row[2]:
                session.report("parallel", "scalar_by_key", [str(row[0])], row[1], row[2])
    session.run(session.random.choice(["COMMIT", "ROLLBACK"]))
