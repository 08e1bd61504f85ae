"""What a row change costs on a table that 120 different functions read, against one that 10 of them read: sums of 40
columns by tenant, each under one of five constant conditions."""

import random
import statistics

COLUMNS = ["m%d" % number for number in range(1, 41)]
TABLES = {"none": 0, "ten": 10, "many": 120}


def make(bench, table, functions):
    bench.run("CREATE TABLE many_%s (id int PRIMARY KEY, tenant int, kind text, note int, %s)"
              % (table, ", ".join(column + " int" for column in COLUMNS)))
    numbers = list(range(functions))
    random.Random(1).shuffle(numbers)
    for number in numbers:
        bench.run("CREATE FUNCTION many_{t}_{n}(t int) RETURNS bigint LANGUAGE cached_sql STABLE AS "
                  "'SELECT sum(m{m}) FROM many_{t} WHERE tenant = t AND kind = ''k{k}'''"
                  .format(t=table, n=number, m=1 + number % 40, k=(number + number // 40) % 5))


def run(bench):
    rows, rounds, seconds = (20000, 5, 1) if bench.quick else (100000, 9, 3)
    for table, functions in TABLES.items():
        make(bench, table, functions)
    bench.report("53", "watches for 120 functions",
                 bench.run("SELECT count(*) FROM aggcache.watch WHERE relation = 'many_many'::regclass")[0][0], "")
    bench.run("SET aggcache.bulk_threshold = 2147483647")

    def all_set(columns):
        return "UPDATE many_{} SET %s" % ", ".join("%s = %s + 1" % (column, column) for column in columns)
    statements = {
        "INSERT": "INSERT INTO many_{} SELECT i, i, 'k' || i %% 5, 0, %s FROM generate_series(1, %d) i"
                  % (", ".join("i" for _ in COLUMNS), rows),
        "UPDATE of a column that one uses": all_set(["m1"]),
        "UPDATE of 10 columns": all_set(COLUMNS[:10]),
        "UPDATE of 40 columns": all_set(COLUMNS),
        "UPDATE of a column that none uses": "UPDATE many_{} SET note = note + 1",
        "UPDATE of the key": "UPDATE many_{} SET tenant = tenant + 1",
        "DELETE": "DELETE FROM many_{}"}
    cost = {name: {table: [] for table in TABLES} for name in statements}

    def turn(table):
        """All statements, one after the other, each of all rows."""
        bench.run("TRUNCATE many_%s" % table)
        for name, statement in statements.items():
            bench.run("VACUUM many_%s" % table)
            cost[name][table].append(bench.cpu_timed(statement.format(table)) / rows * 1e6)
    bench.in_turns(rounds, {table: (lambda t=table: turn(t)) for table in TABLES})
    for name in statements:
        of = cost[name]
        bench.ratio("53", "%s, row of a large statement: 120 functions / 10 (time)" % name, of["many"], of["ten"], 2.0,
                    False, plot="many")
        for table in ("ten", "many"):
            bench.report("53", "what tracking adds to it, %d functions" % TABLES[table],
                         statistics.median(a - b for a, b in zip(of[table], of["none"])), "us")
    bench.run("RESET aggcache.bulk_threshold")

    for table in TABLES:
        bench.run(statements["INSERT"].format(table))
    bench.run("VACUUM ANALYZE")
    script = "\\set id random(1, %d)\nUPDATE many_%%s SET m1 = m1 + 1 WHERE id = :id;" % rows
    tps = bench.in_turns(rounds, {table: (lambda t=table: bench.pgbench(script % t, 1, seconds)) for table in TABLES})
    bench.ratio("53", "single-row UPDATE: 120 functions / 10 (throughput)", tps["many"], tps["ten"], 0.5, True)
    bench.ratio("53", "single-row UPDATE: 120 functions / none (throughput)", tps["many"], tps["none"], None, True)
    for table in TABLES:
        bench.run("DROP TABLE many_%s CASCADE" % table)
