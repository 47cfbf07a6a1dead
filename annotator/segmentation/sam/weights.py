"""SAM's checkpoints: where they come from, where they lie, whether they are whole.

The only module that uses the network, and only in :func:`fetch`: everything else
looks at the disk. ``sam_weights.md`` shows the same table to people; a test keeps
the two alike.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs

from annotator.core.errors import StorageError, WeightsError
from annotator.core.files import sha256, write_atomic

if TYPE_CHECKING:
    import urllib3

BASE = "https://dl.fbaipublicfiles.com/segment_anything/"


@dataclass(frozen=True, slots=True)
class OfficialWeights:
    """A checkpoint as its authors publish it.

    Parameters
    ----------
    name : str
        What the command line calls it.
    url, sha256 : str
    bytes : int
        Size of the file.
    parameters : int
        Numbers in the network.
    """

    name: str
    url: str
    sha256: str
    bytes: int
    parameters: int

    @property
    def file(self) -> str:
        """File name, the last part of the URL."""
        return self.url.rpartition("/")[2]


OFFICIAL: Mapping[str, OfficialWeights] = {
    w.name: w
    for w in (
        OfficialWeights(
            "vit_b",
            BASE + "sam_vit_b_01ec64.pth",
            "ec2df62732614e57411cdcf32a23ffdf28910380d03139ee0f4fcbe91eb8c912",
            375_042_383,
            93_735_472,
        ),
        OfficialWeights(
            "vit_l",
            BASE + "sam_vit_l_0b3195.pth",
            "3adcc4315b642a4d2101128f611684e8734c41232a17c648ed1693702a49a622",
            1_249_524_607,
            312_342_832,
        ),
        OfficialWeights(
            "vit_h",
            BASE + "sam_vit_h_4b8939.pth",
            "a7bf3b02f3ebf1267aba913ff637d9a2d5c33d3173bb679e46d9f338c26f262e",
            2_564_550_879,
            641_090_608,
        ),
    )
}


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A file of weights whose hash is known.

    Parameters
    ----------
    path : Path
    sha256 : str
        64 hex digits.
    name : str
        ``vit_b``, ``vit_l`` or ``vit_h`` when the hash is theirs, else the file's name.
    kind : {"official", "own"}
    """

    path: Path
    sha256: str
    name: str
    kind: str


@dataclass(frozen=True, slots=True)
class WeightsRow:
    """What is known of one official checkpoint on this machine.

    Parameters
    ----------
    name : str
    bytes : int
        Size of the whole file.
    present : bool
        A file lies in its place.
    verified : bool
        Its sha256 is the official one.
    path : Path
        Its place, whether it is there or not.
    partial : int
        Bytes of a download that was cut and can go on; 0 for none.
    """

    name: str
    bytes: int
    present: bool
    verified: bool
    path: Path
    partial: int


def weights_directory(environ: Mapping[str, str] = os.environ) -> Path:
    """Folder of the checkpoints: ``$TREPHINE_WEIGHTS``, else in the user's cache.

    Examples
    --------
    >>> weights_directory({"TREPHINE_WEIGHTS": "/data/sam"}).as_posix()
    '/data/sam'
    """
    chosen = environ.get("TREPHINE_WEIGHTS")
    if chosen:
        return Path(chosen).expanduser()
    return platformdirs.user_cache_path("trephine", appauthor=False, opinion=False) / "weights"


def list_weights(
    directory: Path | None = None, official: Mapping[str, OfficialWeights] = OFFICIAL
) -> tuple[WeightsRow, ...]:
    """One row for each official checkpoint; hashes what has not been hashed before."""
    folder = weights_directory() if directory is None else directory
    return tuple(_row(weights, folder) for weights in official.values())


def _row(weights: OfficialWeights, folder: Path) -> WeightsRow:
    path, part = folder / weights.file, _part(folder / weights.file)
    present = path.is_file()
    return WeightsRow(
        weights.name,
        weights.bytes,
        present,
        present and _stamped_sha256(path) == weights.sha256,
        path,
        part.stat().st_size if part.is_file() else 0,
    )


def fetch(
    name: str,
    on_progress: Callable[[int, int], None] | None = None,
    directory: Path | None = None,
    retries: urllib3.Retry | None = None,
    official: Mapping[str, OfficialWeights] = OFFICIAL,
) -> Checkpoint:
    """Download an official checkpoint, unless it is there already, and verify it.

    Parameters
    ----------
    name : str
        ``vit_b``, ``vit_l`` or ``vit_h``.
    on_progress : callable (int, int), optional
        Called with the bytes that are here and the bytes of the whole.
    directory : Path, optional
        Default: :func:`weights_directory`.
    retries : urllib3.Retry, optional
        How often, and after how many seconds, a connection that was cut is made again.
    official : mapping, optional
        The table of checkpoints.

    Raises
    ------
    WeightsError
        When the name is unknown, there is no network, the disk is full, the server
        has no such file, or what it sent has another hash. A file in place is never
        replaced by one that was not verified.
    """
    weights = _named(name, official)
    folder = weights_directory() if directory is None else directory
    path = folder / weights.file
    if path.is_file() and _stamped_sha256(path) == weights.sha256:
        return Checkpoint(path, weights.sha256, name, "official")
    # Here, so that annotating loads nothing of the network.
    from annotator.segmentation.sam.download import RETRIES, Download

    report = on_progress or (lambda here, size: None)
    Download(weights.url, path, weights.bytes, weights.sha256, report).run(retries or RETRIES)
    _remember(path, weights.sha256)
    return Checkpoint(path, weights.sha256, name, "official")


def verify(
    name_or_path: str | Path,
    directory: Path | None = None,
    official: Mapping[str, OfficialWeights] = OFFICIAL,
) -> Checkpoint:
    """Hash a checkpoint again, from its first byte to its last.

    Raises
    ------
    WeightsError
        When it is missing, or is an official one by name but not by hash.
    """
    return _locate(str(name_or_path), directory, official, fresh=True)


def resolve(
    name_or_path: str | Path,
    directory: Path | None = None,
    official: Mapping[str, OfficialWeights] = OFFICIAL,
) -> Checkpoint:
    """Find a checkpoint on this disk by an official name or by path; never downloads.

    An official file that was verified before and has not been touched since is not
    hashed again.

    Raises
    ------
    WeightsError
        When it is missing, or is an official one by name but not by hash.
    """
    return _locate(str(name_or_path), directory, official, fresh=False)


def _locate(
    asked: str, directory: Path | None, official: Mapping[str, OfficialWeights], fresh: bool
) -> Checkpoint:
    folder = weights_directory() if directory is None else directory
    path = folder / official[asked].file if asked in official else Path(asked).expanduser()
    if not path.is_file():
        raise WeightsError(_missing(asked, path, official))
    ours = path.parent == folder
    found = _stamped_sha256(path) if ours and not fresh else _sha256(path)
    by_hash = {w.sha256: w for w in official.values()}
    claimed = {w.file: w for w in official.values()}.get(path.name)
    if claimed is not None and found != claimed.sha256:
        raise WeightsError(_wrong(path, found, claimed))
    if ours and claimed is not None:
        _remember(path, found)
    if found in by_hash:
        return Checkpoint(path, found, by_hash[found].name, "official")
    return Checkpoint(path, found, path.name, "own")


def _named(name: str, official: Mapping[str, OfficialWeights]) -> OfficialWeights:
    if name not in official:
        raise WeightsError(f"expected one of {', '.join(official)}, got {name!r}")
    return official[name]


def _missing(asked: str, path: Path, official: Mapping[str, OfficialWeights]) -> str:
    if asked not in official:
        known = ", ".join(official)
        return f"no checkpoint at {path}: give the path of a file, or one of {known}"
    return (
        f"the SAM checkpoint {asked} is not on this machine: run `trephine weights fetch {asked}` "
        f"({official[asked].bytes / 1e6:,.0f} MB), or download {official[asked].url} "
        f"elsewhere and put it at {path}"
    )


def _wrong(path: Path, found: str, claimed: OfficialWeights) -> str:
    return (
        f"{path} is named like the official {claimed.name}, but its sha256 is {found} "
        f"({path.stat().st_size:,} bytes) instead of {claimed.sha256} ({claimed.bytes:,} bytes): "
        f"run `trephine weights fetch {claimed.name}`, "
        f"or rename the file if it is meant to be another one"
    )


def _part(path: Path) -> Path:
    return path.with_name(path.name + ".part")


def _stamp(path: Path) -> Path:
    return path.with_name(path.name + ".sha256.json")


def _stamped_sha256(path: Path) -> str:
    """Hash of a file in our folder, from its stamp if it has not changed since."""
    try:
        stamp = json.loads(_stamp(path).read_text())
        if stamp["size_mtime"] == _size_mtime(path):
            return str(stamp["sha256"])
    except (OSError, ValueError, KeyError, TypeError):
        # No stamp, or none that can be read: then the file itself says.
        pass
    return _sha256(path)


def _sha256(path: Path) -> str:
    """Hash of a checkpoint that is there, 64 hex digits."""
    try:
        found = sha256(path)
    except OSError as error:
        raise WeightsError(f"cannot read the checkpoint {path}: {error.strerror}") from error
    if found is None:
        raise WeightsError(f"the checkpoint {path} was removed while it was looked at")
    return found


def _remember(path: Path, digest: str) -> None:
    """Note a hash beside the file, so that gigabytes are not read at every start."""
    text = json.dumps({"sha256": digest, "size_mtime": _size_mtime(path)})
    # The folder may be read-only (shared by a group): then it is hashed each time.
    with contextlib.suppress(StorageError):
        write_atomic(_stamp(path), text.encode())


def _size_mtime(path: Path) -> list[int]:
    status = path.stat()
    return [status.st_size, status.st_mtime_ns]
