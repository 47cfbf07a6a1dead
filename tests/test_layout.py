"""The tree as a whole: import order, package names, what an import loads, versions."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest

from annotator.doctor import OWN_PACKAGES, package_folder, pinned_versions

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
HEAVY = {"torch", "segment_anything", "sklearn", "matplotlib.pyplot", "sqlalchemy"}


def test_imports_point_down() -> None:
    linter = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_room_has_its_floor() -> None:
    layers = PROJECT["tool"]["importlinter"]["contracts"][0]["layers"]
    placed = [name for layer in layers for name in re.split("[ |:]+", layer)]
    found = [*(ROOT / "annotator").glob("[!_]*.py"), *(ROOT / "annotator").glob("*/__init__.py")]
    rooms = {
        f"annotator.{path.stem if path.stem[0] != '_' else path.parent.name}" for path in found
    }
    others = set(OWN_PACKAGES) - {"annotator"}
    assert sorted(placed) == sorted(rooms | others | {"annotator.__main__"})
    assert len(layers) <= 12


def test_no_folder_is_crowded() -> None:
    folders = {path.parent for name in OWN_PACKAGES for path in (ROOT / name).rglob("*.py")}
    assert max(len([*folder.glob("[!_]*.py")]) for folder in folders) <= 25


def test_a_class_name_is_unique() -> None:
    """Of the packages and of what their tests share; a reader looks a name up once."""
    homes: dict[str, list[str]] = {}
    for path in (
        *(ROOT / "tests").rglob("*.py"),
        *(f for p in OWN_PACKAGES for f in (ROOT / p).rglob("*.py")),
    ):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ClassDef):
                homes.setdefault(node.name, []).append(str(path.relative_to(ROOT)))
    assert {name: files for name, files in homes.items() if len(files) > 1} == {}


@pytest.mark.parametrize("name", OWN_PACKAGES)
def test_generic_names_resolve_to_our_own_files(name: str) -> None:
    assert package_folder(name) == ROOT / name


@pytest.mark.parametrize("name", OWN_PACKAGES)
def test_packages_import_nothing_by_themselves(name: str) -> None:
    assert (ROOT / name / "__init__.py").read_bytes() == b""
    assert (ROOT / name / "py.typed").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("features.describe", HEAVY | {"annotator.cli.main", "typer", "lxml"}),
        (
            "annotator.segmentation.superpixel",
            {"torch", "segment_anything", "annotator.cli.main", "typer"},
        ),
        # Who has no cluster needs no Dask.
        ("annotator.pipeline.annotate", {"dask", "distributed", "torch"}),
        ("annotator.cli.main", HEAVY | {"numpy", "cv2", "matplotlib", "scipy", "skimage", "PIL"}),
    ],
)
def test_an_import_loads_no_more_than_it_needs(module: str, absent: set[str]) -> None:
    code = f"import sys, {module}; print(*sys.modules, sep='\\n')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert module in loaded
    assert not absent & loaded


def test_versions_agree() -> None:
    ours = PROJECT["project"]["version"]
    changes = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.M)
    cited = re.search(r"^version: (\S+)", (ROOT / "CITATION.cff").read_text("utf-8"), re.M)
    assert cited is not None
    assert changes[0] == ours == cited[1] == version("trephine")


def test_every_dependency_is_pinned() -> None:
    required = [
        *PROJECT["project"]["dependencies"],
        *PROJECT["project"]["optional-dependencies"]["dev"],
    ]
    names = {re.split(r"[<>=\[ ]", line)[0].lower() for line in required}
    assert names <= pinned_versions().keys()
    assert pinned_versions()["torch"] == "2.13.0"
