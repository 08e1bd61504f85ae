"""Makes a case that fails small, and prints it as a script that a person can follow."""

import time

from case import Case
from play import Cursor, replay


def reduced(parts, fails, until):
    """The parts that are needed for fails(parts), by halves, then quarters, … (delta debugging)."""
    size = max(1, len(parts) // 2)
    while parts:
        position = 0
        smaller = False
        while position < len(parts):
            if time.monotonic() > until:
                return parts
            candidate = parts[:position] + parts[position + size:]
            if fails(candidate):
                parts = candidate
                smaller = True
            else:
                position += size
        if size == 1:
            if not smaller:
                return parts
        else:
            size = max(1, size // 2)
    return parts


def shrink(server, case, broken=None, seconds=120):
    """A smaller case that differs too, or None if it does not differ when it is played again."""
    until = time.monotonic() + seconds

    def fails(candidate):
        return replay(server, candidate, broken)

    found = fails(case)
    if not found:
        return None
    number, differences = found
    case = Case(case.setup, case.functions, case.steps[:number + 1])
    # Only the call that differs, everywhere.
    function = differences[0].item.function
    name = function.name
    arguments = differences[0].item.arguments
    for keep in (lambda item: item.function.name == name and item.arguments == arguments,
                 lambda item: item.function.name == name):
        steps = []
        for session, what, content in case.steps:
            if what in ("compare", "open", "sample", "timed"):
                content = [item for item in content if keep(item)]
                if not content:
                    continue
            elif what == "returning" and not keep(content[1]):
                what, content = "sql", content[0]
            steps.append((session, what, content))
        candidate = Case(case.setup, [f for f in case.functions if f is function or f in function.uses], steps)
        if fails(candidate):
            case = candidate
            break
    previous = None
    while previous != (len(case.setup), len(case.steps)) and time.monotonic() < until:
        previous = (len(case.setup), len(case.steps))
        case.steps = reduced(case.steps, lambda steps: fails(Case(case.setup, case.functions, steps)), until)
        case.setup = reduced(case.setup, lambda setup: fails(Case(setup, case.functions, case.steps)), until)
        case.functions = reduced(case.functions, lambda functions: fails(Case(case.setup, functions, case.steps)),
                                 until)
    return case


def script(case, head=()):
    """The case as text: SQL with the session that runs it in front."""
    lines = ["-- " + line for line in head]
    lines += ["-- set up"] + [statement + ";" for statement in case.setup]
    for function in case.functions:
        lines += [statement + ";" for statement in function.statements()]
    session = None
    for name, what, content in case.steps:
        if name != session:
            session = name
            lines.append("-- session " + name)
        if what == "sql":
            lines.append(content + ";")
        elif what == "copy":
            lines.append(content[0] + ";\n" + content[1] + "\\.")
        elif what == "reconnect":
            lines.append("-- (connects anew)")
        elif what == "returning":
            lines.append("%s RETURNING %s, %s;" % (content[0], content[1].rows("cached"), content[1].rows("plain")))
        elif what == "open":
            lines.append("BEGIN ISOLATION LEVEL REPEATABLE READ;")
            lines += ["SELECT %s AS plain;" % i.rows("plain") for i in content]
            lines.append(Cursor(None, content).declaration() + ";")
        elif what == "fetch":
            lines.append("FETCH %d FROM c;" % content)
        elif what == "close":
            lines.append("COMMIT;")
        elif what == "sample":
            lines += ["SELECT clock_timestamp(), %s AS plain;" % i.rows("plain") for i in content]
        elif what == "snapshot":
            lines.append("-- (its snapshot is as old as the sample before)")
        else:
            lines += ["SELECT %s AS cached, %s AS plain;" % (i.rows("cached"), i.rows("plain")) for i in content]
    return "\n".join(lines) + "\n"
