-- What operators do all day: book hours, open a task, hand one over to another department, help out, change their mind.
-- Single rows in primary key order, so that writers do not deadlock.
\set id random(1, 2200000)
\set dept random(1, 40)
UPDATE task SET hours = coalesce(hours, 0) + 0.25 WHERE id = :id;
\sleep 5 ms
INSERT INTO task (department_id, operator_id, kind, priority, status, created_at)
VALUES (:dept, :dept, 'repair', 3, 'open', timestamp '2025-12-31 12:00');
\sleep 5 ms
UPDATE task SET department_id = :dept WHERE id = :id;
INSERT INTO collaboration (task_id, department_id, operator_id, hours, worked_on)
VALUES (:id, :dept, 1 + :id % 1200, 1, date '2025-12-01');
BEGIN;
UPDATE task SET status = 'cancelled' WHERE id = :id;
SELECT demo.agree('dept_workload', (SELECT jsonb_agg(c) FROM cached_dept_workload(:dept) AS c),
                                   (SELECT jsonb_agg(p) FROM plain_dept_workload(:dept) AS p));
ROLLBACK;
\sleep 5 ms
