-- complain if script is sourced in psql, rather than via CREATE EXTENSION
\echo Use "CREATE EXTENSION pg_aggcache" to load this file. \quit

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

-- Both follow from the bodies of cached functions: they are not dumped, aggcache.refresh() makes them anew.
CREATE TABLE aggcache.dependency (
  function oid NOT NULL,
  relation oid NOT NULL,
  CONSTRAINT dependency_pkey PRIMARY KEY (function, relation)
);
CREATE INDEX dependency_relation_idx ON aggcache.dependency (relation);
COMMENT ON TABLE aggcache.dependency IS 'which cached function needs which table tracked';

CREATE TABLE aggcache.watch (
  relation oid NOT NULL,
  columns smallint[] NOT NULL,
  CONSTRAINT watch_pkey PRIMARY KEY (relation, columns)
);
COMMENT ON TABLE aggcache.watch IS 'sets of key columns by which changes of a table''s rows are told apart';
