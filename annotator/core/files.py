"""Writing files whole or not at all, and saying what to do when the disk refuses."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
from collections.abc import Callable
from pathlib import Path

from annotator.core.errors import StorageError

Writer = Callable[[Path, bytes], None]
"""Who puts bytes into a file; tests hand in one that fails."""

TEMPORARY = ".trephine-tmp"
"""How the names of files end that are not whole yet."""

_ADVICE = {
    errno.ENOSPC: "the disk is full; free some space and run the same command again",
    errno.EDQUOT: "the disk quota is used up; free some space and run the same command again",
    errno.EFBIG: "the file is larger than allowed here; raise the limit (ulimit -f) and run again",
    errno.EROFS: "the place is read-only; copy the study to a disk that can be written",
    errno.EACCES: "no permission to write there; change the owner or the mode of the folder",
    errno.EPERM: "no permission to write there; change the owner or the mode of the folder",
}


def storage_error(path: Path, error: OSError) -> StorageError:
    """Say what could not be written, why, and what to do.

    Examples
    --------
    >>> print(storage_error(Path("a.png"), OSError(errno.ENOSPC, "No space left on device")))
    a.png: cannot be written: the disk is full; free some space and run the same command again
    """
    why = _ADVICE.get(error.errno or 0, error.strerror or str(error))
    return StorageError(f"{path}: cannot be written: {why}")


def write_atomic(path: Path, data: bytes) -> None:
    """Write a file so that a reader, or a kill, meets the old one or the new one.

    Raises
    ------
    StorageError
        When the place refuses; nothing is left behind.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}{TEMPORARY}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise storage_error(path, error) from error
    finally:
        # Gone already when all went well; still there after an error or Ctrl-C.
        with contextlib.suppress(OSError):
            temporary.unlink()


def can_write(path: Path) -> bool:
    """Whether this process may write to a file or into a folder."""
    return os.access(path, os.W_OK, effective_ids=os.access in os.supports_effective_ids)


def remove_leftovers(folder: Path) -> int:
    """Remove what killed writes left behind in a folder; return how many files that were."""
    leftovers = list(folder.glob(f".*{TEMPORARY}"))
    for path in leftovers:
        path.unlink(missing_ok=True)
    return len(leftovers)


def sha256(path: Path) -> str | None:
    """Hash of a file's bytes in hex, or None when it is not there."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return None
