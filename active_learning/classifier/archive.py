"""A fitted pipeline as bytes: skops, with nothing in it that changes from run to run.

skops names its members and nodes after memory addresses and stamps the time. Both are
rewritten, so that the same estimator gives the same bytes. Reading allows the types that
our own pipelines are made of and no other: fewer than skops itself would trust.
"""

from __future__ import annotations

import io
import json
import sys
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from typing import Any

from annotator.core.errors import ModelError

_SCHEMA = "schema.json"
# Members of a zip carry a date; this is the earliest that there is.
_DATE = (1980, 1, 1, 0, 0, 0)
# A model of 10,000 support vectors has 10 MB; unpacking stops well above that.
_MOST_BYTES = 1 << 30

# (loader, module, class) of every node that a pipeline of ours may have.
ALLOWED = frozenset(
    {
        ("DTypeNode", "numpy", "dtype"),
        ("DictNode", "builtins", "dict"),
        ("FunctionNode", "numpy", "clip"),
        ("JsonNode", "builtins", "str"),
        ("ListNode", "builtins", "list"),
        ("NdArrayNode", "numpy", "float64"),
        ("NdArrayNode", "numpy", "ndarray"),
        ("ObjectNode", "sklearn.calibration", "CalibratedClassifierCV"),
        ("ObjectNode", "sklearn.calibration", "_CalibratedClassifier"),
        ("ObjectNode", "sklearn.calibration", "_SigmoidCalibration"),
        ("ObjectNode", "sklearn.compose._column_transformer", "ColumnTransformer"),
        ("ObjectNode", "sklearn.impute._base", "MissingIndicator"),
        ("ObjectNode", "sklearn.impute._base", "SimpleImputer"),
        ("ObjectNode", "sklearn.pipeline", "Pipeline"),
        ("ObjectNode", "sklearn.preprocessing._data", "MinMaxScaler"),
        ("ObjectNode", "sklearn.preprocessing._data", "RobustScaler"),
        ("ObjectNode", "sklearn.preprocessing._function_transformer", "FunctionTransformer"),
        ("ObjectNode", "sklearn.svm._classes", "SVC"),
        ("SliceNode", "builtins", "slice"),
        ("TupleNode", "builtins", "tuple"),
        ("TypeNode", "builtins", "str"),
    }
)
# What skops does not trust by itself.
_TRUSTED = [
    "numpy.clip",
    "numpy.dtype",
    "sklearn.calibration._CalibratedClassifier",
    "sklearn.calibration._SigmoidCalibration",
]


def dump_pipeline(pipeline: Any) -> bytes:
    """Write a fitted pipeline; equal ones give equal bytes."""
    with _torch_left_alone():
        from skops.io import dumps

    with zipfile.ZipFile(io.BytesIO(dumps(pipeline))) as original:
        schema = json.loads(original.read(_SCHEMA))
        members = _renumber(schema)
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as rewritten:
            _write(rewritten, _SCHEMA, json.dumps(schema).encode())
            for old, new in members.items():
                _write(rewritten, new, original.read(old))
    return buffer.getvalue()


def load_pipeline(data: bytes) -> Any:
    """Read what :func:`dump_pipeline` wrote.

    Raises
    ------
    ModelError
        When the bytes are damaged, or hold a type that no pipeline of ours has.
    """
    with _torch_left_alone():
        from skops.io import loads

    try:
        _refuse_foreign(_schema_of(data))
        return loads(data, trusted=_TRUSTED)
    except (
        *(KeyError, IndexError, TypeError, ValueError, AttributeError, ImportError),
        *(OSError, EOFError, RecursionError, NotImplementedError),
        *(zipfile.BadZipFile, zlib.error),
    ) as error:
        raise ModelError(
            f"expected a stored model, got bytes that cannot be read as one ({error}); "
            "run retrain to make it anew"
        ) from error


class _TorchRefused(MetaPathFinder):
    """Finds no torch, as if it were not installed; everything else is found by others."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        """Refuse torch; None for all else."""
        if name == "torch":
            raise ModuleNotFoundError("torch is not needed here", name="torch")


@contextmanager
def _torch_left_alone() -> Iterator[None]:
    """Import skops without torch, which takes seconds and which no model of ours needs.

    skops imports every module of scikit-learn to know its classes, and among them is an
    adapter that imports torch where it is installed. It is passed over where it cannot be.
    """
    if "torch" in sys.modules or "skops.io" in sys.modules:
        yield
        return
    refusal = _TorchRefused()
    sys.meta_path.insert(0, refusal)
    try:
        yield
    finally:
        sys.meta_path.remove(refusal)


def _schema_of(data: bytes) -> Any:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        size = sum(member.file_size for member in archive.infolist())
        if size > _MOST_BYTES:
            raise ValueError(f"{size} bytes unpacked, expected at most {_MOST_BYTES}")
        return json.loads(archive.read(_SCHEMA))


def _refuse_foreign(schema: Any) -> None:
    """Look at the names alone: nothing of the file has been built yet."""
    foreign = sorted({_kind(node) for node in _nodes(schema)} - ALLOWED)
    if foreign:
        names = ", ".join(f"{module}.{name} ({loader})" for loader, module, name in foreign)
        raise ModelError(
            "expected a model made of a scaler and a calibrated SVC, got a file that also "
            f"holds {names}; it was not written by this Trephine: do not use it, run retrain"
        )


def _kind(node: dict[str, Any]) -> tuple[str, str, str]:
    return str(node.get("__loader__")), str(node.get("__module__")), str(node.get("__class__"))


def _nodes(content: Any) -> Iterator[dict[str, Any]]:
    """Every node of the schema, parents first, in the order of the file."""
    if isinstance(content, dict):
        if any(key in content for key in ("__loader__", "__module__", "__class__")):
            yield content
        children = list(content.values())
    else:
        children = content if isinstance(content, list) else []
    for child in children:
        yield from _nodes(child)


def _renumber(schema: dict[str, Any]) -> dict[str, str]:
    """Number nodes and members by their order, in place; old member names to new ones."""
    numbers: dict[int, int] = {}
    members: dict[str, str] = {}
    for node in _nodes(schema):
        if "__id__" in node:
            node["__id__"] = numbers.setdefault(node["__id__"], len(numbers) + 1)
        if "file" in node:
            node["file"] = members.setdefault(node["file"], f"{len(members):04d}.npy")
    return members


def _write(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    member = zipfile.ZipInfo(name, _DATE)
    # The same on every system.
    member.create_system = 3
    archive.writestr(member, content, zipfile.ZIP_DEFLATED, 6)
