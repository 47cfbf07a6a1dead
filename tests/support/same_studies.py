"""Whether two studies hold the same, whenever and however often they were annotated."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from annotator.core.files import sha256

# When, and how long; a run that was killed leaves no row of itself, and files that were written a
# moment ago are not remembered.
_OF_TIME = {"added", "written", "seconds", "look_seconds", "stage_seconds", "time", "started"}
_OF_THE_MOMENT = {"runs", "failures", "seen_pictures"}


def files_of(study: Path) -> dict[str, str | None]:
    """Hash of every file of the result."""
    return {
        str(path.relative_to(study)): sha256(path)
        for folder in ("objects", "rough", "models")
        for path in (study / folder).rglob("*")
        if path.is_file()
    }


def rows_of(study: Path) -> dict[str, list[tuple[object, ...]]]:
    """Rows of every table, sorted, without what tells of time."""
    with closing(sqlite3.connect(study / "study.db")) as database:
        tables = [
            name
            for (name,) in database.execute("select name from sqlite_master where type = 'table'")
            if name not in _OF_THE_MOMENT
        ]
        found = {}
        for table in tables:
            columns = [row[1] for row in database.execute(f"pragma table_info({table})")]
            kept = ", ".join(f'"{name}"' for name in columns if name not in _OF_TIME)
            found[table] = sorted(database.execute(f"select {kept} from {table}"), key=repr)
        return found
