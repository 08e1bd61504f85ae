# What scripts/demo --redis adds: a Redis of the demo's own on a Unix socket, and what it is good for. Sourced by
# scripts/demo, whose functions and variables it uses; the folder is $REDIS.

# The server's file. Debian has it in the package of the tools too, which brings no service, by another name.
redis_program() {
  local file
  for file in "$(command -v redis-server)" /usr/bin/redis-check-rdb; do
    if [ -x "$file" ]; then
      echo "$file"
      return
    fi
  done
}

redis_cli() { as_server redis-cli -s "$REDIS/socket" "$@"; }

redis_answers() { [ "$(redis_cli PING 2>/dev/null)" = PONG ]; }

# Its process, if it runs and is ours.
redis_pid() {
  local pid
  pid=$(as_server cat "$REDIS/pid" 2>/dev/null) || return 0
  if as_server grep -qsF "$REDIS/redis.conf" "/proc/$pid/cmdline"; then echo "$pid"; fi
}

start_redis() {
  if redis_answers; then return 0; fi
  as_server mkdir -p "$REDIS"
  as_server tee "$REDIS/redis.conf" >/dev/null <<CONF
daemonize yes
dir $REDIS
pidfile $REDIS/pid
logfile $REDIS/log
unixsocket $REDIS/socket
unixsocketperm 700
port 0
set-proc-title no
save ""
appendonly no
maxmemory 256mb
maxmemory-policy allkeys-lru
CONF
  as_server bash -c 'exec -a redis-server "$@"' - "$(redis_program)" "$REDIS/redis.conf" >/dev/null
  local attempt
  for attempt in $(seq 1200); do
    if redis_answers; then return 0; fi
    sleep 0.05
  done
  as_server tail -5 "$REDIS/log" >&2
  die "Redis did not start"
}

# kill_redis SIGNAL: and waits until it has ended.
kill_redis() {
  local pid
  pid=$(redis_pid)
  if [ -z "$pid" ]; then return 0; fi
  as_server kill "$1" "$pid"
  while [ -n "$(redis_pid)" ]; do sleep 0.05; done
}

stop_redis() { kill_redis -TERM; }

# The demo's server keeps its results where it is told: in shared memory, or in both.
use_store() {
  local url=
  if [ "$1" = tiered ]; then url=unix://$REDIS/socket; fi
  SQL -c "ALTER SYSTEM SET aggcache.redis_url = '$url'" -c "ALTER SYSTEM SET aggcache.store = '$1'" \
    -c "SELECT pg_reload_conf()" -o /dev/null
  while [ "$(value 'SHOW aggcache.store')" != "$1" ]; do sleep 0.05; done
}

# While the sessions of the concurrent check are at work; until the file $1 is there. Prints how often.
harm_redis() {
  local flushed=0 killed=0
  until [ -e "$1" ]; do
    sleep 0.5
    redis_cli FLUSHALL >/dev/null
    flushed=$((flushed + 1))
    sleep 0.5
    kill_redis -KILL
    killed=$((killed + 1))
    sleep 0.5
    start_redis
    sleep 1
  done
  echo "flushed $flushed times and killed $killed times"
}

show_tiers() {
  heading "Where results are kept: shared memory first, then Redis"
  show <<'SQL'
CREATE TEMP TABLE step (n int, what text, result text, tier text, ms numeric);
CREATE PROCEDURE pg_temp.look(n int, what text) LANGUAGE sql AS $$
  INSERT INTO pg_temp.step
  SELECT n, what, (o).result, (o).tier, (o).ms
  FROM (SELECT demo.ask('month_report', '''2024-03-01''') OFFSET 0) AS x(o)
$$;
SELECT aggcache.invalidate_all() > 0 AS ok \gset
CALL pg_temp.look(0, 'to have everything analysed');
SELECT aggcache.invalidate_all() > 0 AS ok \gset
SET aggcache.store = 'redis';
CALL pg_temp.look(1, 'one session computes it and keeps it in Redis only');
SET aggcache.store = 'tiered';
CALL pg_temp.look(2, 'another call finds it in Redis, and puts it into shared memory');
CALL pg_temp.look(3, 'the next finds it there');
SELECT what AS "report of March 2024", result, tier, ms FROM step WHERE n > 0 ORDER BY n;
DO $$ BEGIN
  IF (SELECT array_agg(concat(result, tier) ORDER BY n) FROM step WHERE n > 0)
     IS DISTINCT FROM ARRAY['miss', 'hitredis', 'hitshared'] THEN
    RAISE EXCEPTION 'a call did not do what it should: %', (SELECT jsonb_agg(s) FROM step AS s);
  END IF;
END $$;
SQL
  say ""
  say "What redis-cli shows of it:"
  local key
  key=$(redis_cli --scan --pattern 'aggcache:*:public.cached_month_report:*' | head -1)
  [ -n "$key" ] || die "there is no such key in Redis"
  say "  $key"
  say "  $(redis_cli STRLEN "$key") bytes, for another $(redis_cli TTL "$key") seconds"
}

show_mget() {
  heading "200 results in one statement: five months of every department's collaborations"
  show <<'SQL'
CREATE TEMP VIEW arguments AS
SELECT array_agg(m::date ORDER BY d, m) AS since, array_agg((m + interval '1 month')::date ORDER BY d, m) AS until,
       array_agg(d ORDER BY d, m) AS dept
FROM generate_series(1, 40) AS d, generate_series(timestamp '2025-01-01', timestamp '2025-05-01', '1 month') AS m;
CREATE TEMP TABLE query (n int, way text, store text, query text, ms numeric);
INSERT INTO query SELECT s.n * 10 + q.n, q.way, s.store, q.query
FROM (VALUES (1, 'shared'), (2, 'redis')) AS s(n, store),
     (VALUES (1, 'a call for each row (LATERAL)',
       'SELECT count(*) FROM arguments, unnest(since, until, dept) AS a(since, until, dept),
               LATERAL cached_collaboration(a.since, a.until, a.dept)'),
      (2, 'aggcache.mget',
       'SELECT count(*) FROM arguments, aggcache.mget(''cached_collaboration(date, date, int)'', since, until, dept)
               AS r (ordinality bigint, department text, helped_by text, visits bigint, hours numeric)'))
     AS q(n, way, query);
CREATE PROCEDURE pg_temp.run_all(store text) LANGUAGE plpgsql AS $$
DECLARE asked query;
BEGIN
  PERFORM set_config('aggcache.store', store, false);
  FOR asked IN SELECT * FROM query AS q WHERE q.store = run_all.store LOOP
    PERFORM demo.measure(asked.query);
    UPDATE query AS q SET ms = least(demo.measure(asked.query), demo.measure(asked.query), demo.measure(asked.query))
    WHERE q.n = asked.n;
  END LOOP;
END $$;
CALL pg_temp.run_all('shared');
CALL pg_temp.run_all('redis');
SELECT way AS "all of them hits", max(ms) FILTER (WHERE store = 'shared') AS "ms, in shared memory",
       max(ms) FILTER (WHERE store = 'redis') AS "ms, in Redis"
FROM query GROUP BY way ORDER BY min(n);
SELECT (SELECT jsonb_agg(r - 'ordinality' ORDER BY r) FROM arguments, LATERAL
         (SELECT to_jsonb(r) AS r FROM aggcache.mget('cached_collaboration(date, date, int)', since, until, dept)
            AS r (ordinality bigint, department text, helped_by text, visits bigint, hours numeric)) AS m)
       IS NOT DISTINCT FROM
       (SELECT jsonb_agg(r - 'ordinality' ORDER BY r)
        FROM arguments, unnest(since, until, dept) WITH ORDINALITY AS a(since, until, dept, ordinality),
             LATERAL (SELECT to_jsonb(p) || jsonb_build_object('ordinality', a.ordinality) AS r
                      FROM plain_collaboration(a.since, a.until, a.dept) AS p) AS x) AS same \gset
SELECT 1 / (:'same')::bool::int AS ok \gset
SQL
  say ""
  say "and the rows are those of the plain queries"
}

# Calls once, looking in Redis only, and keeps what the call did for the table at the end; $1 is what has happened.
ask_in_redis() {
  SQL -o /dev/null <<SQL
SET aggcache.store = 'redis';
INSERT INTO demo.happened (what, result, ms)
SELECT '$1', (o).result, (o).ms FROM (SELECT demo.ask('month_report', '''2024-03-01''') OFFSET 0) AS x(o);
UPDATE demo.happened SET state = (SELECT state FROM aggcache.redis) WHERE what = '$1';
SQL
}

show_failures() {
  heading "What happens to Redis changes no answer, and raises no error"
  SQL -c "CREATE TABLE demo.happened (n serial, what text, result text, ms numeric, state text)"
  ask_in_redis "nothing"
  redis_cli FLUSHALL >/dev/null
  ask_in_redis "FLUSHALL"
  kill_redis -KILL
  ask_in_redis "kill -9 of redis-server"
  start_redis
  # Whoever calls first after a pause of half a second to a second tries it.
  SQL <<'SQL'
SET aggcache.store = 'redis';
DO $$ BEGIN
  WHILE (SELECT state FROM aggcache.redis) <> 'ready' LOOP
    PERFORM * FROM cached_month_report('2024-03-01');
    COMMIT;
  END LOOP;
END $$;
SQL
  ask_in_redis "it was started again, and a call has found out"
  show <<'SQL'
SELECT what AS "what has happened", result AS "the next call", ms, state AS "state of aggcache.redis"
FROM demo.happened ORDER BY n;
DO $$ BEGIN
  IF (SELECT array_agg(concat_ws(' ', result, state) ORDER BY n) FROM demo.happened)
     IS DISTINCT FROM ARRAY['hit ready', 'miss ready', 'miss unavailable', 'hit ready'] THEN
    RAISE EXCEPTION 'a call did not do what it should: %', (SELECT jsonb_agg(h) FROM demo.happened AS h);
  END IF;
END $$;
SQL
  say ""
  say "All that the server's log has of it:"
  as_server grep -h ' LOG: .*Redis' "$STATE/log" | tail -2 | sed 's/^/  /'
}
