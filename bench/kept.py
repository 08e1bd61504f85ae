"""Reads beside a stream of writes: results that writes keep current, results that they end, the plain query, and a
summary table that a statement-level trigger written by hand keeps. Each on a table of its own, of a million tasks of
200 departments; four readers of departments, a few of which are asked for most, beside two writers of single rows."""

import os
import statistics
import subprocess

DEPARTMENTS = 200
CONTENDERS = ("kept", "invalidated", "plain", "summary")
BODY = "SELECT status, count(*), sum(hours) FROM kept_task_%s WHERE department_id = d GROUP BY status ORDER BY status"

SUMMARY = [
    """CREATE TABLE kept_summary (department_id int, status text, tasks bigint, hours numeric,
  PRIMARY KEY (department_id, status)) WITH (fillfactor = 50)""",
    """CREATE FUNCTION kept_summarise() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO kept_summary AS s
    SELECT department_id, status, sum(n), sum(h) FROM (
      SELECT department_id, status, count(*) AS n, sum(hours) AS h FROM new_rows GROUP BY 1, 2
      UNION ALL SELECT department_id, status, -count(*), -sum(hours) FROM old_rows GROUP BY 1, 2) x GROUP BY 1, 2
    ORDER BY 1, 2
    ON CONFLICT (department_id, status) DO UPDATE
      SET tasks = s.tasks + excluded.tasks, hours = s.hours + excluded.hours;
  RETURN NULL;
END $$""",
    """INSERT INTO kept_summary
  SELECT department_id, status, count(*), sum(hours) FROM kept_task_summary GROUP BY 1, 2""",
    """CREATE TRIGGER summarise AFTER UPDATE ON kept_task_summary
  REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
  FOR EACH STATEMENT EXECUTE FUNCTION kept_summarise()""",
    """CREATE FUNCTION kept_rows_summary(d int) RETURNS TABLE (status text, tasks bigint, hours numeric)
  LANGUAGE sql VOLATILE
  AS 'SELECT status, tasks, hours FROM kept_summary WHERE department_id = d ORDER BY status'"""]


def make(bench, rows):
    for name in CONTENDERS + ("untracked",):
        bench.run("CREATE TABLE kept_task_%s (id int PRIMARY KEY, department_id int NOT NULL, status text NOT NULL, "
                  "hours numeric(8,2) NOT NULL) WITH (fillfactor = 80)" % name)
        bench.run("INSERT INTO kept_task_%s SELECT i, 1 + i %% %d, 's' || (i / %d) %% 5, (i %% 800) / 100.0 "
                  "FROM generate_series(1, %d) i" % (name, DEPARTMENTS, DEPARTMENTS, rows))
        bench.run("CREATE INDEX ON kept_task_%s (department_id)" % name)
    for name, language in (("kept", "cached_sql STABLE SET aggcache.keep_current = on"),
                           ("invalidated", "cached_sql STABLE"), ("plain", "sql VOLATILE")):
        bench.run("CREATE FUNCTION kept_rows_%s(d int) RETURNS TABLE (status text, tasks bigint, hours numeric) "
                  "LANGUAGE %s AS '%s'" % (name, language, BODY % name))
    for statement in SUMMARY:
        bench.run(statement)
    bench.run("VACUUM ANALYZE")


def writers(bench, name, rows, seconds, rate):
    """A pgbench of two writers in the background, at so many updates a second, or as fast as they can."""
    path = os.path.join(bench.server.directory, "writers.sql")
    with open(path, "w") as file:
        file.write("\\set id random(1, %d)\nUPDATE kept_task_%s SET hours = hours + 0.01 WHERE id = :id;\n"
                   % (rows, name))
    return subprocess.Popen(
        [bench.server.program("pgbench"), "-n", "-M", "prepared", "-h", bench.server.directory, "-p",
         str(bench.server.port), "-U", "postgres", "-c", "2", "-j", "1", "-T", str(seconds), "-f", path]
        + (["-R", str(rate)] if rate else []) + ["postgres"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def written(process):
    for line in process.communicate()[0].splitlines():
        if line.startswith("tps = "):
            return float(line.split()[2])
    raise RuntimeError("pgbench said nothing")


def turn(bench, name, rows, seconds, rate):
    """Reads and writes a second."""
    writing = writers(bench, name, rows, seconds + 1, rate)
    script = "\\set d random_zipfian(1, %d, 1.2)\nSELECT * FROM kept_rows_%s(:d);" % (DEPARTMENTS, name)
    reads = bench.pgbench(script, 4, seconds)
    return reads, written(writing)


def run(bench):
    rows, rounds, seconds = (100000, 3, 2) if bench.quick else (1000000, 5, 4)
    make(bench, rows)
    bench.run("SELECT count(*) FROM generate_series(1, %d) d, kept_rows_kept(d)" % DEPARTMENTS)
    values = bench.in_turns(rounds, {name: (lambda n=name: turn(bench, n, rows, seconds, 1000)) for name in CONTENDERS})
    reads = {name: [value[0] for value in values[name]] for name in CONTENDERS}
    for name in CONTENDERS:
        bench.report("60", "%s: reads a second beside 1,000 writes a second" % name, statistics.median(reads[name]), "")
    bench.ratio("60", "reads beside 1,000 writes a second: kept / summary table", reads["kept"], reads["summary"], 1.0,
                True)
    bench.ratio("60", "reads beside 1,000 writes a second: kept / invalidated", reads["kept"], reads["invalidated"], 40,
                True)
    bench.ratio("60", "reads beside 1,000 writes a second: kept / plain", reads["kept"], reads["plain"], None, True)

    group = "\\set i random(0, 49)\nUPDATE kept_task_%s SET hours = hours + 0.01 WHERE id = 200 * :i + 7;"
    names = ("kept", "summary", "untracked")
    tps = bench.in_turns(rounds, {name: (lambda n=name: bench.pgbench(group % n, 8, seconds)) for name in names})
    bench.ratio("60", "eight writers of one group: kept / untracked", tps["kept"], tps["untracked"], 0.9, True)
    bench.ratio("60", "eight writers of one group: summary table / untracked", tps["summary"], tps["untracked"], None,
                True)
    for name in CONTENDERS + ("untracked",):
        bench.run("DROP TABLE kept_task_%s CASCADE" % name)
