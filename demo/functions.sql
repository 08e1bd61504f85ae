-- Three questions that a work-order system asks all day: each as a plain function and as a cached one.

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

-- The same three without the cache, made from the text of the cached ones so that they cannot differ from them.
DO $$
DECLARE definition text;
BEGIN
  FOR definition IN
    SELECT pg_get_functiondef(oid) FROM pg_proc
    WHERE proname IN ('cached_dept_workload', 'cached_dashboard', 'cached_collaboration')
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
CREATE TYPE demo.outcome AS (ms numeric, result text, why text);
CREATE FUNCTION demo.ask(name text, arguments text) RETURNS demo.outcome LANGUAGE plpgsql AS $$
DECLARE
  outcome demo.outcome;
  cached text := format('cached_%s(%s)', name, arguments);
  plain text := format('plain_%s(%s)', name, arguments);
  same boolean;
BEGIN
  outcome.ms := demo.measure('SELECT * FROM ' || cached);
  SELECT c.result, c.reason INTO outcome.result, outcome.why FROM aggcache.last_call() AS c;
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
