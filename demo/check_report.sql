-- The report of one department for one month.
\set dept random(20, 40)
\set month random(0, 23)
SELECT demo.agree('collaboration',
  (SELECT jsonb_agg(c) FROM cached_collaboration((date '2024-01-01' + :month * interval '1 month')::date,
                                                 (date '2024-02-01' + :month * interval '1 month')::date, :dept) AS c),
  (SELECT jsonb_agg(p) FROM plain_collaboration((date '2024-01-01' + :month * interval '1 month')::date,
                                                (date '2024-02-01' + :month * interval '1 month')::date, :dept) AS p));
