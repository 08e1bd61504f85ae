-- Cached functions beside plain twins, and calls of both.
--   twin(name, arguments, result, body)  makes cached_<name> and plain_<name>
--   call                                 the calls to make, without prefix
--   probe()                              makes them; names those that were no hits, and those that differ
CREATE FUNCTION twin(name text, arguments text, result text, body text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE format('CREATE FUNCTION cached_%s(%s) RETURNS %s LANGUAGE cached_sql STABLE AS %L', name, arguments, result, body);
  EXECUTE format('CREATE FUNCTION plain_%s(%s) RETURNS %s LANGUAGE sql STABLE AS %L', name, arguments, result, body);
END $$;
CREATE TABLE call (id int GENERATED ALWAYS AS IDENTITY, call text);
-- makes the calls, and names those that were no hits
CREATE FUNCTION probe(OUT invalidated text, OUT wrong text) LANGUAGE plpgsql AS $$
DECLARE one text; cached text; plain text; outcome text;
BEGIN
  invalidated = ''; wrong = '';
  FOR one IN SELECT call FROM call ORDER BY id LOOP
    EXECUTE 'SELECT (SELECT string_agg(r::text, '';'' ORDER BY r::text) FROM cached_' || one || ' r), '
         || '(SELECT string_agg(r::text, '';'' ORDER BY r::text) FROM plain_' || one || ' r)' INTO cached, plain;
    SELECT result INTO outcome FROM aggcache.last_call();
    IF outcome <> 'hit' THEN invalidated = concat_ws(', ', nullif(invalidated, ''), one); END IF;
    IF outcome = 'uncached' THEN invalidated = invalidated || ' (uncached)'; END IF;
    IF cached IS DISTINCT FROM plain THEN wrong = concat_ws(', ', nullif(wrong, ''), one); END IF;
  END LOOP;
END $$;
