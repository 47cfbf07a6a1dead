"""Changes of single values in a ``study.toml`` that leave all else in it as it is.

What a person wrote between the lines stays, as does the order of the tables.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from annotator.settings.network import NO_NETWORK, STARTER
from annotator.settings.toml_values import to_toml

Values = Mapping[str, Mapping[str, Any]]
"""Values by table and key."""

PRESETS: Mapping[str, Values] = {
    "trephine": {
        "sam": {"preset": "default"},
        "describe": {"preset": "trephine"},
        "cellmask": {"preset": "adaptive"},
        "network": {"use": STARTER},
        "train": {"classifier": "rbf"},
        "network_train": {"preset": "default"},
    },
    "bambo": {
        "sam": {"preset": "bambo"},
        "describe": {"preset": "bambo"},
        "cellmask": {"preset": "bambo"},
        "network": {"use": NO_NETWORK},
        "train": {"classifier": "bambo"},
        "network_train": {"preset": "bambo"},
    },
}
"""Whole lines from image to classes: ours, and the one that was published."""


def changed_toml(text: str, values: Values) -> str:
    r"""Text of a ``study.toml`` with some values changed, and all else as it was.

    A value that is not there yet is put first in its table, and a table that is not there
    last in the file.

    Parameters
    ----------
    text : str
        Valid TOML with one key a line, as ``trephine init`` writes it.
    values : mapping of str to mapping
        By table and key.

    Examples
    --------
    >>> text = '[read]\nx = 1  # mine\n[train]\nfolds = 5\n'
    >>> print(changed_toml(text, {"train": {"folds": 3}, "network": {"use": "none"}}).rstrip())
    [read]
    x = 1  # mine
    [train]
    folds = 3
    <BLANKLINE>
    [network]
    use = "none"
    """
    for table, keys in values.items():
        for key, value in keys.items():
            text = _with_value(text, table, key, to_toml(value))
    return text


def has_table(path: Path, table: str) -> bool:
    """Whether a ``study.toml``, which could be read as settings, has a table of this name."""
    return table in tomllib.loads(path.read_text(encoding="utf-8-sig"))


def _with_value(text: str, table: str, key: str, value: str) -> str:
    header = re.search(rf"^[ \t]*\[[ \t]*{re.escape(table)}[ \t]*\].*$", text, re.MULTILINE)
    if header is None:
        return f"{text.rstrip()}\n\n[{table}]\n{key} = {value}\n"
    following = re.compile(r"^[ \t]*\[", re.MULTILINE).search(text, header.end())
    end = following.start() if following else len(text)
    line = re.compile(rf"^[ \t]*{re.escape(key)}[ \t]*=.*$", re.MULTILINE)
    found = line.search(text, header.end(), end)
    if found is None:
        return f"{text[: header.end()]}\n{key} = {value}{text[header.end() :]}"
    return f"{text[: found.start()]}{key} = {value}{text[found.end() :]}"
