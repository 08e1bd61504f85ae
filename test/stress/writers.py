"""What writers do, again and again: single statements, savepoints, two-phase commit, bulk writes, TRUNCATE."""

from tables import BY_OTHER_ROWS, CREWS, DEPARTMENTS, OPERATORS, TASKS, fill


def write(session):
    """One statement that writes, of any kind."""
    r = session.random
    kind = r.randrange(9)
    row = "(SELECT id FROM task OFFSET %d LIMIT 1)" % r.randrange(TASKS)
    if kind <= 2:
        session.run("UPDATE task SET hours = %d WHERE id = %s" % (r.randrange(95), row))
    elif kind == 3:
        session.run("UPDATE task SET department_id = %d WHERE id = %s" % (session.department(), row))
    elif kind == 4:
        session.run("INSERT INTO task (department_id, operator_id, status, hours, created_at) "
                    "VALUES (%d, %d, 'open', %d, '2026-01-01')"
                    % (session.department(), r.randint(1, OPERATORS), r.randrange(95)))
    elif kind == 5:
        session.run("DELETE FROM task WHERE id = %s" % row)
    elif kind == 6:
        session.run("UPDATE task SET operator_id = operator_id %% %d + 1, department_id = department_id %% %d + 1 "
                    "WHERE id IN (SELECT id FROM task OFFSET %d LIMIT 5)"
                    % (OPERATORS, DEPARTMENTS, r.randrange(TASKS)))
    elif kind == 7:
        session.run("UPDATE task SET status = CASE status WHEN 'open' THEN 'busy' WHEN 'busy' THEN 'done' "
                    "ELSE 'open' END WHERE id = %s" % row)
    elif r.random() < 0.3:
        session.run("UPDATE department SET region = CASE region WHEN 'north' THEN 'south' ELSE 'north' END "
                    "WHERE id = %d" % session.department())
    elif r.random() < 0.5:
        session.run("MERGE INTO task USING (SELECT id FROM task OFFSET %d LIMIT 3) AS m ON task.id = m.id "
                    "WHEN MATCHED AND hours > 10 THEN DELETE WHEN MATCHED THEN UPDATE SET department_id = %d"
                    % (r.randrange(TASKS), session.department()))
    else:
        session.run("INSERT INTO task (id, department_id, operator_id, status, hours, created_at) "
                    "SELECT id, %d, operator_id, 'busy', hours, created_at FROM task OFFSET %d LIMIT 2 "
                    "ON CONFLICT (id) DO UPDATE SET department_id = excluded.department_id"
                    % (session.department(), r.randrange(TASKS)))


def writer_short(session):
    write(session)
    session.stress.count("short writes")
    session.pause(0.02)
    session.let_readers_read(0.01)


def write_other_rows(session):
    """One statement that changes which tasks are read, rather than a task."""
    r = session.random
    operator, crew = r.randint(1, OPERATORS), "crew %d" % r.randrange(CREWS)
    kind = r.randrange(5)
    if kind <= 2:
        session.run("UPDATE operator SET crew = '%s' WHERE id = %d" % (crew, operator))
    elif kind == 3:
        session.run("UPDATE crew SET shift = %d WHERE name = '%s'" % (r.randint(1, 3), crew))
    elif r.random() < 0.5:
        session.run("DELETE FROM operator WHERE id = %d" % operator)
    else:
        session.run("INSERT INTO operator VALUES (%d, '%s') ON CONFLICT (id) DO UPDATE SET crew = excluded.crew"
                    % (operator, crew))


def writer_other_rows(session):
    """Changes which tasks are read, and tasks, in one transaction or in several, in either order."""
    steps = [write_other_rows, write]
    session.random.shuffle(steps)
    block = session.random.random() < 0.6
    if block:
        session.run("BEGIN" + session.random.choice(["", " ISOLATION LEVEL REPEATABLE READ"]))
    for step in steps:
        step(session)
        session.pause(0.01)
    if block:
        session.run(session.random.choice(["COMMIT", "COMMIT", "COMMIT", "ROLLBACK"]))
    session.stress.count("writes of other rows")
    session.compare_locked("writer, other rows", BY_OTHER_ROWS)
    session.let_readers_read(0.2)


def writer_savepoints(session):
    session.run("BEGIN" + session.random.choice(["", " ISOLATION LEVEL REPEATABLE READ"]))
    for _ in range(session.random.randint(1, 4)):
        if session.random.random() < 0.5:
            session.compare_locked("writer, before")
        session.run("SAVEPOINT a")
        write(session)
        session.compare_locked("writer, own write")
        if session.random.random() < 0.5:
            session.run("ROLLBACK TO a")
            session.compare_locked("writer, rolled back to savepoint")
        else:
            session.run("RELEASE a")
    session.run(session.random.choice(["COMMIT", "COMMIT", "ROLLBACK"]))
    session.compare_locked("writer, afterwards")
    session.pause(0.2)


def writer_late(session):
    """Has a transaction id early and writes late."""
    session.run("BEGIN")
    session.run("SELECT pg_current_xact_id()")
    session.pause(1.5)
    for _ in range(3):
        write(session)
    session.pause(0.5)
    session.run(session.random.choice(["COMMIT", "COMMIT", "COMMIT", "ROLLBACK"]))
    session.stress.count("late transactions")
    session.compare_locked("writer, afterwards")


def writer_prepared(session):
    """Two-phase commit. Some stay prepared over a crash; others finish them."""
    left = [row[0] for row in session.run("SELECT gid FROM pg_prepared_xacts ORDER BY prepared")]
    while len(left) > session.random.choice([0, 0, 1, 2]):
        gid = left.pop(0)
        session.run("%s PREPARED '%s'" % (session.random.choice(["COMMIT", "COMMIT", "ROLLBACK"]), gid))
        session.stress.count("prepared transactions finished")
        session.compare_locked("after the second phase")
    gid = "t%d" % session.random.getrandbits(60)
    session.run("SET lock_timeout = '300ms'")
    session.run("BEGIN")
    for _ in range(session.random.randint(1, 3)):
        write(session)
    session.run("PREPARE TRANSACTION '%s'" % gid)
    session.compare_locked("between the phases")
    session.pause(0.4)


def writer_bulk(session):
    """More keys than aggcache.bulk_threshold, which escalates; sometimes a statement that stays just below."""
    session.pause(3)
    session.run("SET lock_timeout = '1s'")
    session.run("BEGIN")
    session.run("UPDATE task SET hours = hours + 1, department_id = 1 + (department_id + 3) %% %d WHERE id IN "
                "(SELECT id FROM task OFFSET %d LIMIT %d)"
                % (DEPARTMENTS, session.random.randrange(TASKS), session.random.choice([60, 90, 500])))
    session.compare_locked("bulk writer, own write")
    session.run(session.random.choice(["COMMIT", "COMMIT", "ROLLBACK"]))
    session.stress.count("bulk writes")
    size = session.value("SELECT count(*) FROM task")
    if size > 2 * TASKS:
        session.run("DELETE FROM task WHERE id IN (SELECT id FROM task LIMIT %d)" % TASKS)


def writer_truncate(session):
    session.pause(6)
    session.run("SET lock_timeout = '500ms'")
    session.run("BEGIN")
    session.run("TRUNCATE task")
    session.compare_locked("truncating, own write")
    if session.random.random() < 0.8:
        session.run(fill())
    session.pause(0.05)
    session.run(session.random.choice(["COMMIT", "COMMIT", "ROLLBACK"]))
    session.stress.count("truncations")
    session.compare_locked("after truncation")
    if session.value("SELECT count(*) FROM task") < TASKS / 4:
        session.run(fill())
