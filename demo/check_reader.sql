-- One comparison: the cached answer and the plain one, in one statement, so in one snapshot.
\set dept random_zipfian(1, 40, 1.1)
\set dept 41 - :dept
SELECT demo.agree('dept_workload', (SELECT jsonb_agg(c) FROM cached_dept_workload(:dept) AS c),
                                   (SELECT jsonb_agg(p) FROM plain_dept_workload(:dept) AS p));
