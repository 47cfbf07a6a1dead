"""What ``dask worker --preload`` runs in a worker of a test: another machine on this one."""

from __future__ import annotations

import importlib.metadata
import os
import pathlib
from typing import Any

# A worker that has another version of a library: NAME=VERSION.
OTHER_VERSION = "TEST_OTHER_VERSION"
# A worker that sees nothing below a folder.
UNSEEN = "TEST_UNSEEN_FOLDER"


def dask_setup(worker: object) -> None:
    """Called by Dask in the worker, before it gets any work."""
    name, _, version = os.environ.get(OTHER_VERSION, "").partition("=")
    if name:
        _give_version(name, version)
    if UNSEEN in os.environ:
        _hide(pathlib.Path(os.environ[UNSEEN]))


def _give_version(name: str, version: str) -> None:
    original = importlib.metadata.version

    def other(asked: str) -> str:
        return version if asked == name else original(asked)

    importlib.metadata.version = other
    from annotator.pipeline.engines import installation

    installation.version = other
    installation.installed_versions.cache_clear()


def _hide(folder: pathlib.Path) -> None:
    """Whoever asks for a file below a folder finds none."""
    stat, open_file = pathlib.Path.stat, pathlib.Path.open

    def check(path: pathlib.Path) -> None:
        if path.is_relative_to(folder):
            raise FileNotFoundError(2, "No such file or directory", str(path))

    def other_stat(path: pathlib.Path, *more: Any, **named: Any) -> os.stat_result:
        check(path)
        return stat(path, *more, **named)

    def other_open(path: pathlib.Path, *more: Any, **named: Any) -> Any:
        check(path)
        return open_file(path, *more, **named)

    pathlib.Path.stat, pathlib.Path.open = other_stat, other_open
