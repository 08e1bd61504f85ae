-- A transaction that keeps its snapshot while others write: the cache must answer as of then, twice.
\set dept random_zipfian(1, 40, 1.1)
\set dept 41 - :dept
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT demo.agree('dept_workload', (SELECT jsonb_agg(c) FROM cached_dept_workload(:dept) AS c),
                                   (SELECT jsonb_agg(p) FROM plain_dept_workload(:dept) AS p));
\sleep 20 ms
SELECT demo.agree('dept_workload', (SELECT jsonb_agg(c) FROM cached_dept_workload(:dept) AS c),
                                   (SELECT jsonb_agg(p) FROM plain_dept_workload(:dept) AS p));
COMMIT;
