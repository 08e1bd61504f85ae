"""The writer of definitions: DDL on what the others read and write."""

from tables import FUNCTIONS, create
from writers import write


def writer_definitions(session):
    """DDL, one of each kind in turn by chance."""
    r = session.random
    session.pause(1.5)
    session.run("SET lock_timeout = '500ms'")
    session.run("BEGIN")
    kind = r.randrange(9)
    if kind == 0:
        session.run("ALTER TABLE task DROP COLUMN IF EXISTS note")
        session.run("ALTER TABLE task ADD COLUMN note text DEFAULT 'x'")
    elif kind <= 2:
        session.run("DROP VIEW open_task")
        session.run("ALTER TABLE task ALTER " + r.choice([
            "hours TYPE numeric(8,2)", "hours TYPE numeric(9,3)", "hours TYPE numeric(12,4)",
            # key columns: watches must follow
            "department_id TYPE int", "department_id TYPE bigint", "operator_id TYPE int", "operator_id TYPE bigint",
            "status TYPE text", "status TYPE varchar(20)"]))
        session.run("CREATE VIEW open_task AS SELECT id, department_id, operator_id, hours FROM task WHERE status <> "
                    "'done'")
    elif kind == 3:
        session.run("DROP TRIGGER IF EXISTS move_row ON task")
        if r.random() < 0.6:
            session.run("CREATE TRIGGER move_row BEFORE INSERT OR UPDATE ON task FOR EACH ROW EXECUTE FUNCTION "
                        "move_row()")
    elif kind == 4:
        session.run("DROP INDEX IF EXISTS task_operator_idx")
        if r.random() < 0.6:
            session.run("CREATE INDEX task_operator_idx ON task (operator_id)")
    elif kind == 5:
        session.run("CREATE OR REPLACE VIEW open_task AS SELECT id, department_id, operator_id, hours FROM task WHERE "
                    "status %s"
                    % r.choice(["<> 'done'", "= 'open'", "IS NOT NULL"]))
    elif kind == 6:
        # a write that the tracking triggers do not see
        names = [row[0] for row in session.run("SELECT quote_ident(tgname) FROM pg_trigger "
                                               "WHERE tgrelid = 'task'::regclass AND "
                                               "tgfoid::regproc::text LIKE 'aggcache.%'")]
        for name in names:
            session.run("ALTER TABLE task DISABLE TRIGGER " + name)
        write(session)
        session.compare_locked("triggers disabled")
        for name in names:
            session.run("ALTER TABLE task ENABLE ALWAYS TRIGGER " + name)
    elif kind == 7:
        name = r.choice(list(FUNCTIONS))
        session.run(create(name).replace("CREATE", "CREATE OR REPLACE", 1))
    else:
        session.run("ALTER TABLE task RENAME COLUMN note TO note2; ALTER TABLE task RENAME COLUMN note2 TO note"
                    if session.run("SELECT 1 FROM pg_attribute WHERE attrelid = 'task'::regclass AND attname = 'note'")
                    else "ALTER TABLE task ADD COLUMN note text")
    session.run(r.choice(["COMMIT", "COMMIT", "COMMIT", "ROLLBACK"]))
    session.stress.count("DDL transactions")
    session.compare_locked("after DDL")
