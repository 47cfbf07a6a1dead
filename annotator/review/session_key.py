"""The key that signs sessions, kept for the user between two runs of the server."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from pathlib import Path

LENGTH = 32
FILE = "review.key"


def kept_key(folder: Path | None = None) -> bytes:
    """The user's key, made when there is none; a passing one where none can be kept.

    A key that others can read, or of another length, is made anew: the sessions signed with
    it end, and people come in again by the address.

    Parameters
    ----------
    folder : Path or None
        The user's own folder for settings unless given.

    Returns
    -------
    bytes
        32 of them.
    """
    path = (_own_folder() if folder is None else folder) / FILE
    with contextlib.suppress(OSError):
        found = _read(path)
        return found if found is not None else _make(path)
    return secrets.token_bytes(LENGTH)


def _own_folder() -> Path:
    import platformdirs

    return platformdirs.user_config_path("trephine")


def _read(path: Path) -> bytes | None:
    try:
        number = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
    except FileNotFoundError:
        return None
    with os.fdopen(number, "rb") as file:
        key, status = file.read(LENGTH + 1), os.fstat(number)
    if len(key) != LENGTH or _is_open(status):
        path.unlink(missing_ok=True)
        return None
    return key


def _is_open(status: os.stat_result) -> bool:
    """Whether others own a file, or can read it."""
    if os.name != "posix":
        return False
    shared = status.st_mode & (stat.S_IRWXG | stat.S_IRWXO)
    return bool(shared) or status.st_uid != os.getuid()


def _make(path: Path) -> bytes:
    """Write a new key, its owner's alone from its first byte on; of two at once, one stays."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    key = secrets.token_bytes(LENGTH)
    number = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(number, "wb") as file:
            file.write(key)
        # A link is not made over a file that is there, as a rename would be.
        with contextlib.suppress(FileExistsError):
            path.hardlink_to(temporary)
    finally:
        temporary.unlink(missing_ok=True)
    return _read(path) or key
