-- Conditions that leave more rows than they seem to: each write is seen by the next call.
CREATE SCHEMA clauses;
SET search_path = clauses;
SET client_min_messages = warning;
SET timezone = 'America/New_York';
CREATE COLLATION loose (PROVIDER = icu, LOCALE = 'und-u-ks-level2', DETERMINISTIC = false);
CREATE TABLE item (dept int, name text COLLATE "C", amount numeric, day date, moment timestamp);
INSERT INTO item VALUES (1, 'a', 1, '2020-01-01', '2020-01-01 00:00');

-- cached_NAME and plain_NAME
CREATE FUNCTION make(name text, arguments text, condition text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE format('CREATE FUNCTION cached_%s(%s) RETURNS bigint LANGUAGE cached_sql STABLE
                  AS ''SELECT count(*) FROM clauses.item WHERE %s''', name, arguments, condition);
  EXECUTE format('CREATE FUNCTION plain_%s(%s) RETURNS bigint LANGUAGE sql STABLE
                  AS ''SELECT count(*) FROM clauses.item WHERE %s''', name, arguments, condition);
END $$;
-- these have the columns watched as keys
SELECT make('dept', 'x int', 'dept = x');
SELECT make('name', 'x text', 'name = x');
SELECT make('present', '', 'dept IS NOT NULL');
SELECT make('all', 'x int[]', 'dept = ALL (x)');
SELECT make('like', 'x text', 'name = x COLLATE clauses.loose');
SELECT make('turned', 'x numeric, y numeric', 'x <= amount AND y > amount');
SELECT make('above', 'x numeric', 'amount > x');
SELECT make('before', 'x timestamp', 'day < x');
SELECT make('zoned', 'x timestamptz', 'moment >= x');

CREATE VIEW answers AS
  SELECT cached_dept(1) = plain_dept(1) AS dept, cached_name('a') = plain_name('a') AS name,
         cached_present() = plain_present() AS present, cached_all('{}') = plain_all('{}') AS "all",
         cached_like('a') = plain_like('a') AS "like", cached_turned(5, 10) = plain_turned(5, 10) AS turned,
         cached_above(5) = plain_above(5) AS above,
         cached_before('2020-01-02 12:00') = plain_before('2020-01-02 12:00') AS before,
         cached_zoned('2020-01-03 12:00+00') = plain_zoned('2020-01-03 12:00+00') AS zoned;
SELECT * FROM answers;
SELECT * FROM answers;
INSERT INTO item (dept) VALUES (7);
SELECT * FROM answers;
INSERT INTO item (name) VALUES ('A');
SELECT * FROM answers;
INSERT INTO item (amount) VALUES (7);
SELECT * FROM answers;
INSERT INTO item (amount) VALUES ('NaN');
SELECT * FROM answers;
INSERT INTO item (day) VALUES ('2020-01-02');
SELECT * FROM answers;
INSERT INTO item (moment) VALUES ('2020-01-03 10:00');
SELECT * FROM answers;
-- far beyond the cells
INSERT INTO item (amount) VALUES (1e30);
SELECT * FROM answers;
INSERT INTO item (day) VALUES ('1000-01-01');
SELECT * FROM answers;
UPDATE item SET dept = NULL WHERE dept = 7;
SELECT * FROM answers;
UPDATE item SET amount = 6 WHERE amount = 1;
SELECT * FROM answers;

-- a whole row has every column
CREATE TABLE pair (a int, b int);
CREATE FUNCTION cached_pairs() RETURNS bigint LANGUAGE cached_sql STABLE AS 'SELECT count(DISTINCT p) FROM clauses.pair p';
INSERT INTO pair VALUES (1, 1), (1, 2);
SELECT cached_pairs();
SELECT cached_pairs();
SELECT result, reason FROM aggcache.last_call();
UPDATE pair SET b = 1;
SELECT cached_pairs();

-- partitions that are read as a whole count each by itself
CREATE TABLE split (k int, n int) PARTITION BY LIST (k);
CREATE TABLE split1 PARTITION OF split FOR VALUES IN (1);
CREATE TABLE split2 PARTITION OF split FOR VALUES IN (2);
CREATE FUNCTION cached_split() RETURNS text LANGUAGE cached_sql STABLE
AS $$ SELECT count(DISTINCT split) || ' ' || sum(k + n) FROM clauses.split $$;
SELECT cached_split();
INSERT INTO split VALUES (1, 1);
SELECT cached_split();
SELECT result, reason FROM aggcache.last_call();
INSERT INTO split VALUES (2, 1);
SELECT cached_split();
UPDATE split SET n = 10 WHERE k = 2;
SELECT cached_split();

DROP SCHEMA clauses CASCADE;
