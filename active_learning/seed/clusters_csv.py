"""The table in which a person names the clusters, and the list of their members.

``clusters.csv`` has a row a cluster, the impure ones first: its name, the class, the class that
it looks like, its size, the estimated purity, and an empty column ``split``. The class of a
pure cluster stands there already; that of an impure one is empty, so that a class there is
always the word of a person. A person corrects classes, or writes into ``split`` how many parts
a mixed cluster is to be cut into, or ``draft`` for a part of each class of the draft.
``members.csv`` says which object is in which cluster, so that the names can be applied later.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from active_learning.labels.csv import RowFault, refuse
from active_learning.seed.clusters import BY_DRAFT, Clusters
from annotator.core.csv import decode_text, read_records, write_table
from annotator.core.errors import UsageError
from annotator.core.labels import LABEL_NAMES, SKIP
from features.table import FeatureTable

COLUMNS = ("cluster", "class", "looks_like", "size", "purity", "split")
MEMBER_COLUMNS = ("image", "object", "cluster")
_NEEDED = COLUMNS[:2]
_MOST_PARTS = 64
_DRAFT = "draft"


@dataclass(frozen=True, slots=True)
class NamedCluster:
    """The class that a person gave to a cluster.

    Parameters
    ----------
    cluster : str
        Its name.
    code : int
        0-3, 4 mixed, 5 skip; an empty class means skip.
    parts : int
        Into how many it is to be split; 0 for not at all, :data:`BY_DRAFT` for one of each class.
    looks_like : int or None
        The class that it looked like when the table was written, 0-3. 5 where the cell is
        empty; None where the table has no such column, as those of earlier versions: there
        the class of an impure cluster was filled in, too.
    """

    cluster: str
    code: int
    parts: int = 0
    looks_like: int | None = None


def write_clusters(clusters: Clusters, named: Mapping[str, int] | None = None) -> bytes:
    """The table to correct: UTF-8 with the mark that spreadsheets look for.

    Parameters
    ----------
    clusters : Clusters
    named : mapping of str to int, optional
        Codes that a person has given to some clusters already, by name.
    """
    given = dict(named or {})
    rows = []
    for index in impure_first(clusters):
        name, looks_like = clusters.names[index], int(clusters.codes[index])
        is_open = clusters.impure[index] and name not in given
        class_name = "" if is_open else LABEL_NAMES[given.get(name, looks_like)]
        size, purity = int(clusters.sizes[index]), f"{clusters.purity[index]:.2f}"
        rows.append((name, class_name, LABEL_NAMES[looks_like], size, purity, ""))
    return write_table(COLUMNS, rows)


def impure_first(clusters: Clusters) -> list[int]:
    """Indices of the clusters as a person is shown them: what needs a look comes first."""
    return sorted(range(len(clusters)), key=lambda index: not clusters.impure[index])


def read_clusters(data: bytes, names: Sequence[str]) -> tuple[NamedCluster, ...]:
    """Read the corrected table, in the order of the clusters.

    Parameters
    ----------
    data : bytes
        Of the file: UTF-8, UTF-16 or Windows-1252; commas, semicolons or tabs.
    names : sequence of str
        Of all clusters; each must have one row.

    Raises
    ------
    UsageError
        Naming every row that cannot be used; nothing is taken from such a file.

    Examples
    --------
    >>> read = read_clusters(b"cluster;class;split\\r\\n1;Fat;\\r\\n2;cell;3\\r\\n", ["1", "2"])
    >>> [(one.cluster, one.code, one.parts) for one in read]
    [('1', 1, 0), ('2', 2, 3)]
    """
    rows = _read(data, COLUMNS, _NEEDED)
    faults: list[RowFault] = []
    named: dict[str, NamedCluster] = {}
    for number, row in rows:
        wrong = _faults(row, names, named)
        faults += (RowFault(number, what) for what in wrong)
        if not wrong:
            looks_like = _code(row["looks_like"]) if "looks_like" in row else None
            parts = _parts(row.get("split", ""))
            named[row["cluster"]] = NamedCluster(
                row["cluster"], _code(row["class"]), parts, looks_like
            )
    refuse(faults)
    missing = [name for name in names if name not in named]
    if missing:
        raise UsageError(
            f"expected a row for each of {len(names)} clusters, got none for "
            f"{', '.join(missing)}; put it back (an empty class leaves a cluster unlabelled)"
        )
    return tuple(named[name] for name in names)


def write_members(table: FeatureTable, clusters: Clusters) -> bytes:
    """Which object is in which cluster; images by their ids."""
    named = (clusters.names[index] for index in clusters.member.tolist())
    ids = table.image_ids.tolist(), table.object_ids.tolist()
    return write_table(MEMBER_COLUMNS, zip(*ids, named, strict=True))


def read_members(data: bytes) -> dict[tuple[str, int], str]:
    """Name of the cluster of each object, by (image id, object).

    Raises
    ------
    UsageError
        When the file is not what :func:`write_members` writes.
    """
    members = {}
    for number, row in _read(data, MEMBER_COLUMNS, MEMBER_COLUMNS):
        if not re.fullmatch("[0-9]{1,10}", row["object"]) or not row["image"]:
            raise UsageError(
                f"row {number}: expected an image and the number of an object, got "
                f"{row['image']!r} and {row['object']!r}; seed the study again"
            )
        members[row["image"], int(row["object"])] = row["cluster"]
    return members


def _read(
    data: bytes, columns: Sequence[str], needed: Sequence[str]
) -> list[tuple[int, dict[str, str]]]:
    """Number and cells of each row that has any text in it; the heading is row 1."""
    text, _ = decode_text(data)
    titles, records = read_records(text, columns)
    if not set(needed) <= set(titles):
        raise UsageError(
            f"expected a heading with {', '.join(columns)}, got {', '.join(titles)[:200]!r}"
        )
    return records


def _code(class_name: str) -> int:
    return LABEL_NAMES.index(class_name.casefold()) if class_name else SKIP


def _parts(text: str) -> int:
    return BY_DRAFT if text.casefold() == _DRAFT else int(text or 0)


def _faults(row: Mapping[str, str], names: Sequence[str], named: Mapping[str, object]) -> list[str]:
    """All that is wrong with a row."""
    faults = []
    name, class_name, parts = row["cluster"], row["class"], row.get("split", "")
    if name not in names:
        faults.append(f"expected a cluster of {', '.join(names)}, got {name[:40]!r}")
    if name in named:
        faults.append(f"cluster {name} is named twice")
    for text in (class_name, row.get("looks_like", "")):
        if text and text.casefold() not in LABEL_NAMES:
            faults.append(f"expected a class of {', '.join(LABEL_NAMES)}, got {text[:40]!r}")
    if parts and not _is_split(parts):
        faults.append(
            f"expected a split into 2-{_MOST_PARTS} parts, {_DRAFT} or nothing, got {parts[:40]!r}"
        )
    return faults


def _is_split(text: str) -> bool:
    if text.casefold() == _DRAFT:
        return True
    return bool(re.fullmatch("[0-9]{1,2}", text)) and 2 <= int(text) <= _MOST_PARTS
