"""Store the tokens of CVAT servers between commands.

They go into the keyring of the system; where there is none, into a file that only its owner
can read.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
from pathlib import Path
from typing import Protocol

from annotator.core.errors import CvatError
from annotator.core.files import storage_error

SERVICE = "trephine-cvat"
FILE = "cvat.json"


class Ring(Protocol):
    """A keyring; the backends of the package ``keyring`` have these methods."""

    def get_password(self, service: str, username: str, /) -> str | None:
        """The secret that is stored under a name; None where there is none."""

    def set_password(self, service: str, username: str, password: str, /) -> None:
        """Store a secret under a name."""

    def delete_password(self, service: str, username: str, /) -> None:
        """Remove the secret of a name."""


class TokenStore:
    """Stores one token for each server.

    Parameters
    ----------
    ring : Ring or None
        The system's keyring unless given.
    folder : Path or None
        For the file; the user's own folder for settings unless given.
    """

    def __init__(self, ring: Ring | None = None, folder: Path | None = None) -> None:
        self._ring = ring
        self._folder = folder

    def __repr__(self) -> str:
        return "<TokenStore>"

    @property
    def file(self) -> Path:
        """Where tokens are stored when there is no keyring."""
        if self._folder is not None:
            return self._folder / FILE
        import platformdirs

        return platformdirs.user_config_path("trephine") / FILE

    def find(self, url: str) -> str | None:
        """The token stored for a server; None where there is none.

        Raises
        ------
        CvatError
            When it is in a file that other users can read.
        """
        return self._in_ring(url) or self._read().get(url)

    def keep(self, url: str, token: str) -> str:
        """Store the token of a server, and return in words where it is.

        Raises
        ------
        StorageError
            When there is no keyring and the file cannot be written.
        """
        in_ring = self._to_ring(url, token)
        others = {k: v for k, v in self._read().items() if k != url}
        if in_ring:
            if self.file.is_file():
                self._write(others)
            return "the keyring of this system"
        self._write({**others, url: token})
        return f"{self.file}, which only you can read"

    def forget(self, url: str) -> bool:
        """Remove the token of a server; whether there was one."""
        in_ring = self._in_ring(url) is not None
        if in_ring:
            with contextlib.suppress(*_ring_errors()):
                self._keyring().delete_password(SERVICE, url)
        in_file = self._read()
        if url in in_file:
            self._write({k: v for k, v in in_file.items() if k != url})
        return in_ring or url in in_file

    def _keyring(self) -> Ring:
        if self._ring is None:
            import keyring

            self._ring = keyring.get_keyring()
        return self._ring

    def _in_ring(self, url: str) -> str | None:
        # No keyring, or a locked one, counts as an empty one.
        with contextlib.suppress(*_ring_errors()):
            return self._keyring().get_password(SERVICE, url) or None
        return None

    def _to_ring(self, url: str, token: str) -> bool:
        with contextlib.suppress(*_ring_errors()):
            self._keyring().set_password(SERVICE, url, token)
            # Some backends accept every secret and store none: read it back.
            return self._keyring().get_password(SERVICE, url) == token
        return False

    def _read(self) -> dict[str, str]:
        try:
            text = _read_own(self.file)
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise CvatError(f"{self.file}: cannot be read: {error.strerror or error}") from error
        try:
            tokens = json.loads(text)
        except ValueError:
            tokens = None
        if not isinstance(tokens, dict):
            raise CvatError(f"{self.file}: damaged: delete it and run 'trephine cvat login' again")
        return {str(k): str(v) for k, v in tokens.items()}

    def _write(self, tokens: dict[str, str]) -> None:
        try:
            self.file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.file.parent.chmod(0o700)
            _write_own(self.file, json.dumps(tokens, indent=2))
        except OSError as error:
            raise storage_error(self.file, error) from error


def _ring_errors() -> tuple[type[Exception], ...]:
    from keyring.errors import KeyringError

    # The backends reach out to other programs, each with failures of its own kind.
    return (KeyringError, OSError, RuntimeError, ImportError)


def _read_own(path: Path) -> str:
    """Text of a file that nobody else can read.

    Owner and rights are asked of the open file: one that is checked by its name could be
    exchanged before it is opened.
    """
    number = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
    with os.fdopen(number, encoding="utf-8") as file:
        status = os.fstat(number)
        if os.name == "posix" and (
            status.st_mode & (stat.S_IRWXG | stat.S_IRWXO) or status.st_uid != os.getuid()
        ):
            raise CvatError(
                f"{path}: others can read the tokens in it, so it is not used: delete it, log in "
                "again with 'trephine cvat login', and change your password in CVAT, for the "
                "tokens may be known"
            )
        return file.read()


def _write_own(path: Path, text: str) -> None:
    """Write a file that only its owner can read, from its first byte on; whole or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    number = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(number, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
