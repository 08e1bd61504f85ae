-- Runs functions with arguments made by their types, in one surrounding after the other,
-- and finds those whose results
-- differ; of these it makes cached functions, and compares them with plain ones in each surrounding.
--
--   INSERT INTO probe.wanted ...       the functions, by oid
--   CALL probe.make_values();
--   SELECT statement FROM probe.preparation \gexec       finds calls that succeed, and keeps their results
--   SELECT probe.look();               in another surrounding: notes the calls whose results differ
--   CALL probe.make_twins();           in the first one again
--   SELECT * FROM probe.compare();     in each surrounding: the twins that differ

CREATE SCHEMA probe;
CREATE TYPE probe.mood AS ENUM ('good', 'bad');
CREATE TYPE probe.pair AS (at timestamptz, amount float8, mood probe.mood, bytes bytea);
CREATE TEXT SEARCH CONFIGURATION probe.words (COPY = pg_catalog.english);
CREATE TABLE probe.parted (k int) PARTITION BY RANGE (k);
CREATE TABLE probe.part PARTITION OF probe.parted FOR VALUES FROM (0) TO (10);

CREATE TABLE probe.wanted (f oid PRIMARY KEY);

-- ---- Values -------------------------------------------------------------------------------------------------------

CREATE TABLE probe.literal (type regtype, literal text);
INSERT INTO probe.literal VALUES
  ('timestamptz', '2020-03-01 02:00+00'), ('timestamptz', '2020-01-31 03:00+00'), ('timestamptz',
    '2024-07-04 12:34:56.789+02'),
  ('timestamp', '2020-03-01 02:00'), ('timestamp', '2020-01-31 03:00:01.5'), ('date', '2020-03-01'), ('date',
    '2020-01-31'),
  ('time', '02:30'), ('time', '23:59:58.5'), ('timetz', '12:00+02'), ('timetz', '01:30-05:30'),
  ('interval', '1 day 02:03:04'), ('interval', '1 mon -2 days'), ('interval', '-1 year'), ('interval', '02:00'),
  ('text', 'hour'), ('text', 'UTC'), ('text', 'IST'), ('text', 'Europe/Paris'), ('text',
    'YYYY-MM-DD HH24:MI TZ L9D9'),
  ('text', 'äé'), ('text', '2020-03-01 02:00'), ('text', '1.5'), ('text', 'the running foxes'), ('text', 'default'),
  ('text', '{a,NULL}'), ('text', '<a>1</a>'), ('text', 'x'), ('text', '1 day'), ('text', 'SELECT'), ('text', '1'),
    ('text', '[]'),
  ('name', 'Mixed'), ('name', 'UTF8'), ('name', 'LATIN1'), ('"char"', 'x'), ('bpchar', 'ab '), ('varchar', 'äb'),
  ('bool', 'true'), ('bool', 'false'), ('int2', '1'), ('int2', '3'), ('int4', '1'), ('int4', '2'), ('int4', '0'),
    ('int8', '1'), ('int8', '5'),
  ('oid', '1259'), ('oid', '3722'), ('oid', '403'), ('float4', '0.3333333'), ('float4', '2'), ('float8',
    '0.3333333333333333'), ('float8', '2'),
  ('numeric', '1.5'), ('numeric', '7'), ('numeric', '0.25'), ('money', '12.5'), ('bytea', '\x4142ff'), ('bytea',
    '\x'),
  ('json', '{"a": [1, 2.5, "äx"], "t": "2020-03-01T02:00:00+00:00"}'), ('json', '[1, 2]'),
  ('jsonb', '{"a": [1, 2.5, "äx"], "t": "2020-03-01T02:00:00+00:00"}'), ('jsonb', '[1, 2]'),
  ('jsonpath', '$.a[*]'), ('jsonpath', '$.t.datetime()'), ('xml', '<a>1</a>'), ('bit', '1'), ('varbit', '101'),
  ('inet', '10.1.2.3/8'), ('cidr', '10.0.0.0/8'), ('macaddr', '08:00:2b:01:02:03'), ('macaddr8',
    '08:00:2b:01:02:03:04:05'),
  ('uuid', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'), ('point', '(0.3333333333333333,2)'), ('lseg',
    '[(0,0),(0.3333333333333333,2)]'),
  ('path', '((0,0),(0.3333333333333333,2),(3,1))'), ('box', '(3,2),(0,0.3333333333333333)'), ('polygon',
    '((0,0),(0.3333333333333333,2),(3,1))'),
  ('line', '{1,0.3333333333333333,2}'), ('circle', '<(0,0.3333333333333333),2>'), ('tsvector', 'äb:1A foxes:2'),
    ('tsquery', 'äb & foxes'),
  ('pg_lsn', '0/1000'), ('xid', '3'), ('cid', '3'), ('xid8', '3'), ('tid', '(0,1)'), ('txid_snapshot', '10:20:12'),
    ('pg_snapshot', '10:20:12'),
  ('refcursor', 'c'), ('int2vector', '1 2'), ('oidvector', '1 2'), ('aclitem', '=r/pg_monitor'),
  ('regclass', 'probe.parted'), ('regclass', 'probe.part'), ('regtype', 'text'), ('regproc', 'now'),
    ('regprocedure', 'upper(text)'), ('regoper', '!~~'),
  ('regoperator', '+(int4,int4)'), ('regconfig', 'probe.words'), ('regdictionary', 'english_stem'), ('regrole',
    'pg_monitor'),
  ('regnamespace', 'probe'), ('regcollation', '"C"'),
  ('tstzrange', '[2020-03-01 02:00+00,2020-03-05 00:00+00)'), ('tsrange', '[2020-03-01,2020-03-05)'), ('daterange',
    '[2020-03-01,2020-03-05)'),
  ('int4range', '[1,5)'), ('int8range', '[1,5)'), ('numrange', '[1,5)'), ('tstzmultirange',
    '{[2020-03-01 02:00+00,2020-03-05 00:00+00)}'),
  ('tsmultirange', '{[2020-03-01,2020-03-05)}'), ('datemultirange', '{[2020-03-01,2020-03-05)}'), ('int4multirange',
    '{[1,5)}'),
  ('int8multirange', '{[1,5)}'), ('nummultirange', '{[1,5)}'), ('probe.mood', 'good'), ('probe.mood', 'bad'),
  ('probe.pair', '(2020-03-01 02:00+00,0.3333333333333333,good,"\\x41ff")');

-- For types that are not listed, what their input functions take.
CREATE TABLE probe.guess (literal text);
INSERT INTO probe.guess VALUES ('1'), ('1.5'), ('0.3333333333333333'), ('abc'), ('a=>1, b=>äb'),
  ('(0.3333333333333333,2)'), ('{1,2}'), ('[1,2,3]'), ('1.2.3'),
  ('192.168.0.1'), ('192.168.0.0/16'), ('Top.Science'), ('978-0-393-04002-9'), ('9780393040029'), ('M-2306-7118-7'),
    ('1436-4522'),
  ('SRID=4326;POINT(1 2)'), ('SRID=4326;LINESTRING(1 2,3 4,5 1)'), ('SRID=4326;POLYGON((0 0,0 1,1 1,1 0,0 0))'),
  ('SRID=3857;POLYGON((0 0,0 9,9 9,9 0,0 0))'), ('POINT(3 4)'), ('BOX(0 0,1 1)'), ('BOX3D(0 0 0,1 1 1)'),
    ('SPHEROID["WGS 84",6378137,298.257223563]'),
  ('{1:1,3:2}/4'), ('{1:3,2:2}/4'), ('[3,1,2]'), ('8a63a9a99999fff'), ('8a63a9a99997fff'), ('\x10'), ('1 km'),
    ('1/3'), ('<(0,1),2>'), ('1..2'), ('XIV'),
  ('101'), ('123[4-6]'), ('"a" = 1'), ('a & b'), ('*.Science'), ('1 & 2'),
    ('flags 0 count 3 compression 10 centroids 2 (1.000000, 2) (3.000000, 1)');

CREATE TABLE probe.sample (type oid, n int, source text, place int, PRIMARY KEY (type, n));

CREATE FUNCTION probe.column_of(type oid, n int) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT format('c%s_%s',
  type, n) $$;

-- The types whose values stand for a polymorphic one, in turn.
CREATE FUNCTION probe.stand_in(type oid, turn int) RETURNS oid LANGUAGE sql STABLE AS $$
  SELECT CASE format_type(type, NULL)
    WHEN 'cstring' THEN 'text'::regtype::oid
    WHEN 'record' THEN 'probe.pair'::regtype
    WHEN 'anyenum' THEN 'probe.mood'::regtype
    WHEN 'anyrange' THEN (ARRAY['tstzrange', 'numrange', 'daterange']::regtype[])[1 + turn % 3]
    WHEN 'anycompatiblerange' THEN (ARRAY['tstzrange', 'numrange', 'daterange']::regtype[])[1 + turn % 3]
    WHEN 'anymultirange' THEN (ARRAY['tstzmultirange', 'nummultirange', 'datemultirange']::regtype[])[1 + turn % 3]
    WHEN 'anycompatiblemultirange' THEN (ARRAY['tstzmultirange', 'nummultirange',
      'datemultirange']::regtype[])[1 + turn % 3]
    WHEN 'anyarray' THEN (ARRAY['timestamptz[]', 'numeric[]', 'date[]', 'float8[]', 'text[]', 'probe.mood[]',
      'bytea[]']::regtype[])[1 + turn]
    WHEN 'anycompatiblearray' THEN (ARRAY['timestamptz[]', 'numeric[]', 'date[]', 'float8[]', 'text[]',
      'probe.mood[]', 'bytea[]']::regtype[])[1 + turn]
    WHEN 'anyelement' THEN (ARRAY['timestamptz', 'numeric', 'date', 'float8', 'text', 'probe.mood',
      'bytea']::regtype[])[1 + turn]
    WHEN 'anynonarray' THEN (ARRAY['timestamptz', 'numeric', 'date', 'float8', 'text', 'probe.mood',
      'bytea']::regtype[])[1 + turn]
    WHEN 'anycompatible' THEN (ARRAY['timestamptz', 'numeric', 'date', 'float8', 'text', 'probe.mood',
      'bytea']::regtype[])[1 + turn]
    WHEN 'anycompatiblenonarray' THEN (ARRAY['timestamptz', 'numeric', 'date', 'float8', 'text', 'probe.mood',
      'bytea']::regtype[])[1 + turn]
    WHEN '"any"' THEN (ARRAY['timestamptz', 'numeric', 'date', 'float8', 'text', 'probe.mood',
      'bytea']::regtype[])[1 + turn]
    ELSE type
  END::oid $$;

CREATE FUNCTION probe.try(statement text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE statement;
  RETURN true;
EXCEPTION WHEN OTHERS THEN
  RETURN false;
END $$;

CREATE PROCEDURE probe.make_values() LANGUAGE plpgsql AS $$
DECLARE
  t oid;
  element oid;
  candidate text;
  n int;
  statement text;
  places int;
BEGIN
  FOR t IN
    SELECT DISTINCT probe.stand_in(a, turn) FROM pg_proc p, unnest(p.proargtypes) a, generate_series(0, 6) turn
      WHERE p.oid IN (SELECT f FROM probe.wanted)
    UNION SELECT typelem FROM pg_type WHERE typelem <> 0 AND typlen = -1 AND oid IN
      (SELECT DISTINCT probe.stand_in(a, turn) FROM pg_proc p, unnest(p.proargtypes) a, generate_series(0, 6) turn
        WHERE p.oid IN (SELECT f FROM probe.wanted))
    ORDER BY 1
  LOOP
    n := 0;
    CONTINUE WHEN (SELECT typtype FROM pg_type WHERE oid = t) = 'p';
    FOR candidate IN
      SELECT literal FROM probe.literal WHERE type = t
      UNION ALL
      SELECT literal FROM probe.guess WHERE NOT EXISTS (SELECT FROM probe.literal WHERE type = t)
        AND NOT EXISTS (SELECT FROM pg_type e JOIN pg_type a ON a.typelem = e.oid WHERE a.oid = t AND a.typlen = -1)
    LOOP
      CONTINUE WHEN n = 17 OR (n = 5 AND t <> 'text'::regtype);
      CONTINUE WHEN NOT probe.try(format('SELECT %L::%s', candidate, format_type(t, NULL)));
      n := n + 1;
      INSERT INTO probe.sample VALUES (t, n, format('%L::%s', candidate, format_type(t, NULL)));
    END LOOP;
  END LOOP;
  -- arrays of those
  FOR t, element IN
    SELECT a.oid, a.typelem FROM pg_type a WHERE a.typelem <> 0 AND a.typlen = -1 AND a.typcategory = 'A'
      AND a.typelem IN (SELECT type FROM probe.sample) AND NOT EXISTS (SELECT FROM probe.sample WHERE type = a.oid)
  LOOP
    statement := (SELECT 'ARRAY[' || string_agg(source, ', ' ORDER BY sample.n) || ']' FROM probe.sample WHERE type
      = element AND sample.n <= 3);
    IF probe.try('SELECT ' || statement) THEN
      INSERT INTO probe.sample VALUES (t, 1, statement);
    END IF;
  END LOOP;
  -- A row each of a few tables: one row cannot hold them all.
  UPDATE probe.sample SET place = hashtext(type::text) & 3;
  FOR places IN 0..3 LOOP
    statement := (SELECT string_agg(format('%s AS %s', source, probe.column_of(type, sample.n)),
      ', ') FROM probe.sample WHERE place = places);
    EXECUTE format('CREATE TABLE probe.v%s AS SELECT %s', places, coalesce(statement, '1 AS nothing'));
    EXECUTE format('ANALYZE probe.v%s', places);
  END LOOP;
END $$;

-- ---- Calls --------------------------------------------------------------------------------------------------------

CREATE TABLE probe.call (
  id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  f oid,
  columns text[],  -- of the arguments
  types oid[],     -- of these columns
  shape text,      -- how the value is made comparable: send, text, or cstring
  value text,      -- in the first surrounding
  differs boolean DEFAULT false
);
CREATE INDEX ON probe.call (f);

-- The call as an expression, with these as arguments.
CREATE FUNCTION probe.call_text(f oid, arguments text[]) RETURNS text LANGUAGE plpgsql STABLE AS $$
DECLARE
  p pg_proc := (SELECT pg_proc FROM pg_proc WHERE oid = f);
  a pg_aggregate := (SELECT pg_aggregate FROM pg_aggregate WHERE aggfnoid = f);
  given text[] := ARRAY[]::text[];
  name text := format('%s.%I', (SELECT quote_ident(nspname) FROM pg_namespace WHERE oid = p.pronamespace), p.proname);
BEGIN
  FOR i IN 1..cardinality(arguments) LOOP
    given := given || CASE
      WHEN p.proargtypes[i - 1] = 'cstring'::regtype THEN format('pg_catalog.textout(%s)', arguments[i])
      WHEN p.provariadic <> 0 AND i = cardinality(arguments) AND p.proargtypes[i - 1] <> '"any"'::regtype THEN
        'VARIADIC ' || arguments[i]
      ELSE arguments[i]
    END;
  END LOOP;
  IF a.aggkind <> 'n' THEN
    RETURN format('%s(%s) WITHIN GROUP (ORDER BY %s)', name, array_to_string(given[1:a.aggnumdirectargs], ', '),
      array_to_string(given[a.aggnumdirectargs + 1:], ', '));
  END IF;
  RETURN format('%s(%s)%s', name, CASE WHEN p.prokind = 'a' AND given = '{}' THEN '*' ELSE array_to_string(given,
    ', ') END,
    CASE p.prokind WHEN 'w' THEN ' OVER ()' ELSE '' END);
END $$;

CREATE FUNCTION probe.shaped(shape text, value text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE shape WHEN 'send' THEN format('pg_catalog.encode(pg_catalog.record_send(ROW(%s)), ''hex'')', value)
    WHEN 'cstring' THEN format('pg_catalog.textin(%s)', value) ELSE format('(%s)::text', value) END $$;

CREATE FUNCTION probe.value_text(f oid, columns text[], shape text) RETURNS text LANGUAGE sql STABLE AS $$
  SELECT CASE WHEN proretset
    THEN format('(SELECT pg_catalog.string_agg(%s, ''|'') FROM %s AS r)', probe.shaped(shape, 'r'),
      probe.call_text(f, columns))
    ELSE probe.shaped(shape, probe.call_text(f, columns)) END
  FROM pg_proc WHERE oid = f $$;

CREATE FUNCTION probe.values_of(f oid) RETURNS text[] LANGUAGE plpgsql AS $$
DECLARE
  result text[];
BEGIN
  EXECUTE (SELECT format('SELECT ARRAY[%s]::text[] FROM probe.v0, probe.v1, probe.v2, probe.v3',
      string_agg(probe.value_text(c.f, c.columns, c.shape), ', ' ORDER BY c.id))
    FROM probe.call c WHERE c.f = values_of.f) INTO result;
  RETURN result;
EXCEPTION WHEN OTHERS THEN
  RETURN NULL;
END $$;

-- The argument columns of combination k of these types; spread over all, where they are many.
CREATE FUNCTION probe.combination(types oid[], counts int[], k int) RETURNS text[] LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
  total bigint := 1;
  rest bigint;
  columns text[] := ARRAY[]::text[];
BEGIN
  FOR i IN 1..cardinality(counts) LOOP
    total := least(total * counts[i], 100000);
  END LOOP;
  IF k >= total THEN
    RETURN NULL;
  END IF;
  rest := CASE WHEN total <= 40 THEN k ELSE (k::bigint * 7919) % total END;
  FOR i IN 1..cardinality(counts) LOOP
    columns := columns || probe.column_of(types[i], (1 + rest % counts[i])::int);
    rest := rest / counts[i];
  END LOOP;
  RETURN columns;
END $$;

CREATE PROCEDURE probe.find_calls(wanted oid) LANGUAGE plpgsql AS $$
DECLARE
  p pg_proc := (SELECT pg_proc FROM pg_proc WHERE oid = wanted);
  shapes text[] := CASE WHEN p.prorettype = 'cstring'::regtype THEN ARRAY['cstring'] ELSE ARRAY['send', 'text'] END;
  shape text;
  stand_ins oid[];
  counts int[];
  found int := 0;
  columns text[];
BEGIN
  FOR turn IN 0..6 LOOP
    EXIT WHEN found >= 12;
    stand_ins := ARRAY(SELECT probe.stand_in(a, turn) FROM unnest(p.proargtypes) WITH ORDINALITY AS u(a,
      i) ORDER BY i);
    EXIT WHEN turn > 0 AND stand_ins = p.proargtypes::oid[];
    CONTINUE WHEN EXISTS (SELECT FROM probe.call c WHERE c.f = wanted AND c.types = stand_ins);
    counts := ARRAY(SELECT (SELECT count(*) FROM probe.sample WHERE type = s)::int FROM unnest(stand_ins) WITH
      ORDINALITY AS u(s, i) ORDER BY i);
    CONTINUE WHEN 0 = ANY (counts);
    -- at once, if all succeed
    IF probe.try((SELECT format('SELECT ARRAY[%s]::text[] FROM probe.v0, probe.v1, probe.v2, probe.v3',
        string_agg(probe.value_text(wanted, probe.combination(stand_ins, counts, k), shapes[1]), ', '))
      FROM generate_series(0, 7) k WHERE probe.combination(stand_ins, counts, k) IS NOT NULL))
    THEN
      INSERT INTO probe.call (f, columns, types, shape)
        SELECT wanted, probe.combination(stand_ins, counts, k), stand_ins, shapes[1] FROM generate_series(0, 7) k
        WHERE probe.combination(stand_ins, counts, k) IS NOT NULL;
      found := found + 8;
      CONTINUE;
    END IF;
    FOR k IN 0..39 LOOP
      columns := probe.combination(stand_ins, counts, k);
      EXIT WHEN found >= 12 OR columns IS NULL;
      FOREACH shape IN ARRAY shapes LOOP
        IF probe.try(format('SELECT %s FROM probe.v0, probe.v1, probe.v2, probe.v3', probe.value_text(wanted,
          columns, shape))) THEN
          INSERT INTO probe.call (f, columns, types, shape) VALUES (wanted, columns, stand_ins, shape);
          found := found + 1;
          shapes := ARRAY[shape];
          EXIT;
        END IF;
      END LOOP;
    END LOOP;
  END LOOP;
END $$;

-- By psql's \gexec, so that one that takes too long is left out.
CREATE VIEW probe.preparation AS
  SELECT format('CALL probe.prepare(%s)', w.f) AS statement FROM probe.wanted w JOIN pg_proc p ON p.oid = w.f
    WHERE p.prorettype NOT IN ('void'::regtype, 'internal'::regtype, 'trigger'::regtype, 'event_trigger'::regtype)
    ORDER BY w.f;

CREATE PROCEDURE probe.prepare(wanted oid) LANGUAGE plpgsql AS $$
DECLARE
  results text[];
BEGIN
  CALL probe.find_calls(wanted);
  results := probe.values_of(wanted);
  UPDATE probe.call c SET value = results[n.position]
    FROM (SELECT id, row_number() OVER (ORDER BY id) AS position FROM probe.call WHERE f = wanted) n
    WHERE n.id = c.id;
END $$;

-- Returns how many functions differ that did not before.
CREATE FUNCTION probe.look() RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  wanted oid;
  results text[];
  before bigint := (SELECT count(DISTINCT f) FROM probe.call WHERE differs);
BEGIN
  FOR wanted IN SELECT DISTINCT f FROM probe.call ORDER BY 1 LOOP
    results := probe.values_of(wanted);
    UPDATE probe.call c SET differs = true
      FROM (SELECT id, row_number() OVER (ORDER BY id) AS position FROM probe.call WHERE f = wanted) n
      WHERE n.id = c.id AND NOT c.differs AND c.value IS DISTINCT FROM results[n.position];
  END LOOP;
  RETURN (SELECT count(DISTINCT f) FROM probe.call WHERE differs) - before;
END $$;

-- ---- Twins --------------------------------------------------------------------------------------------------------

CREATE TABLE probe.twin (id int PRIMARY KEY, f oid, cached text, plain text);
CREATE TABLE probe.refused (f oid, words text);

CREATE FUNCTION probe.make_twin(call probe.call, on_rows boolean) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  p pg_proc := (SELECT pg_proc FROM pg_proc WHERE oid = call.f);
  number int := 2 * call.id + on_rows::int;
  type text;
  arguments text[] := call.columns;
  signature text := '';
  given text := '';
  body text;
  value text;
BEGIN
  IF NOT on_rows THEN
    arguments := ARRAY(SELECT '$' || i FROM generate_subscripts(call.columns, 1) i);
    signature := array_to_string(ARRAY(SELECT format_type(t, NULL) FROM unnest(call.types) t), ', ');
    given := array_to_string(call.columns, ', ');
  END IF;
  value := CASE WHEN call.shape = 'cstring' THEN 'pg_catalog.textin(%s)' ELSE '%s' END;
  EXECUTE format('SELECT pg_catalog.format_type(pg_catalog.pg_typeof(%s), NULL) FROM probe.v0, probe.v1, probe.v2,
    probe.v3 LIMIT 1',
    CASE WHEN p.proretset THEN format('(SELECT r FROM %s AS r LIMIT 1)', probe.call_text(call.f, call.columns))
      ELSE format(value, probe.call_text(call.f, call.columns)) END) INTO type;
  body := CASE WHEN p.proretset THEN format('SELECT r FROM probe.v0, probe.v1, probe.v2, probe.v3, %s AS r',
    probe.call_text(call.f, arguments))
    ELSE format('SELECT %s FROM probe.v0, probe.v1, probe.v2, probe.v3', format(value, probe.call_text(call.f,
      arguments))) END;
  BEGIN
    EXECUTE format('CREATE FUNCTION probe.c%s(%s) RETURNS %s %s LANGUAGE cached_sql STABLE AS %L', number, signature,
      CASE WHEN p.proretset THEN 'SETOF' ELSE '' END, type, body);
  EXCEPTION WHEN invalid_function_definition THEN
    INSERT INTO probe.refused VALUES (call.f, SQLERRM);
    RETURN;
  END;
  EXECUTE format('CREATE FUNCTION probe.p%s(%s) RETURNS %s %s LANGUAGE sql STABLE AS %L', number, signature,
    CASE WHEN p.proretset THEN 'SETOF' ELSE '' END, type, body);
  value := CASE WHEN p.proretset THEN format('(SELECT pg_catalog.string_agg(%s, ''|'') FROM probe.%%s%s(%s) r)',
      probe.shaped(call.shape, 'r'), number, given)
    ELSE probe.shaped(CASE call.shape WHEN 'cstring' THEN 'text' ELSE call.shape END, format('probe.%%s%s(%s)',
      number, given)) END;
  INSERT INTO probe.twin VALUES (number, call.f, format(value, 'c'), format(value, 'p'));
EXCEPTION WHEN OTHERS THEN
  -- a row that no function can return: the body must not be cached
  BEGIN
    EXECUTE format('CREATE FUNCTION probe.c%s() RETURNS bigint LANGUAGE cached_sql STABLE AS %L', number,
      format('SELECT count(*) FROM probe.v0, probe.v1, probe.v2, probe.v3 WHERE (%s) IS NOT NULL',
        CASE WHEN p.proretset THEN format('SELECT count(r) FROM %s AS r', probe.call_text(call.f, call.columns))
          ELSE probe.call_text(call.f, call.columns) END));
    INSERT INTO probe.twin SELECT number, call.f, quote_literal(state),
      '''uncached''' FROM aggcache.functions WHERE function = to_regprocedure(format('probe.c%s()', number));
  EXCEPTION WHEN OTHERS THEN
    INSERT INTO probe.refused VALUES (call.f, SQLERRM);
  END;
END $$;

-- Of the calls that differ, some of each function, on rows and on arguments.
CREATE PROCEDURE probe.make_twins() LANGUAGE plpgsql AS $$
DECLARE
  call probe.call;
BEGIN
  FOR call IN SELECT (c).* FROM (SELECT c, row_number() OVER (PARTITION BY f ORDER BY id) AS n FROM probe.call c
    WHERE differs) ranked WHERE n <= 3
  LOOP
    PERFORM probe.make_twin(call, true);
    PERFORM probe.make_twin(call, false);
  END LOOP;
END $$;

CREATE FUNCTION probe.answer(expression text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  result text;
BEGIN
  EXECUTE format('SELECT %s FROM probe.v0, probe.v1, probe.v2, probe.v3', expression) INTO result;
  RETURN result;
EXCEPTION WHEN OTHERS THEN
  RETURN 'error ' || SQLSTATE;
END $$;

CREATE FUNCTION probe.compare(OUT f regprocedure, OUT cached text,
  OUT plain text) RETURNS SETOF record LANGUAGE sql AS $$
  SELECT f::regprocedure, c, p FROM (SELECT f, probe.answer(cached) AS c,
    probe.answer(plain) AS p FROM probe.twin ORDER BY id) answers
    WHERE c IS DISTINCT FROM p $$;
