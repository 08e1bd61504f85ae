"""Mutants as the files *.mutants here describe them (try_mutants.py says how), and what can become of one."""

import os
import re

HERE = os.path.dirname(os.path.realpath(__file__))
KINDS = ("regress", "isolation", "tap", "unit", "redisclient")


class Failed(Exception):
    """What is wrong with a mutant."""


class Survives(Failed):
    """Its test does not notice. Says what does, if that was asked."""


class Skipped(Exception):
    """Why one could not be tried here."""


class Mutant:
    def __init__(self, name, where):
        self.name, self.where = name, where
        self.file = self.within = self.kind = self.test = None
        self.old, self.new = [], []

    def set(self, line):
        if line[0] in "-+" and line[1:2] in ("", " "):
            (self.old if line[0] == "-" else self.new).append(line[2:])
            return
        key, _, value = line.partition(": ")
        if key == "file":
            self.file = value
        elif key == "in":
            self.within = value
        elif key == "test" and value.split(" ")[0] in KINDS:
            self.kind, _, self.test = value.partition(" ")
        else:
            raise SystemExit("%s: cannot read \"%s\"" % (self.where, line))

    def apply(self, text):
        """The text of its file with the mutation."""
        start, end = 0, len(text)
        if self.within:
            if text.count(self.within) != 1:
                raise Failed("\"%s\" is there %d times" % (self.within, text.count(self.within)))
            start = text.index(self.within)
            closing = text.find("\n}", start)
            end = closing if closing >= 0 else end
        words = " ".join(self.old).split()
        found = list(re.finditer(r"\s+".join(map(re.escape, words)), text[start:end]))
        if len(found) != 1:
            raise Failed("\"%s\" is there %d times" % (" ".join(words), len(found)))
        # a statement leaves an empty one: it may be all that an "if" or a loop has
        new = "\n".join(self.new) or (";" if words[-1].endswith(";") else "")
        return text[: start + found[0].start()] + new + text[start + found[0].end():]


def read_mutants():
    mutants = []
    for name in sorted(os.listdir(HERE)):
        if not name.endswith(".mutants"):
            continue
        with open(os.path.join(HERE, name), encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                text = line.rstrip("\n")
                if not text.strip() or text.startswith("#"):
                    continue
                if not text.startswith(" "):
                    mutants.append(Mutant(text, "%s:%d" % (name, number)))
                else:
                    mutants[-1].set(text[2:])
    names = [mutant.name for mutant in mutants]
    for mutant in mutants:
        if names.count(mutant.name) > 1 or None in (mutant.file, mutant.kind) or not mutant.old:
            raise SystemExit("%s: \"%s\" is there twice, or incomplete" % (mutant.where, mutant.name))
    return mutants
