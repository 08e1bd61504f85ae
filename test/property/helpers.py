"""What bodies use besides tables, and what becomes of it between calls: settings, functions of extensions, and
functions, operators, aggregates and types that are replaced.

Every expression here gives the same for rows that are equal, whatever plan reads them: what is printed is ordered by
how it is printed.
"""

# ---- Settings ---------------------------------------------------------------------------------------------------

# Of sessions that only read: twins stand in one statement, so both see them.
SETTINGS = {
    "timezone": ["UTC", "America/New_York", "Asia/Kolkata", "Pacific/Apia"],
    "datestyle": ["ISO, MDY", "German", "SQL, DMY", "Postgres, MDY"],
    "intervalstyle": ["postgres", "iso_8601", "sql_standard"],
    "extra_float_digits": ["1", "-3"],
    "bytea_output": ["hex", "escape"],
    "search_path": ["public", "public", "other, public"],
    "app.word": ["a", "A", "b", ""],
    "app.number": ["0", "1", "2", "9"],
    "pg_trgm.similarity_threshold": ["0.3", "0.9", "0.05"],
    "enable_hashagg": ["on", "off"],
}


def change_of_setting(r):
    name = r.choice(list(SETTINGS))
    if r.random() < 0.15:
        return "RESET %s" % name
    value = r.choice(SETTINGS[name])
    return "SET %s = %s" % (name, value if name == "search_path" else "'%s'" % value)


def condition_on_setting(r, query, scope):
    """A condition that reads a setting, by name or by what an operator does."""
    found = query.column(scope, lambda kind: kind.name == "timestamp with time zone")
    if found and r.random() < 0.6:
        return r.choice(["%s::date = '2025-01-01'", "extract(hour FROM %s) < 6", "%s < '2025-01-01 00:00'::timestamp",
                         "to_char(%s, 'HH24') > '12'"]) % found[0]
    found = query.column(scope, lambda kind: kind.base == "text")
    if found and r.random() < 0.5:
        return "%s::text = current_setting('app.word', true)" % found[0]
    found = query.column(scope, lambda kind: kind.summed)
    return "%s = nullif(current_setting('app.number', true), '')::integer" % found[0] if found else "true"


def shown(text):
    """All values of an expression as they are printed."""
    return "string_agg(({0})::text, ',' ORDER BY ({0})::text COLLATE \"C\")".format(text)


# ---- Extensions -------------------------------------------------------------------------------------------------

EXTENSIONS = ("citext", "cube", "earthdistance", "fuzzystrmatch", "hstore", "intarray", "ltree", "pg_trgm", "pgcrypto",
              "seg", "unaccent")
# by extension: what the expression is about, and whether it is a condition
OF_TEXT, OF_NUMBER, OF_ARRAY, OF_ROW = "text", "number", "array", "row"
EXPRESSIONS = {
    "citext": [(OF_TEXT, "{x}::text::citext = 'A'", True), (OF_TEXT, "replace({x}::text::citext, 'A', 'x')", False)],
    "cube": [(OF_NUMBER, "cube_distance(cube({x}::float8), cube(2))", False),
             (OF_NUMBER, "cube(ARRAY[{x}, 1]::float8[])", False),
             (OF_NUMBER, "cube({x}::float8) <@ cube(-1, 5)", True)],
    "earthdistance": [(OF_NUMBER, "round(earth_distance(ll_to_earth({x}::bigint % 80, 0), ll_to_earth(1, 1)))", False),
                      (OF_NUMBER, "earth_distance(ll_to_earth({x}::bigint % 80, 0), ll_to_earth(1, 1)) < 200000",
                       True)],
    "fuzzystrmatch": [(OF_TEXT, "levenshtein({x}::text, 'ab')", False), (OF_TEXT, "soundex({x}::text)", False),
                      (OF_TEXT, "levenshtein({x}::text, 'a') < 1", True)],
    "hstore": [(OF_TEXT, "hstore({x}::text, 'v') || hstore('b', {x}::text)", False),
               (OF_TEXT, "hstore({x}::text, 'v') ? 'a'", True), (OF_ROW, "hstore({x})", False)],
    "intarray": [(OF_ARRAY, "sort(array_remove({x}, NULL))", False), (OF_ARRAY, "icount({x})", False),
                 (OF_ARRAY, "array_remove({x}, NULL) && ARRAY[1]", True)],
    "ltree": [(OF_NUMBER, "subpath(('top.' || abs({x}::bigint))::ltree, 1)", False),
              (OF_NUMBER, "('top.' || abs({x}::bigint))::ltree <@ 'top.1'", True),
              (OF_NUMBER, "('top.' || abs({x}::bigint))::ltree ~ '*.2|3'", True)],
    "pg_trgm": [(OF_TEXT, "similarity({x}::text, 'ab')", False), (OF_TEXT, "{x}::text % 'ab'", True),
                (OF_TEXT, "show_trgm({x}::text)", False)],
    "pgcrypto": [(OF_TEXT, "encode(digest({x}::text, 'md5'), 'hex')", False)],
    "seg": [(OF_NUMBER, "{x}::text::seg <@ '-10 .. 10'", True), (OF_NUMBER, "{x}::text::seg", False)],
    "unaccent": [(OF_TEXT, "unaccent({x}::text)", False), (OF_TEXT, "unaccent({x}::text) = 'a'", True)],
}
NUMBERS = ("integer", "bigint", "smallint", "small")


def of_extension(r, query, scope, condition):
    """An expression that calls an extension's function, or None."""
    installed = [name for name in EXTENSIONS if name in query.schema.available]
    if not installed:
        return None
    about, form, is_condition = r.choice(EXPRESSIONS[r.choice(installed)])
    if is_condition != condition:
        return None
    if about == OF_ROW:
        return form.format(x=r.choice(scope)[0])
    found = query.column(scope, {OF_TEXT: lambda kind: kind.base == "text" or kind.name == "citext",
                                 OF_NUMBER: lambda kind: kind.name in NUMBERS,
                                 OF_ARRAY: lambda kind: kind.name == "integer[]"}[about])
    return form.format(x=found[0]) if found else None


# ---- What is replaced -------------------------------------------------------------------------------------------

def set_up(r, table):
    """Statements that make what is replaced, and a schema whose names hide those of `table` and of a function."""
    return [
        "CREATE SCHEMA other",
        "CREATE VIEW other.%s AS SELECT * FROM public.%s WHERE a > 1" % (table.name, table.name),
        "CREATE FUNCTION help(bigint) RETURNS bigint LANGUAGE sql IMMUTABLE AS 'SELECT $1 + 1'",
        "CREATE FUNCTION other.help(bigint) RETURNS bigint LANGUAGE sql IMMUTABLE AS 'SELECT $1 * 7'",
        "CREATE FUNCTION alike(bigint, bigint) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT $1 = $2'",
        "CREATE OPERATOR === (FUNCTION = alike, LEFTARG = bigint, RIGHTARG = bigint)",
        "CREATE FUNCTION step(bigint, bigint) RETURNS bigint LANGUAGE sql IMMUTABLE AS "
        "'SELECT coalesce($1, 0) + coalesce($2, 0)'",
        "CREATE AGGREGATE total(bigint) (SFUNC = step, STYPE = bigint)",
        "CREATE TYPE grade AS ENUM ('low', 'mid', 'top')",
        "CREATE TYPE pair AS (x bigint, y text)",
        "CREATE DOMAIN tiny AS bigint CONSTRAINT bound CHECK (VALUE < 3000000000)"]


def of_helper(r, query, scope, condition):
    """An expression that uses what is replaced, or None."""
    found = query.column(scope, lambda kind: kind.name in NUMBERS)
    if not found:
        return None
    x = found[0] + "::bigint"
    if condition:
        return r.choice(["%s === {c}", "help(%s) = {c}", "help(help(%s)) > {c}"]).replace("{c}", query.comparand(
            query.kinds["bigint"])) % x
    return r.choice(["sum(help(%s))", "total(%s)", "count(*) FILTER (WHERE %s === 2)",
                     shown("(enum_range(NULL::grade))[1 + abs(%s) %% 3]"),
                     shown("jsonb_populate_record(NULL::pair, jsonb_build_object('x', %s, 'y', 'y'))"),
                     "sum(%s::tiny)"]).replace("%s", x).replace("%%", "%")


def replacement(r):
    """Statements that replace something, which wait for no reader."""
    function = "CREATE OR REPLACE FUNCTION %s LANGUAGE %s IMMUTABLE AS '%s'"
    name = r.choice(["help(bigint) RETURNS bigint", "help(bigint) RETURNS bigint",
                     "alike(bigint, bigint) RETURNS boolean", "step(bigint, bigint) RETURNS bigint"])
    number = r.randint(1, 5)
    body = {"h": "%s$1 + %d" % (r.choice(["", "", "-"]), number),
            "a": r.choice(["$1 = $2", "$1 > $2", "$1 % 2 = $2 % 2", "$1 <> $2"]),
            "s": "coalesce($1, 0) + %d * coalesce($2, 0)" % number}[name[0]]
    forms = [function % (name, "sql", "SELECT " + body)] * 3 + [
        function % (name, "plpgsql", "BEGIN RETURN %s; END" % body)]
    return r.choice(forms + [
        "ALTER TYPE grade RENAME VALUE '%s' TO '%s'" % tuple(r.sample(["low", "mid", "top", "least", "most"], 2)),
        "ALTER TYPE pair ADD ATTRIBUTE z integer", "ALTER TYPE pair DROP ATTRIBUTE IF EXISTS z",
        "ALTER TYPE pair RENAME ATTRIBUTE y TO w", "ALTER TYPE pair RENAME ATTRIBUTE w TO y",
        "ALTER DOMAIN tiny DROP CONSTRAINT IF EXISTS bound",
        "ALTER DOMAIN tiny ADD CONSTRAINT bound CHECK (VALUE < %s)" % r.choice(["4", "3000000000", "80"])])
