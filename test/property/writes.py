"""Random writes. Each is text that stands for itself, so that a run can be played again with parts left out."""

from definition_writes import DefinitionWrites
from row_writes import RowWrites


class Writer(RowWrites, DefinitionWrites):
    def __init__(self, r, schema):
        self.r, self.schema = r, schema
        self.detached = []
        self.added = 0

    def write(self):
        """A random write; some kinds are rare because they change much."""
        r = self.r
        table = r.choice(self.schema.tables)
        kinds = {"insert": 14, "update_key": 12, "update_other": 8, "update_nothing": 5, "update_unused": 4,
                 "update_some": 4, "delete": 9, "upsert": 5, "merge": 4, "copy": 4, "insert_select": 3,
                 "update_from": 2, "data_modifying_cte": 2, "identity": 2}
        if table.form == "partitioned":
            kinds.update({"move": 5, "detach": 3, "new_partition": 1, "truncate_leaf": 1})
        if self.detached:
            kinds["attach"] = 6
        if table.leaves:
            kinds["leaf"] = 8
        if table.updatable:
            kinds["view"] = 6
        if self.schema.materialized:
            kinds["refresh"] = 6
        if table.form == "inherited":
            kinds["inherit"] = 1
        definitions = {"truncate": 1, "column": 1, "unused_column": 1, "type": 1, "trigger": 0.7, "maintenance": 1,
                       "replace_view": 0.7 if self.schema.views else 0, "replica": 0.5, "index": 0.5, "rule": 0.3,
                       "cell_width": 0.7}
        # these end all that is kept
        share = 0.02 if self.schema.only_kept else 1
        kinds.update((kind, share * weight) for kind, weight in definitions.items())
        for kind in ("detach", "attach", "new_partition", "truncate_leaf", "inherit"):
            if kind in kinds:
                kinds[kind] *= share
        if self.schema.about == "helpers":
            kinds["replacement"] = 14
        kind = r.choices(list(kinds), list(kinds.values()))[0]
        return kind, getattr(self, kind)(table)
