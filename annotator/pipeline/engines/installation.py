"""What shapes the bytes of a result on a machine: versions, and the kind of processor."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

# Of each, another version may decode, round or sum differently.
_LIBRARIES = (
    "imagecodecs",
    "numpy",
    "onnxruntime",
    "opencv-python-headless",
    "openslide-bin",
    "pillow",
    "scikit-image",
    "scikit-learn",
    "scipy",
    "segment-anything",
    "tifffile",
    "torch",
)
_OWN_PACKAGES = ("active_learning", "annotator", "export", "features")
MISSING = "not installed"


@cache
def installed_versions() -> Mapping[str, str]:
    """Versions here of all that shapes the bytes of a result, by name.

    Ours is followed by a hash of the code, as a lab may run two states of one version.

    Examples
    --------
    >>> installed_versions()["python"].count(".")
    1
    """
    found = {name: _version(name) for name in _LIBRARIES}
    python = ".".join(platform.python_version_tuple()[:2])
    ours = f"{_version('trephine')} (code {code_hash()})"
    return {"trephine": ours, "python": python, **found}


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return MISSING


@cache
def code_hash() -> str:
    """8 hex digits of the hash of our own source files."""
    digest = hashlib.sha256()
    for path in _source_files():
        digest.update(path.read_bytes())
    return digest.hexdigest()[:8]


def _source_files() -> Iterator[Path]:
    """Our own modules, in an order that is the same everywhere."""
    for name in _OWN_PACKAGES:
        spec = find_spec(name)
        for folder in (spec and spec.submodule_search_locations) or ():
            root = Path(folder)
            yield from sorted(root.rglob("*.py"), key=lambda p: p.relative_to(root).as_posix())


@cache
def processor_kind() -> str:
    """The instructions that sums of numbers are done with; may differ in the last digits."""
    import numpy as np
    from threadpoolctl import threadpool_info

    kinds = {str(one["architecture"]) for one in threadpool_info() if one.get("architecture")}
    extensions = np.show_config(mode="dicts")["SIMD Extensions"].get("found", [])
    return ", ".join([platform.machine(), *sorted(kinds), *extensions])
