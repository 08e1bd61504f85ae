"""What a run prints: a case that failed, made small, and at the end what happened."""

import collections
import os
import tempfile

from shrink import script, shrink

LEAST_HIT_RATIO = 0.25
LEAST_KEPT = 1 / 3  # of all answers, if the run is about these


def report(run, server, case, number, seconds):
    """Makes the case small, prints it and writes it to a file."""
    small = shrink(server, case, run.broken, seconds)
    head = ["seed %s, case %d" % (run.seed, number), run.failures[-1].replace("\n", "\n-- ")]
    if small is None:
        head.append("does not differ when it is played again: the whole case follows")
    text = script(case if small is None else small, head)
    path = os.path.join(tempfile.gettempdir(), "property-%s-%d.sql" % (run.seed, number))
    with open(path, "w") as file:
        file.write(text)
    return path, text, small


def summary(run, verbose, seconds, floor):
    """Prints what happened. Returns the number of failures."""
    failed = 0
    print("%d rounds, %d comparisons, %d of answers that may be old, in %.0f s" % (run.rounds, run.compared, run.judged,
                                                                                seconds))
    print("happened: " + ", ".join("%s %d" % item for item in sorted(run.events.items())))
    print("errors of both, or of writes: " + ", ".join("%s %d" % item for item in run.errors.most_common()))
    if run.unlike:
        print("both fail, with different codes: %d, as in\n  %s" % (len(run.unlike), run.unlike[0]))
    if verbose:
        for message, times in run.refused.most_common(40):
            print("refused %5d  %s" % (times, message))
        for message, times in run.messages.most_common(60):
            print("error %5d  %s" % (times, message))
    print("%-15s %9s %9s %9s %9s %9s  %s" % ("shape", "hits", "of these kept", "misses", "own write", "uncached",
                                              "hit ratio"))
    total = collections.Counter()
    for shape, counts in sorted(run.calls.items()):
        total.update(counts)
    stale = run.calls["timed"]["stale"]
    print("%d answers were old ones that max_staleness accepted" % stale)
    if floor and run.judged > 5000 and stale == 0:
        print("FAILED: max_staleness never let an old answer through")
        failed += 1
    for shape, counts in sorted(run.calls.items()) + [("all", total)]:
        could = counts["hits"] + counts["misses"]
        print("%-15s %9d %9d %9d %9d %9d  %s" % (shape, counts["hits"], counts["kept"], counts["misses"], counts["own"],
                                                counts["uncached"], "%.2f" % (counts["hits"] / could) if could else ""))
    could = total["hits"] + total["misses"]
    if floor and could and total["hits"] / could < LEAST_HIT_RATIO:
        print("FAILED: the hit ratio is below %.0f %%" % (100 * LEAST_HIT_RATIO))
        failed += 1
    answers = could + total["own"]
    if floor and run.about == "kept" and answers and total["kept"] / answers < LEAST_KEPT:
        print("FAILED: only %d of %d answers were put together from what writers left" % (total["kept"], answers))
        failed += 1
    if floor and not could:
        print("FAILED: no call could have hit")
        failed += 1
    return failed
