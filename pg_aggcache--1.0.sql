-- complain if script is sourced in psql, rather than via CREATE EXTENSION
\echo Use "CREATE EXTENSION pg_aggcache" to load this file. \quit

-- The schema may be older than the extension. Then it must not be one that somebody has prepared as a trap.
CREATE FUNCTION aggcache.check_schema() RETURNS void
  LANGUAGE c AS 'MODULE_PATHNAME', 'aggcache_check_schema';
SELECT aggcache.check_schema();
DROP FUNCTION aggcache.check_schema();

-- ---- The language ---------------------------------------------------------------------------------------------------

CREATE FUNCTION aggcache.cached_sql_call_handler() RETURNS language_handler
  LANGUAGE c AS 'MODULE_PATHNAME', 'aggcache_call_handler';
COMMENT ON FUNCTION aggcache.cached_sql_call_handler() IS 'call handler of language cached_sql';

CREATE FUNCTION aggcache.cached_sql_validator(oid) RETURNS void
  LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'aggcache_validator';
COMMENT ON FUNCTION aggcache.cached_sql_validator(oid) IS 'validator of language cached_sql';

CREATE TRUSTED LANGUAGE cached_sql
  HANDLER aggcache.cached_sql_call_handler
  VALIDATOR aggcache.cached_sql_validator;
COMMENT ON LANGUAGE cached_sql IS 'SQL functions whose results are cached and invalidated exactly';

-- ---- Tracking -------------------------------------------------------------------------------------------------------

CREATE FUNCTION aggcache.track_row() RETURNS trigger
  LANGUAGE c AS 'MODULE_PATHNAME', 'aggcache_track_row';
COMMENT ON FUNCTION aggcache.track_row() IS 'records that a row was changed; put on tables by the extension';

CREATE FUNCTION aggcache.track_truncate() RETURNS trigger
  LANGUAGE c AS 'MODULE_PATHNAME', 'aggcache_track_truncate';
COMMENT ON FUNCTION aggcache.track_truncate() IS 'records that a table was truncated; put on tables by the extension';

-- These tables follow from the bodies of cached functions. They are not dumped; aggcache.refresh() makes them anew.
CREATE TABLE aggcache.dependency (
  function oid NOT NULL,
  relation oid NOT NULL,
  CONSTRAINT dependency_pkey PRIMARY KEY (function, relation)
);
CREATE INDEX dependency_relation_idx ON aggcache.dependency (relation);
COMMENT ON TABLE aggcache.dependency IS 'which tables each cached function needs tracked';

CREATE TABLE aggcache.watch (
  relation oid NOT NULL,
  id bigint NOT NULL,
  server integer NOT NULL,
  key_columns smallint[] NOT NULL,
  range_column smallint,
  range_width bigint,
  columns smallint[],
  predicate pg_node_tree,
  apart boolean NOT NULL DEFAULT false,
  CONSTRAINT watch_pkey PRIMARY KEY (relation, id)
);
COMMENT ON TABLE aggcache.watch IS
  'the keys, ranges, columns and conditions by which changes of a table''s rows are distinguished; aggcache.tables '
  'shows them in words';
COMMENT ON COLUMN aggcache.watch.id IS 'hash of all other columns';
COMMENT ON COLUMN aggcache.watch.server IS 'major version of the server that wrote the predicate';
COMMENT ON COLUMN aggcache.watch.key_columns IS 'only changes of rows that have the key values asked for invalidate';
COMMENT ON COLUMN aggcache.watch.range_column IS
  'only changes of rows within the range asked for of this column invalidate';
COMMENT ON COLUMN aggcache.watch.range_width IS
  'width of the smallest cell: in days for a date, in microseconds for a timestamp, else in whole numbers';
COMMENT ON COLUMN aggcache.watch.columns IS
  'an UPDATE counts only if it changes one of these columns; null: if it changes any column';
COMMENT ON COLUMN aggcache.watch.predicate IS
  'a change counts only if the old or the new row passes this; null: always';
COMMENT ON COLUMN aggcache.watch.apart IS
  'many functions share it: to each, an UPDATE counts only if it changes a column that this function uses';

CREATE TABLE aggcache.watch_use (
  function oid NOT NULL,
  relation oid NOT NULL,
  watch bigint NOT NULL,
  server integer NOT NULL,
  key_columns smallint[] NOT NULL,
  range_column smallint,
  range_width bigint,
  columns smallint[],
  predicate pg_node_tree,
  CONSTRAINT watch_use_pkey PRIMARY KEY (function, relation, watch)
);
CREATE INDEX watch_use_relation_idx ON aggcache.watch_use (relation);
COMMENT ON TABLE aggcache.watch_use IS
  'the watch that each cached function asks for; where many do, aggcache.watch has one for several of them';
COMMENT ON COLUMN aggcache.watch_use.watch IS
  'hash of the columns that follow, which are as in aggcache.watch; the id of the watch if it is in force as it is';

CREATE TABLE aggcache.program (
  function oid NOT NULL,
  relation oid NOT NULL,
  id bigint NOT NULL,
  program pg_node_tree NOT NULL,
  CONSTRAINT program_pkey PRIMARY KEY (function, relation)
);
CREATE INDEX program_relation_idx ON aggcache.program (relation);
COMMENT ON TABLE aggcache.program IS
  'what a row of the relation contributes to results of the function, where writes can keep these current';
COMMENT ON COLUMN aggcache.program.id IS 'hash of the program and of the server''s major version';

-- Users set this, so it is dumped.
CREATE TABLE aggcache.cell_width (
  relation regclass NOT NULL,
  "column" name NOT NULL,
  width bigint NOT NULL CHECK (width > 0),
  CONSTRAINT cell_width_pkey PRIMARY KEY (relation, "column")
);
SELECT pg_catalog.pg_extension_config_dump('aggcache.cell_width', '');
-- pg_dump by a role that is not superuser reads it; names and widths are no more secret than pg_class.
GRANT SELECT ON aggcache.cell_width TO PUBLIC;
COMMENT ON TABLE aggcache.cell_width IS
  'widths of the smallest cells of range columns, as set by aggcache.set_cell_width()';

-- ---- What can be seen -----------------------------------------------------------------------------------------------

GRANT USAGE ON SCHEMA aggcache TO PUBLIC;
COMMENT ON SCHEMA aggcache IS 'cached SQL functions: views, actions and catalogs of the extension pg_aggcache';

CREATE FUNCTION aggcache.last_call(
  OUT function regprocedure, OUT result text, OUT reason text, OUT cause text, OUT age interval,
  OUT cost_ms double precision, OUT size integer, OUT waited boolean, OUT stored boolean, OUT not_stored text,
  OUT not_kept text, OUT tier text)
  RETURNS SETOF record ROWS 1 LANGUAGE c VOLATILE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'aggcache_last_call';
COMMENT ON FUNCTION aggcache.last_call() IS
  'what this session''s latest call of a cached function did, and why: hit, stale hit, miss, uncached or error; one '
  'row, null before the first call';

CREATE FUNCTION aggcache.function_state(
  function oid, OUT state text, OUT reason text, OUT ttl interval, OUT max_staleness interval, OUT settings text[])
  RETURNS SETOF record ROWS 1 LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'aggcache_function_state';
COMMENT ON FUNCTION aggcache.function_state(oid) IS
  'whether one cached function is cached, and if not why; behind aggcache.functions';

CREATE VIEW aggcache.functions AS
  SELECT p.oid::pg_catalog.regprocedure AS function, p.proowner::pg_catalog.regrole AS owner,
         s.state, s.reason, s.ttl, s.max_staleness, s.settings
  FROM pg_catalog.pg_proc p
  JOIN pg_catalog.pg_language l ON l.oid = p.prolang
    AND l.lanplcallfoid = 'aggcache.cached_sql_call_handler()'::pg_catalog.regprocedure
  CROSS JOIN LATERAL aggcache.function_state(p.oid) s;
COMMENT ON VIEW aggcache.functions IS 'the functions of language cached_sql, one row each';
COMMENT ON COLUMN aggcache.functions.state IS
  'cached; uncached; unknown: polymorphic, so it is known only at a call; null: not shown to this role';
COMMENT ON COLUMN aggcache.functions.reason IS 'why the function is not cached, in words; null if it is';
COMMENT ON COLUMN aggcache.functions.ttl IS 'aggcache.ttl of the function''s own SET clause';
COMMENT ON COLUMN aggcache.functions.max_staleness IS 'aggcache.max_staleness of the function''s own SET clause';
COMMENT ON COLUMN aggcache.functions.settings IS 'all SET clauses of the function';

CREATE FUNCTION aggcache.function_dependencies(
  function oid, OUT relation regclass, OUT tracked boolean, OUT key_columns name[], OUT range_column name,
  OUT granularity text, OUT watch text, OUT reason text, OUT not_kept text)
  RETURNS SETOF record ROWS 3 LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'aggcache_function_dependencies';
COMMENT ON FUNCTION aggcache.function_dependencies(oid) IS
  'what one cached function reads; behind aggcache.dependencies';

CREATE VIEW aggcache.dependencies AS
  SELECT p.oid::pg_catalog.regprocedure AS function, d.relation, d.tracked, d.key_columns, d.range_column,
         d.granularity, d.watch, d.reason, d.not_kept
  FROM pg_catalog.pg_proc p
  JOIN pg_catalog.pg_language l ON l.oid = p.prolang
    AND l.lanplcallfoid = 'aggcache.cached_sql_call_handler()'::pg_catalog.regprocedure
  CROSS JOIN LATERAL aggcache.function_dependencies(p.oid) d;
COMMENT ON VIEW aggcache.dependencies IS
  'which relations each cached function reads, one row each; a function that cannot be analysed has one row without a '
  'relation';
COMMENT ON COLUMN aggcache.dependencies.key_columns IS
  'where granularity is key or range: the key columns; rows with other values in them do not matter';
COMMENT ON COLUMN aggcache.dependencies.range_column IS
  'where granularity is range: the range column; rows outside of the range asked for do not matter';
COMMENT ON COLUMN aggcache.dependencies.granularity IS
  'key: only changes of rows with the key asked for invalidate; range: only those that also lie in the range asked '
  'for; columns: only changes of columns and rows that are used; table: every change; none: changes are not seen, so '
  'the function is not cached';
COMMENT ON COLUMN aggcache.dependencies.watch IS 'the finest watch that the function can use now, in words';
COMMENT ON COLUMN aggcache.dependencies.not_kept IS
  'why writes cannot keep results of the function current; null if they can';

CREATE FUNCTION aggcache.function_statistics(
  OUT function oid, OUT hits bigint, OUT stale_hits bigint, OUT cold bigint, OUT changed bigint, OUT expired bigint,
  OUT evicted bigint, OUT own_write bigint, OUT snapshot bigint, OUT uncached bigint, OUT stores bigint,
  OUT rejected_stores bigint, OUT evictions bigint, OUT compute_ms double precision, OUT saved_ms double precision,
  OUT last_changed timestamptz, OUT kept bigint, OUT entries bigint, OUT bytes bigint)
  RETURNS SETOF record LANGUAGE c VOLATILE PARALLEL SAFE AS 'MODULE_PATHNAME', 'aggcache_function_statistics';
COMMENT ON FUNCTION aggcache.function_statistics() IS
  'counters of this database''s cached functions; behind aggcache.stats';

CREATE VIEW aggcache.stats AS
  SELECT p.oid::pg_catalog.regprocedure AS function, s.hits, s.stale_hits,
         s.cold + s.changed + s.expired + s.evicted + s.own_write + s.snapshot AS misses,
         s.cold, s.changed, s.expired, s.evicted, s.own_write, s.snapshot, s.uncached,
         s.stores, s.rejected_stores, s.evictions, s.compute_ms, s.saved_ms,
         (s.hits + s.stale_hits)::double precision
           / nullif(s.hits + s.stale_hits + s.cold + s.changed + s.expired + s.evicted + s.own_write + s.snapshot
                    + s.uncached, 0)
           AS hit_ratio,
         s.last_changed, s.kept, s.entries, s.bytes
  FROM aggcache.function_statistics() s JOIN pg_catalog.pg_proc p ON p.oid = s.function;
COMMENT ON VIEW aggcache.stats IS
  'what the calls of each cached function did since the statistics were reset, one row each';
COMMENT ON COLUMN aggcache.stats.misses IS 'cold + changed + expired + evicted + own_write + snapshot';
COMMENT ON COLUMN aggcache.stats.cold IS 'calls that found no result';
COMMENT ON COLUMN aggcache.stats.changed IS 'calls whose result had been invalidated by a write';
COMMENT ON COLUMN aggcache.stats.expired IS 'calls whose result was older than its ttl';
COMMENT ON COLUMN aggcache.stats.evicted IS 'calls whose result had been evicted to make room for others';
COMMENT ON COLUMN aggcache.stats.own_write IS 'calls in a transaction that had written a source table';
COMMENT ON COLUMN aggcache.stats.snapshot IS 'calls whose result could not be proven for their snapshot';
COMMENT ON COLUMN aggcache.stats.uncached IS
  'calls that could not use the cache at all; aggcache.last_call() tells why';
COMMENT ON COLUMN aggcache.stats.hit_ratio IS 'hits and stale hits among all calls, 0 to 1';
COMMENT ON COLUMN aggcache.stats.compute_ms IS 'time spent on computing results, in milliseconds';
COMMENT ON COLUMN aggcache.stats.saved_ms IS
  'time that hits saved: what computing their results had taken, in milliseconds';
COMMENT ON COLUMN aggcache.stats.last_changed IS 'when a call last found its result invalidated by a write';
COMMENT ON COLUMN aggcache.stats.kept IS
  'hits that were not stored, but put together from what writers had kept current';
COMMENT ON COLUMN aggcache.stats.bytes IS 'shared memory that the function''s results take';

CREATE FUNCTION aggcache.stored_entries(
  OUT function regprocedure, OUT key_hash text, OUT size bigint, OUT memory bigint, OUT dependencies integer,
  OUT uses bigint, OUT cost_ms double precision, OUT stored_at timestamptz, OUT expires_at timestamptz,
  OUT valid boolean)
  RETURNS SETOF record LANGUAGE c VOLATILE PARALLEL SAFE AS 'MODULE_PATHNAME', 'aggcache_entries';
REVOKE ALL ON FUNCTION aggcache.stored_entries() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION aggcache.stored_entries() TO pg_monitor;
COMMENT ON FUNCTION aggcache.stored_entries() IS 'the cached results of this database; behind aggcache.entries';

CREATE VIEW aggcache.entries AS SELECT * FROM aggcache.stored_entries();
GRANT SELECT ON aggcache.entries TO pg_monitor;
COMMENT ON VIEW aggcache.entries IS 'the cached results of this database, one row each, without arguments and values';
COMMENT ON COLUMN aggcache.entries.function IS 'the function whose call stored it';
COMMENT ON COLUMN aggcache.entries.size IS 'bytes of the result';
COMMENT ON COLUMN aggcache.entries.memory IS 'bytes of shared memory, with key and bookkeeping';
COMMENT ON COLUMN aggcache.entries.dependencies IS 'how many stamp slots decide whether the result is valid';
COMMENT ON COLUMN aggcache.entries.uses IS 'hits since it was stored';
COMMENT ON COLUMN aggcache.entries.cost_ms IS 'what computing it took, in milliseconds';
COMMENT ON COLUMN aggcache.entries.valid IS
  'false: it can certainly never be hit again; true: it may be hit, depending on the caller''s snapshot';

CREATE FUNCTION aggcache.table_statistics(
  OUT relation oid, OUT rows bigint, OUT transactions bigint, OUT bulk bigint, OUT wide bigint)
  RETURNS SETOF record LANGUAGE c VOLATILE PARALLEL SAFE AS 'MODULE_PATHNAME', 'aggcache_table_statistics';
COMMENT ON FUNCTION aggcache.table_statistics() IS
  'counters of this database''s tracked tables; behind aggcache.tables';

CREATE FUNCTION aggcache.tracking_state(relation regclass, OUT tracked boolean, OUT reason text)
  RETURNS SETOF record ROWS 1 LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'aggcache_tracking_state';
COMMENT ON FUNCTION aggcache.tracking_state(regclass) IS
  'whether the writes of one table are seen, and if not why; behind aggcache.tables';

CREATE FUNCTION aggcache.watches(relation regclass) RETURNS text[]
  LANGUAGE c STABLE STRICT AS 'MODULE_PATHNAME', 'aggcache_watches';
COMMENT ON FUNCTION aggcache.watches(regclass) IS 'the watches of one table, in words; behind aggcache.tables';

CREATE VIEW aggcache.tables AS
  SELECT c.oid::pg_catalog.regclass AS relation, t.tracked, t.reason,
         aggcache.watches(c.oid) AS watches,
         (SELECT pg_catalog.count(*) FROM aggcache.dependency d WHERE d.relation = c.oid) AS functions,
         coalesce(s.rows, 0) AS rows, coalesce(s.transactions, 0) AS transactions,
         coalesce(s.bulk, 0) AS bulk, coalesce(s.wide, 0) AS wide
  FROM pg_catalog.pg_class c
  CROSS JOIN LATERAL aggcache.tracking_state(c.oid) t
  LEFT JOIN aggcache.table_statistics() s ON s.relation = c.oid
  WHERE c.oid IN (SELECT d.relation FROM aggcache.dependency d
                  UNION SELECT w.relation FROM aggcache.watch w
                  UNION SELECT g.tgrelid FROM pg_catalog.pg_trigger g
                        WHERE g.tgfoid = 'aggcache.track_row()'::pg_catalog.regprocedure);
COMMENT ON VIEW aggcache.tables IS 'the tables that cached functions read or whose writes are tracked, one row each';
COMMENT ON COLUMN aggcache.tables.reason IS 'why the table''s writes are not seen, in words; null if they are';
COMMENT ON COLUMN aggcache.tables.watches IS
  'the keys, ranges, columns and conditions by which changes of rows are distinguished, in words';
COMMENT ON COLUMN aggcache.tables.functions IS 'how many cached functions read the table';
COMMENT ON COLUMN aggcache.tables.rows IS 'rows changed by committed transactions';
COMMENT ON COLUMN aggcache.tables.transactions IS 'committed transactions that changed rows of the table';
COMMENT ON COLUMN aggcache.tables.bulk IS
  'how often a transaction changed so many keys that it invalidated the whole table';
COMMENT ON COLUMN aggcache.tables.wide IS
  'changes that are not of single rows: TRUNCATE, DDL, changed watches, aggcache.invalidate_table()';

CREATE FUNCTION aggcache.blame_counts(
  OUT function oid, OUT relation oid, OUT statement text, OUT columns name[], OUT query_id bigint,
  OUT invalidations bigint, OUT last_at timestamptz)
  RETURNS SETOF record LANGUAGE c VOLATILE PARALLEL SAFE AS 'MODULE_PATHNAME', 'aggcache_blame_counts';
COMMENT ON FUNCTION aggcache.blame_counts() IS
  'which writes invalidated results of this database''s cached functions; behind aggcache.blame';

CREATE VIEW aggcache.blame AS
  SELECT p.oid::pg_catalog.regprocedure AS function, b.relation::pg_catalog.regclass AS relation, b.statement,
         b.columns, b.query_id, b.invalidations, b.last_at
  FROM aggcache.blame_counts() b JOIN pg_catalog.pg_proc p ON p.oid = b.function;
COMMENT ON VIEW aggcache.blame IS
  'which writes invalidated results that were later asked for, since the statistics were reset; one row for each kind '
  'of write';
COMMENT ON COLUMN aggcache.blame.relation IS 'what was changed; null if that is no longer known';
COMMENT ON COLUMN aggcache.blame.statement IS
  'what happened to the row, INSERT, UPDATE or DELETE, unless the session''s statement was MERGE or COPY; for changes '
  'other than of rows, the session''s statement';
COMMENT ON COLUMN aggcache.blame.columns IS 'the columns that an UPDATE set; null for other statements';
COMMENT ON COLUMN aggcache.blame.query_id IS
  'pg_stat_statements'' id of the session''s statement, if compute_query_id is on';
COMMENT ON COLUMN aggcache.blame.invalidations IS 'calls that found their result changed by such a write';

CREATE FUNCTION aggcache.usage(
  OUT memory bigint, OUT memory_free bigint, OUT entries bigint, OUT stamp_slots bigint, OUT started_at timestamptz,
  OUT reset_at timestamptz)
  RETURNS SETOF record ROWS 1 LANGUAGE c VOLATILE PARALLEL SAFE AS 'MODULE_PATHNAME', 'aggcache_usage';
COMMENT ON FUNCTION aggcache.usage() IS
  'memory and slots of the whole server''s cache: bytes in all, bytes free, results, stamp slots, start of the server, '
  'last reset of statistics';

CREATE FUNCTION aggcache.redis_state(
  OUT state text, OUT writes text, OUT url text, OUT retry_at timestamptz, OUT failures_in_a_row integer,
  OUT hits bigint, OUT misses bigint, OUT changed bigint, OUT stores bigint, OUT skipped bigint,
  OUT bytes_sent bigint, OUT bytes_received bigint,
  OUT commands bigint, OUT p50_ms double precision, OUT p95_ms double precision, OUT p99_ms double precision,
  OUT connection_errors bigint, OUT timeouts bigint, OUT protocol_errors bigint, OUT authentication_errors bigint,
  OUT out_of_memory_errors bigint, OUT read_only_errors bigint, OUT not_ready_errors bigint,
  OUT cluster_errors bigint, OUT other_errors bigint, OUT local_errors bigint,
  OUT damaged bigint, OUT foreign_values bigint, OUT too_large bigint, OUT unauthentic bigint)
  RETURNS SETOF record ROWS 1 LANGUAGE c VOLATILE PARALLEL SAFE AS 'MODULE_PATHNAME', 'aggcache_redis_state';
COMMENT ON FUNCTION aggcache.redis_state() IS
  'what the whole server has to do with Redis; behind aggcache.redis';

CREATE VIEW aggcache.redis AS SELECT * FROM aggcache.redis_state();
COMMENT ON VIEW aggcache.redis IS
  'whether Redis is used, and what it did for the whole server since the statistics were reset, one row';
COMMENT ON COLUMN aggcache.redis.state IS
  'off: aggcache.redis_url is not set; ready; unavailable: after a failure, not tried again before retry_at; probing: '
  'one session is trying it';
COMMENT ON COLUMN aggcache.redis.writes IS
  'the state of commands that change data, with the same values: Redis may be full or a replica';
COMMENT ON COLUMN aggcache.redis.url IS
  'aggcache.redis_url, the password masked; null for roles without the privileges of pg_read_all_settings';
COMMENT ON COLUMN aggcache.redis.retry_at IS 'when Redis will be tried again, if it is not ready';
COMMENT ON COLUMN aggcache.redis.failures_in_a_row IS 'failed attempts since Redis last answered';
COMMENT ON COLUMN aggcache.redis.hits IS 'results that Redis had and that could be used';
COMMENT ON COLUMN aggcache.redis.misses IS 'results that Redis did not have';
COMMENT ON COLUMN aggcache.redis.changed IS
  'results that Redis had and that could not be used because of a later write, their age or the caller''s snapshot';
COMMENT ON COLUMN aggcache.redis.stores IS 'results that were sent to Redis';
COMMENT ON COLUMN aggcache.redis.skipped IS 'look-ups and stores that were not tried because Redis was not ready';
COMMENT ON COLUMN aggcache.redis.commands IS 'commands that Redis answered';
COMMENT ON COLUMN aggcache.redis.p50_ms IS
  'median time from sending a command to its reply, in milliseconds; for pipelined stores, until the reply was read';
COMMENT ON COLUMN aggcache.redis.p95_ms IS '95th percentile of the same';
COMMENT ON COLUMN aggcache.redis.p99_ms IS '99th percentile of the same';
COMMENT ON COLUMN aggcache.redis.connection_errors IS 'connections that could not be made, or broke';
COMMENT ON COLUMN aggcache.redis.timeouts IS
  'connections and replies that took longer than aggcache.redis_connect_timeout or aggcache.redis_timeout';
COMMENT ON COLUMN aggcache.redis.protocol_errors IS 'replies that could not be understood';
COMMENT ON COLUMN aggcache.redis.authentication_errors IS
  'NOAUTH, WRONGPASS and NOPERM replies, and certificates that do not verify';
COMMENT ON COLUMN aggcache.redis.out_of_memory_errors IS 'OOM replies: Redis is full and may not evict';
COMMENT ON COLUMN aggcache.redis.read_only_errors IS 'READONLY, NOREPLICAS and MISCONF replies: Redis takes no writes';
COMMENT ON COLUMN aggcache.redis.not_ready_errors IS 'LOADING, BUSY, MASTERDOWN and TRYAGAIN replies';
COMMENT ON COLUMN aggcache.redis.cluster_errors IS
  'commands for which no node, or no master, was found in time';
COMMENT ON COLUMN aggcache.redis.other_errors IS 'other error replies';
COMMENT ON COLUMN aggcache.redis.local_errors IS 'commands that failed on this side: no memory, or too many under way';
COMMENT ON COLUMN aggcache.redis.damaged IS 'values that were truncated or altered; each was a miss';
COMMENT ON COLUMN aggcache.redis.foreign_values IS
  'values of another key, start of the server, row type or format; each was a miss';
COMMENT ON COLUMN aggcache.redis.too_large IS 'values larger than aggcache.max_entry_size; each was a miss';
COMMENT ON COLUMN aggcache.redis.unauthentic IS
  'values without the proof that aggcache.redis_secret_file demands; each was a miss';

CREATE FUNCTION aggcache.explain(function regprocedure) RETURNS SETOF text
  LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'aggcache_explain';
COMMENT ON FUNCTION aggcache.explain(regprocedure) IS
  'tells in words whether a function is cached, what it reads, what invalidates its results, and what the key holds '
  'besides its arguments';

CREATE FUNCTION aggcache.explain(
  function regprocedure, VARIADIC args "any",
  OUT relation regclass, OUT granularity text, OUT watch text, OUT clause text, OUT tags integer, OUT finer text,
  OUT words text)
  RETURNS SETOF record LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'aggcache_explain_call';
COMMENT ON FUNCTION aggcache.explain(regprocedure, "any") IS
  'what the result of the call with these arguments depends on: one row for each appearance of a relation, with the '
  'granularity of the changes that invalidate, the watch and the clauses that make it so, the number of tags, what '
  'would make it finer, and all of this in words; an empty VARIADIC array for no arguments';

CREATE FUNCTION aggcache.instance_health(OUT "check" text, OUT ok boolean, OUT detail text)
  RETURNS SETOF record ROWS 7 LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'aggcache_health';
COMMENT ON FUNCTION aggcache.instance_health() IS 'state of the cache in this server; part of aggcache.health()';

CREATE FUNCTION aggcache.health() RETURNS TABLE ("check" text, ok boolean, detail text)
  LANGUAGE sql VOLATILE
BEGIN ATOMIC
  SELECT h."check", h.ok, h.detail FROM aggcache.instance_health() h
  UNION ALL
  -- In recovery nothing is cached, which is no fault of a function.
  SELECT 'functions', CASE WHEN f.uncached > 0 THEN false WHEN f.hidden > 0 THEN NULL ELSE true END,
         CASE WHEN pg_is_in_recovery()
              THEN 'calls compute here; what else keeps functions from being cached shows on the primary'
              ELSE format('%s of %s functions are not cached%s; see aggcache.functions', f.uncached, f.every,
                          CASE WHEN f.hidden > 0 THEN format(', and %s are hidden from this role', f.hidden)
                               ELSE '' END)
         END
  FROM (SELECT count(*) AS every, count(*) FILTER (WHERE state IS NULL) AS hidden,
               count(*) FILTER (WHERE state = 'uncached' AND NOT pg_is_in_recovery()) AS uncached
        FROM aggcache.functions) f
  UNION ALL
  SELECT 'tables', count(*) FILTER (WHERE NOT t.tracked) = 0,
         format('%s of %s tables are not tracked; see aggcache.tables', count(*) FILTER (WHERE NOT t.tracked), count(*))
  FROM aggcache.tables t;
END;
COMMENT ON FUNCTION aggcache.health() IS
  'what an operator should know, one row for each check; ok is false where something is wrong, and null where this '
  'role may not see enough to tell';

GRANT SELECT ON aggcache.functions, aggcache.dependencies, aggcache.stats, aggcache.tables, aggcache.blame,
  aggcache.redis TO PUBLIC;

-- ---- Actions --------------------------------------------------------------------------------------------------------

CREATE FUNCTION aggcache.invalidate(function regprocedure) RETURNS bigint
  LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'aggcache_invalidate';
COMMENT ON FUNCTION aggcache.invalidate(regprocedure) IS
  'removes all results of a function at once, even if the transaction rolls back; returns how many; for the owner';

CREATE FUNCTION aggcache.invalidate(function regprocedure, VARIADIC args "any") RETURNS bigint
  LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'aggcache_invalidate_call';
COMMENT ON FUNCTION aggcache.invalidate(regprocedure, "any") IS
  'removes the result of the owner''s call with these arguments; returns 1 or 0; for the owner';

CREATE FUNCTION aggcache.invalidate_table(relation regclass) RETURNS void
  LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'aggcache_invalidate_table';
COMMENT ON FUNCTION aggcache.invalidate_table(regclass) IS
  'invalidates all results that read a table when the transaction commits; for the owner';

CREATE FUNCTION aggcache.invalidate_like(pattern text) RETURNS bigint
  LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'aggcache_invalidate_like';
COMMENT ON FUNCTION aggcache.invalidate_like(text) IS
  'removes all results of the current role''s functions whose name, with or without its schema, is LIKE the pattern; '
  'returns how many';

CREATE FUNCTION aggcache.invalidate_all() RETURNS bigint
  LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'aggcache_invalidate_all';
REVOKE ALL ON FUNCTION aggcache.invalidate_all() FROM PUBLIC;
COMMENT ON FUNCTION aggcache.invalidate_all() IS 'removes all results of this database; returns how many';

CREATE FUNCTION aggcache.mget(function regprocedure, VARIADIC args "any") RETURNS SETOF record
  LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'aggcache_mget';
COMMENT ON FUNCTION aggcache.mget(regprocedure, "any") IS
  'calls a cached function for many arguments, given as one array for each argument, and asks Redis for all results at '
  'once; returns the rows of all calls, each after the number of its call: mget(''f(int)'', ARRAY[1, 2]) AS r '
  '(ordinality bigint, …)';

CREATE FUNCTION aggcache.reset_stats() RETURNS void
  LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'aggcache_reset_stats';
REVOKE ALL ON FUNCTION aggcache.reset_stats() FROM PUBLIC;
COMMENT ON FUNCTION aggcache.reset_stats() IS
  'sets the counters of all functions and tables of the server, and of Redis, to zero';

CREATE FUNCTION aggcache.attach(relation regclass) RETURNS void
  LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'aggcache_attach';
COMMENT ON FUNCTION aggcache.attach(regclass) IS
  'puts the tracking triggers on a table and on children that inherit from it, and replaces altered ones; they stay '
  'until aggcache.detach(), whatever functions come and go; needs TRIGGER on the table, its partitions and its '
  'children';

CREATE FUNCTION aggcache.detach(relation regclass) RETURNS void
  LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'aggcache_detach';
COMMENT ON FUNCTION aggcache.detach(regclass) IS
  'takes tracking triggers and watches off a table; functions that read it are uncached until aggcache.refresh(); for '
  'the owner';

CREATE FUNCTION aggcache.set_cell_width(relation regclass, "column" name, width text DEFAULT NULL) RETURNS void
  LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'aggcache_set_cell_width';
COMMENT ON FUNCTION aggcache.set_cell_width(regclass, name, text) IS
  'sets the smallest width at which ranges of a column are distinguished: an interval for dates and timestamps, a '
  'whole number for numbers; null: the type''s default (1 day, 1 hour, 1); for the owner';

CREATE FUNCTION aggcache.refresh() RETURNS bigint
  LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'aggcache_refresh';
COMMENT ON FUNCTION aggcache.refresh() IS
  'finds again what the current role''s cached functions read, and tracks it, as is needed after a restore; uses each '
  'owner''s rights; returns the number of functions; warns of functions that fail and tables that stay untracked';

CREATE FUNCTION aggcache.refresh(function regprocedure) RETURNS void
  LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'aggcache_refresh_function';
COMMENT ON FUNCTION aggcache.refresh(regprocedure) IS
  'finds again what a cached function reads, and tracks it, with its owner''s rights; for the owner';

CREATE FUNCTION aggcache.wrap(function regprocedure, name text DEFAULT NULL) RETURNS regprocedure
  LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'aggcache_wrap';
COMMENT ON FUNCTION aggcache.wrap(regprocedure, text) IS
  'creates a cached function with the signature, options, grants and body of a function of language sql, named '
  'cached_… in the same schema unless a name is given; it belongs to the owner of the original if the caller has the '
  'owner''s privileges, else to the caller, who may then wrap only functions that run with their caller''s rights';
