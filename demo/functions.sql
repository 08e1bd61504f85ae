-- Four questions that a work-order system asks all day: each as a plain function and as a cached one.

CREATE EXTENSION pg_aggcache;

-- How much is there to do in one department?
CREATE FUNCTION cached_dept_workload(dept int)
RETURNS TABLE (status text, tasks bigint, hours numeric)
LANGUAGE cached_sql STABLE
AS $$ SELECT status, count(*), sum(hours) FROM task WHERE department_id = dept GROUP BY status ORDER BY status $$;

-- The dashboard on the wall: how do all sites do?
CREATE FUNCTION cached_dashboard()
RETURNS TABLE (site text, open_tasks bigint, urgent bigint, done bigint, hours numeric, median_lead_time interval)
LANGUAGE cached_sql STABLE
AS $$
  SELECT d.site,
         count(*) FILTER (WHERE t.closed_at IS NULL),
         count(*) FILTER (WHERE t.closed_at IS NULL AND t.priority >= 4),
         count(*) FILTER (WHERE t.status = 'done'),
         sum(t.hours),
         percentile_cont(0.5) WITHIN GROUP (ORDER BY t.closed_at - t.created_at)
  FROM task t JOIN department d ON d.id = t.department_id
  GROUP BY d.site
  ORDER BY d.site
$$;

-- Who helped whom in a period, in all departments or in one?
CREATE FUNCTION cached_collaboration(since date, until date, dept int DEFAULT NULL)
RETURNS TABLE (department text, helped_by text, visits bigint, hours numeric)
LANGUAGE cached_sql STABLE
AS $$
  SELECT host.name, helper.name, count(*), sum(c.hours)
  FROM collaboration c
  JOIN operator o ON o.id = c.operator_id
  JOIN department host ON host.id = c.department_id
  JOIN department helper ON helper.id = o.department_id
  WHERE c.worked_on >= since AND c.worked_on < until
    AND (c.department_id = dept OR dept IS NULL)
    AND o.department_id <> c.department_id
  GROUP BY host.name, helper.name
  ORDER BY sum(c.hours) DESC, host.name, helper.name
  LIMIT 25
$$;

-- How was a month?
CREATE FUNCTION cached_month_report(month date)
RETURNS TABLE (kind text, tasks bigint, done bigint, hours numeric)
LANGUAGE cached_sql STABLE
AS $$
  SELECT kind, count(*), count(*) FILTER (WHERE status = 'done'), sum(hours)
  FROM task
  WHERE created_at >= month AND created_at < month + interval '1 month'
  GROUP BY kind
  ORDER BY kind
$$;

-- The same four without the cache, made from the text of the cached ones so that they cannot differ from them.
DO $$
DECLARE definition text;
BEGIN
  FOR definition IN
    SELECT pg_get_functiondef(oid) FROM pg_proc
    WHERE proname IN ('cached_dept_workload', 'cached_dashboard', 'cached_collaboration', 'cached_month_report')
  LOOP
    EXECUTE replace(replace(definition, 'public.cached_', 'public.plain_'), 'LANGUAGE cached_sql', 'LANGUAGE sql');
  END LOOP;
END $$;

-- ---- What the demo measures and compares with ----

CREATE SCHEMA demo;

-- Runs a query and returns how long it took in the server, in milliseconds.
CREATE FUNCTION demo.measure(query text) RETURNS numeric LANGUAGE plpgsql AS $$
DECLARE
  started timestamptz := clock_timestamp();
BEGIN
  EXECUTE query;
  RETURN round((extract(epoch FROM clock_timestamp() - started) * 1000)::numeric, 3);
END $$;

-- Calls a cached function with the given arguments and tells what the call did. Fails if the answer is not the
-- plain one's.
CREATE TYPE demo.outcome AS (ms numeric, result text, tier text, why text);
CREATE FUNCTION demo.ask(name text, arguments text) RETURNS demo.outcome LANGUAGE plpgsql AS $$
DECLARE
  outcome demo.outcome;
  cached text := format('cached_%s(%s)', name, arguments);
  plain text := format('plain_%s(%s)', name, arguments);
  same boolean;
BEGIN
  outcome.ms := demo.measure('SELECT * FROM ' || cached);
  SELECT c.result, c.tier, c.reason INTO outcome.result, outcome.tier, outcome.why FROM aggcache.last_call() AS c;
  EXECUTE format('SELECT (SELECT jsonb_agg(c) FROM %s AS c) IS NOT DISTINCT FROM (SELECT jsonb_agg(p) FROM %s AS p)',
                 cached, plain) INTO same;
  IF NOT same THEN RAISE EXCEPTION 'the answer of % differs from the plain query', cached; END IF;
  RETURN outcome;
END $$;

-- Compares two answers that one statement got, so from one snapshot.
CREATE FUNCTION demo.agree(what text, cached jsonb, plain jsonb) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  IF cached IS DISTINCT FROM plain THEN
    RAISE EXCEPTION 'the cached answer of % differs', what USING DETAIL = format('cached: %s plain: %s', cached, plain);
  END IF;
END $$;

-- Today's tasks come in, in the first ten departments.
CREATE FUNCTION demo.insert_today(tasks int) RETURNS void LANGUAGE sql AS $$
  INSERT INTO task (department_id, operator_id, kind, priority, status, created_at)
  SELECT dept, dept, 'repair', 3, 'open', timestamp '2026-01-02 08:00' + random() * interval '8 hours'
  FROM (SELECT 1 + floor(random() * 10)::int AS dept FROM generate_series(1, tasks)) AS made
$$;

-- Calls the reports of all past months and the workloads of the other thirty departments once; counts the hits.
CREATE TYPE demo.reading AS (report_calls int, report_hits int, department_calls int, department_hits int);
CREATE FUNCTION demo.read_reports() RETURNS demo.reading LANGUAGE plpgsql AS $$
DECLARE
  past date;
  report_calls int := 0; report_hits int := 0; department_calls int := 0; department_hits int := 0;
BEGIN
  FOR past IN SELECT generate_series(timestamp '2024-01-01', timestamp '2025-12-01', interval '1 month')::date LOOP
    PERFORM * FROM cached_month_report(past);
    report_calls := report_calls + 1;
    report_hits := report_hits + (SELECT (result = 'hit')::int FROM aggcache.last_call());
  END LOOP;
  FOR dept IN 11..40 LOOP
    PERFORM * FROM cached_dept_workload(dept);
    department_calls := department_calls + 1;
    department_hits := department_hits + (SELECT (result = 'hit')::int FROM aggcache.last_call());
  END LOOP;
  RETURN (report_calls, report_hits, department_calls, department_hits);
END $$;

-- Those of all workloads and month reports whose cached answer is not the plain one: none.
CREATE FUNCTION demo.differences() RETURNS SETOF text LANGUAGE sql AS $$
  SELECT 'department ' || d FROM generate_series(1, 40) AS d
  WHERE (SELECT jsonb_agg(c) FROM cached_dept_workload(d) AS c)
        IS DISTINCT FROM (SELECT jsonb_agg(p) FROM plain_dept_workload(d) AS p)
  UNION ALL
  SELECT 'month ' || m::date
  FROM generate_series(timestamp '2024-01-01', timestamp '2026-01-01', interval '1 month') AS m
  WHERE (SELECT jsonb_agg(c) FROM cached_month_report(m::date) AS c)
        IS DISTINCT FROM (SELECT jsonb_agg(p) FROM plain_month_report(m::date) AS p)
$$;
