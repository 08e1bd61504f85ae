-- the granularity of plain geometry is what it was
CREATE TABLE place (id int PRIMARY KEY, k int, g geometry(Point, 4326));
INSERT INTO place SELECT i, i % 3, ST_SetSRID(ST_MakePoint(i, 2), 4326) FROM generate_series(1, 9) i;
CREATE INDEX ON place USING gist (g);
CREATE FUNCTION near(kk int, x float8) RETURNS text LANGUAGE cached_sql STABLE AS $$
  SELECT string_agg(ST_AsText(g) || ST_Distance(g, ST_SetSRID(ST_MakePoint(x, 2), 4326)) || ST_AsText(ST_Buffer(g, 1), 2), ',' ORDER BY id)
  FROM place WHERE k = kk AND ST_DWithin(g, ST_SetSRID(ST_MakePoint(x, 2), 4326), 5) AND g && ST_MakeEnvelope(0, 0, 9, 9, 4326) $$;
SELECT state = 'cached' FROM aggcache.functions WHERE function::text LIKE 'near(%';
SELECT near(1, 2) IS NOT NULL, near(1, 2) IS NOT NULL;
UPDATE place SET g = ST_SetSRID(ST_MakePoint(5, 5), 4326) WHERE id = 3;
SELECT near(1, 2) IS NOT NULL;
SELECT result = 'hit' FROM aggcache.last_call();
-- what reads spatial_ref_sys says so, or is stated to
INSERT INTO spatial_ref_sys VALUES (900913, 'OTHER', 900913, '', '+proj=merc +a=6378137 +b=6378137 +x_0=0 +units=m +no_defs')
  ON CONFLICT (srid) DO UPDATE SET auth_name = 'OTHER', srtext = '', proj4text = excluded.proj4text;
DO $$ BEGIN
  CREATE FUNCTION refused(k int) RETURNS text LANGUAGE cached_sql STABLE AS 'SELECT max(ST_AsText(ST_Transform(g, 900913), 1)) FROM place';
  RAISE EXCEPTION 'not refused';
EXCEPTION WHEN invalid_function_definition THEN NULL;
END $$;
CREATE FUNCTION cached_xy(kk int) RETURNS text LANGUAGE cached_sql STABLE SET aggcache.depends_on = 'spatial_ref_sys'
  AS 'SELECT string_agg(ST_AsText(ST_Transform(g, 900913), 1), '','' ORDER BY id) FROM place WHERE k = kk';
CREATE FUNCTION plain_xy(kk int) RETURNS text LANGUAGE sql STABLE
  AS 'SELECT string_agg(ST_AsText(ST_Transform(g, 900913), 1), '','' ORDER BY id) FROM place WHERE k = kk';
SELECT cached_xy(1) = plain_xy(1);
SELECT cached_xy(1) = plain_xy(1);
SELECT cached_xy(1) = plain_xy(1);
SELECT result = 'hit' FROM aggcache.last_call();
UPDATE spatial_ref_sys SET proj4text = replace(proj4text, '+x_0=0', '+x_0=1000') WHERE srid = 900913;
\c -
SELECT cached_xy(1) = plain_xy(1);
