"""Tables of ``study.toml`` that earlier versions wrote: accepted, and used no more."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

RETIRED: Mapping[str, Mapping[str, Any]] = {
    # A second k-means of the same objects; now trephine seed shows the groups of [seed].
    "clusters": {"clusters": 0, "least": 4, "most": 16, "sample": 5000, "random_state": 0},
}
"""The defaults of each such table, which every study of that time holds."""


def retired_values(path: Path, table: str) -> dict[str, Any]:
    """The values in a table that is not used any more, other than its defaults.

    These a person has set, and is to be told that they do nothing now. Whatever stands in
    such a table, it is no fault.

    Parameters
    ----------
    path : Path
        Of a ``study.toml`` that could be read as settings.
    table : str
        One of :data:`RETIRED`.

    Returns
    -------
    dict
        By name, in the order of the file; empty where the table is not there.
    """
    found = tomllib.loads(path.read_text(encoding="utf-8-sig")).get(table, {})
    usual = RETIRED[table]
    return {name: value for name, value in found.items() if usual.get(name) != value}
