"""Zip archives and folders with reproducible bytes, which appear when they are complete.

Identical input gives identical bytes: entries have a fixed time and fixed attributes, stand in
the order in which they are written, and are compressed in one way. Everything is written under
a temporary name beside the target and moved at the end; a failure leaves what was there as it
was.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from annotator.core.errors import ExportError, StorageError
from annotator.core.files import sha256

MANIFEST = "trephine-export.json"
_TIME = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip can hold
_PACKED = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".zip")


class ZipSink:
    """Writes entries into an open zip; no name twice."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self._names: set[str] = set()

    def _entry(self, name: str) -> zipfile.ZipInfo:
        if name in self._names:
            raise ExportError(f"two images would be written as {name!r}: give each its own name")
        self._names.add(name)
        info = zipfile.ZipInfo(name, _TIME)
        info.create_system = 3  # Unix, on every system
        info.external_attr = 0o644 << 16
        packed = name.lower().endswith(_PACKED)
        info.compress_type = zipfile.ZIP_STORED if packed else zipfile.ZIP_DEFLATED
        return info

    def write(self, name: str, data: bytes | str) -> None:
        """Add one entry; pictures are stored, everything else is deflated."""
        self._archive.writestr(self._entry(name), data, compresslevel=6)

    def copy(self, name: str, path: Path) -> None:
        """Add a file byte for byte, without reading all of it at once."""
        try:
            source = path.open("rb")
        except OSError as error:
            raise ExportError(
                f"{path}: the original picture cannot be read ({error.strerror}); "
                "put it back, or export without pictures"
            ) from error
        with source, self.stream(name) as target:
            shutil.copyfileobj(source, target, 1 << 20)

    @contextmanager
    def stream(self, name: str) -> Iterator[IO[bytes]]:
        """Open one entry to be written piece by piece."""
        with self._archive.open(self._entry(name), "w", force_zip64=True) as target:
            yield target


@contextmanager
def zip_at(out: Path, overwrite: bool = False) -> Iterator[ZipSink]:
    """Write an archive that appears at `out` when the block ends well.

    Raises
    ------
    ExportError
        When something is there already and `overwrite` is False.
    StorageError
        When the place cannot be written or is full.
    """
    refuse_existing(out, overwrite)
    part = out.with_name(f".{out.name}.{os.getpid()}.part")
    with storage_errors(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        try:
            with zipfile.ZipFile(part, "w") as archive:
                yield ZipSink(archive)
            part.replace(out)
        finally:
            part.unlink(missing_ok=True)


def refuse_existing(out: Path, overwrite: bool) -> None:
    """Raise ExportError when `out` is a folder, or is there and may not be replaced."""
    with storage_errors(out):
        is_folder, is_there = out.is_dir(), out.exists()
    if is_folder:
        raise ExportError(f"{out}: expected the name of an archive, this is a folder")
    if is_there and not overwrite:
        raise ExportError(f"{out} exists already: choose another name, or replace it (--force)")


class FolderSink:
    """Writes files below a folder and remembers the sha256 of each."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.hashes: dict[str, str] = {}

    def write(self, name: str, data: bytes | str) -> None:
        """Write one file; dividers in its name make folders."""
        if name in self.hashes:
            raise ExportError(f"two images would be written as {name!r}: give each its own name")
        raw = data.encode() if isinstance(data, str) else data
        path = self._root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(raw)
        self.hashes[name] = hashlib.sha256(raw).hexdigest()


@contextmanager
def folder_at(out: Path, overwrite: bool = False) -> Iterator[FolderSink]:
    """Write files that appear below `out` when the block ends well.

    A manifest keeps the hash of every file. Where it shows that all files of an earlier export
    in `out` are unchanged, that export is replaced, and files of it that are no longer made are
    removed. Files that a person changed, or that no export wrote and this one would replace,
    stop the export unless `overwrite` is True. All other files stay in any case.

    Raises
    ------
    ExportError
        When files that no export wrote, or that a person changed, are in the way.
    StorageError
        When the place cannot be written or is full.
    """
    if out.suffix.lower() == ".zip" and not out.is_dir():
        raise ExportError(
            f"{out}: expected the name of a folder, got that of a zip; this format makes a folder: "
            f"call it {out.with_suffix('').name}, or export as voc or coco"
        )
    out = out.resolve()
    part = out.with_name(f".{out.name}.{os.getpid()}.part")
    with storage_errors(out):
        earlier = _earlier_export(out, overwrite)
        part.mkdir(parents=True)
        try:
            sink = FolderSink(part)
            yield sink
            _refuse_foreign(out, sink.hashes.keys() - earlier.keys(), overwrite)
            sink.write(MANIFEST, manifest_text(sink.hashes))
            _move_in(part, out, sink.hashes, earlier)
        finally:
            shutil.rmtree(part, ignore_errors=True)


def manifest_text(hashes: Mapping[str, str]) -> str:
    """The manifest of a folder as JSON, sorted by name."""
    body = {"made_by": "trephine", "format": 1, "sha256": dict(sorted(hashes.items()))}
    return json.dumps(body, indent=1, ensure_ascii=False) + "\n"


def _earlier_export(out: Path, overwrite: bool) -> dict[str, str]:
    """Hashes of the files of an earlier export in this folder; refuses any other folder."""
    if out.exists() and not out.is_dir():
        raise ExportError(f"{out}: expected a folder, this is a file; choose another name")
    if not out.exists() or not any(out.iterdir()):
        return {}
    hashes = _read_manifest(out / MANIFEST)
    changed = sorted(
        name for name, sha in hashes.items() if (out / name).is_file() and sha256(out / name) != sha
    )
    if changed and not overwrite:
        raise ExportError(
            f"{out}: {len(changed)} files were changed since the last export ({changed[0]} …); "
            "choose another folder, or replace them and lose the changes (--force)"
        )
    if not hashes and not overwrite:
        raise ExportError(
            f"{out} is not empty and not an earlier export of ours: "
            "choose another folder, or write over what is there (--force)"
        )
    return hashes


def _read_manifest(path: Path) -> dict[str, str]:
    """Hashes by file name; empty when there is no manifest that can be read."""
    try:
        hashes = json.loads(path.read_text(encoding="utf-8"))["sha256"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    if not isinstance(hashes, dict):
        return {}
    return {n: s for n, s in hashes.items() if isinstance(s, str) and _stays_inside(n)}


def _stays_inside(name: str) -> bool:
    """Whether a name from a manifest stays in its folder."""
    return not Path(name).is_absolute() and ".." not in Path(name).parts


def _refuse_foreign(out: Path, names: set[str], overwrite: bool) -> None:
    foreign = sorted(n for n in names if (out / n).exists())
    if foreign and not overwrite:
        raise ExportError(
            f"{out / foreign[0]} is there and not from an earlier export of ours: "
            "choose another folder, or write over what is there (--force)"
        )


def _move_in(part: Path, out: Path, new: Mapping[str, str], old: Mapping[str, str]) -> None:
    """Move a finished folder to its place; the manifest comes last."""
    if not out.exists():
        part.rename(out)
        return
    for name in sorted(new, key=lambda n: (n == MANIFEST, n)):
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (part / name).replace(out / name)
    for name in sorted(old.keys() - new.keys()):
        (out / name).unlink(missing_ok=True)


@contextmanager
def storage_errors(out: Path) -> Iterator[None]:
    """Turn an error of the operating system about a failed write into a StorageError."""
    try:
        yield
    except OSError as error:
        what = {
            errno.ENOSPC: "the disk is full: free some space",
            errno.EFBIG: "the file is too large for this disk or account: use another disk",
            errno.EDQUOT: "the quota is used up: free some space",
            errno.EACCES: "no permission to write there: choose another place",
            errno.EPERM: "no permission to write there: choose another place",
            errno.EROFS: "the disk is read-only: choose another place",
            errno.ENOTDIR: "a part of this path is a file: choose another place",
            errno.EEXIST: "a part of this path is a file: choose another place",
            errno.ENAMETOOLONG: "a name is too long for this disk: choose a shorter one",
        }.get(error.errno or 0, f"{error.strerror or error}: choose another place")
        raise StorageError(f"cannot write {out}: {what}, and export again") from error
