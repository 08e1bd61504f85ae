-- whether a number with a wrong check digit is read depends on isn_weak()
CREATE TABLE book (number text);
INSERT INTO book VALUES ('978-0-393-04002-9');
DO $$ BEGIN
  CREATE FUNCTION refused() RETURNS text LANGUAGE cached_sql STABLE AS 'SELECT max(number::isbn13::text) FROM book';
  RAISE EXCEPTION 'not refused';
EXCEPTION WHEN invalid_function_definition THEN NULL;
END $$;
CREATE FUNCTION cached_read(t text) RETURNS text LANGUAGE cached_sql STABLE
  AS 'SELECT t::isbn13::text || count(*) FROM book';
CREATE FUNCTION is_read() RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN
  RETURN cached_read('978-0-393-04002-0') IS NOT NULL;
EXCEPTION WHEN invalid_text_representation THEN RETURN false;
END $$;
SELECT NOT is_read();
DO 'BEGIN PERFORM isn_weak(true); END';
SELECT is_read(), is_read();
DO 'BEGIN PERFORM isn_weak(false); END';
SELECT NOT is_read();
