"""What is installed, what the machine offers, and what to do about what is missing."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from annotator.study.rough import KnownImage
    from annotator.study.study import Study

Status = Literal["ok", "note", "missing"]

OPENCV = (
    "opencv-python",
    "opencv-python-headless",
    "opencv-contrib-python",
    "opencv-contrib-python-headless",
)
OWN_PACKAGES = ("annotator", "features", "active_learning", "export")
_FOR_SAM = "needed for --proposals sam and auto only (docs/sam.md)"
_LEAST_DISK_GB, _LEAST_MEMORY_GB = 1.0, 2.0
_OLDEST_PYTHON = (3, 11)


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at.

    Parameters
    ----------
    name : str
    status : {"ok", "note", "missing"}
        ``note``: works, but a person may want to know. ``missing``: something that
        is needed is absent, damaged or too small.
    found : str
    advice : str
        What to do; empty where there is nothing to do.
    """

    name: str
    status: Status
    found: str
    advice: str = ""


def examine(study: Path | None = None, load_torch: bool = False) -> tuple[Check, ...]:
    """Look at everything; reads only, and never fails because something is broken.

    Parameters
    ----------
    study : Path, optional
        Looked at, too.
    load_torch : bool
        Also import torch, which takes seconds and finds an installation that is broken.
    """
    return (
        check_python(sys.version_info[:3]),
        *check_packages(installed_versions(), requirements(), pinned_versions()),
        check_opencv(installed_versions()),
        check_own_packages(),
        *check_torch(load_torch),
        *check_weights(),
        check_cores(),
        check_memory(available_memory()),
        check_disk(study or Path()),
        *(check_study(study) if study else ()),
    )


def as_plain(checks: tuple[Check, ...]) -> dict[str, Any]:
    """For ``--json``."""
    return {
        "ok": all(check.status != "missing" for check in checks),
        "checks": [asdict(check) for check in checks],
    }


def check_python(version: tuple[int, ...]) -> Check:
    """Compare with the oldest Python that is supported.

    Examples
    --------
    >>> check_python((3, 9, 2)).status
    'missing'
    """
    found = f"{'.'.join(map(str, version))} ({sys.executable})"
    if version[:2] < _OLDEST_PYTHON:
        return Check("Python", "missing", found, "install Python 3.11 or newer")
    return Check("Python", "ok", found)


def installed_versions() -> dict[str, str]:
    """Version of every distribution of this environment, by its normalised name."""
    return {
        _normal(dist.metadata["Name"]): dist.version
        for dist in metadata.distributions()
        if dist.metadata["Name"]
    }


def requirements() -> tuple[str, ...]:
    """What Trephine itself requires, as its metadata says; without extras."""
    try:
        lines = metadata.requires("trephine") or []
    except metadata.PackageNotFoundError:
        return ()
    return tuple(line for line in lines if "extra ==" not in line)


def pinned_versions() -> dict[str, str]:
    """The pins of ``constraints.txt``; empty where only the wheel is installed."""
    path = Path(__file__).resolve().parent.parent / "constraints.txt"
    if not path.is_file():
        return {}
    pins = (line.partition("==") for line in path.read_text("utf-8").splitlines())
    return {_normal(name): version.strip() for name, equal, version in pins if equal}


def check_packages(
    installed: Mapping[str, str], required: tuple[str, ...], tested: Mapping[str, str]
) -> Iterator[Check]:
    """Yield one check for each package that is missing or not as tested, or one for all."""
    from packaging.requirements import Requirement

    if not required:
        yield Check("packages", "missing", "trephine is not installed", "run: make install")
        return
    faults = []
    for line in required:
        need = Requirement(line)
        version = installed.get(_normal(need.name))
        if version is None or not need.specifier.contains(version, prereleases=True):
            advice = f'run: pip install "{need.name}{need.specifier}" (or: make install)'
            faults.append(Check(need.name, "missing", version or "not installed", advice))
        elif _public(version) != (pin := tested.get(_normal(need.name), _public(version))):
            faults.append(Check(need.name, "note", version, f"tested with {pin}"))
    yield from faults
    good = len(required) - len(faults)
    yield Check("packages", "ok", f"{good} of {len(required)} as tested")


def check_opencv(installed: Mapping[str, str]) -> Check:
    """Two flavours write over each other's files: cv2 then is whichever came last.

    Examples
    --------
    >>> check_opencv({"opencv-python": "4.10", "opencv-python-headless": "5.0"}).status
    'missing'
    """
    found = [name for name in OPENCV if name in installed]
    if len(found) == 1:
        return Check("OpenCV", "ok", f"{found[0]} {installed[found[0]]}")
    again = "pip install --force-reinstall --no-deps opencv-python-headless"
    if not found:
        return Check("OpenCV", "missing", "not installed", f"run: {again}")
    advice = f"run: pip uninstall -y {' '.join(found)}; {again}"
    return Check("OpenCV", "missing", f"several flavours: {', '.join(found)}", advice)


def check_own_packages() -> Check:
    """Our four names are generic: another distribution may hide one of them."""
    home = Path(__file__).resolve().parent.parent
    foreign = [name for name in OWN_PACKAGES if package_folder(name) != home / name]
    if not foreign:
        return Check("own packages", "ok", str(home))
    places = ", ".join(f"{name} at {package_folder(name)}" for name in foreign)
    advice = "install Trephine in an environment of its own: make install"
    return Check("own packages", "missing", places, advice)


def package_folder(name: str) -> Path | None:
    """Folder that an import of this package would take, without importing it."""
    spec = find_spec(name)
    places = list(spec.submodule_search_locations or ()) if spec else []
    return Path(places[0]).resolve() if places else None


def check_torch(load: bool) -> Iterator[Check]:
    """Say which torch there is, and which device it would run on; load it only when asked."""
    from annotator.segmentation.sam.devices import has_apple_gpu, installed_torch, nvidia_gpus

    torch = installed_torch()
    fault = _loading_fault() if load and torch is not None else None
    if torch is None or fault is not None:
        advice = f"{_FOR_SAM}; run: make install"
        yield Check("torch", "missing", fault or "not installed", advice)
        return
    yield Check("torch", "ok", torch.version + (", loads" if load else ""))
    gpus = nvidia_gpus()
    if gpus and torch.cuda is not None:
        yield Check("device", "ok", f"cuda: {gpus[0]}")
    elif has_apple_gpu():
        yield Check("device", "ok", "mps")
    elif gpus:
        advice = "this torch was built for the CPU: install the one for CUDA to use the GPU"
        yield Check("device", "note", f"cpu only, beside {gpus[0]}", advice)
    else:
        advice = "SAM works without a GPU: vit_b takes about 15 s an image on two cores"
        yield Check("device", "note", "cpu only", advice)


def _loading_fault() -> str | None:
    """Why torch cannot be imported; None where it can."""
    try:
        import torch  # noqa: F401  # whether it loads is the question
    except (ImportError, OSError) as error:
        return str(error).splitlines()[0]
    return None


def check_weights() -> Iterator[Check]:
    """Which SAM checkpoints are on this machine."""
    from annotator.segmentation.sam.weights import list_weights

    rows = [row for row in list_weights() if row.present or row.partial]
    if not rows:
        advice = f"{_FOR_SAM}; run: trephine weights fetch vit_b"
        yield Check("SAM weights", "note", "none on this machine", advice)
    for row in rows:
        again = f"run: trephine weights fetch {row.name}"
        if row.verified:
            yield Check("SAM weights", "ok", f"{row.name}, verified: {row.path}")
        elif row.present:
            yield Check("SAM weights", "missing", f"{row.name} is damaged: {row.path}", again)
        else:
            yield Check("SAM weights", "note", f"{row.name} is fetched in part", again)


def check_cores() -> Check:
    """How many processes ``--workers`` can feed."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    advice = f"annotate with --workers {cores}" if (cores or 1) > 1 else ""
    return Check("cores", "ok", str(cores), advice)


def available_memory() -> float | None:
    """Memory that a new process can have, GB; None where the system does not say."""
    try:
        lines = Path("/proc/meminfo").read_text("ascii").splitlines()
    except OSError:
        return None
    kilobytes = [int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")]
    return kilobytes[0] * 1024 / 1e9 if kilobytes else None


def check_memory(gigabytes: float | None) -> Check:
    """Compare with what one worker needs for an image of 1200 x 1920.

    Examples
    --------
    >>> check_memory(0.5).status, check_memory(None).status
    ('missing', 'note')
    """
    if gigabytes is None:
        return Check("memory", "note", "unknown", "one worker needs up to 1.5 GB")
    found = f"{gigabytes:.1f} GB available"
    if gigabytes < _LEAST_MEMORY_GB:
        advice = "close other programs, and use --workers 1"
        return Check("memory", "missing", found, advice)
    return Check("memory", "ok", found)


def check_disk(folder: Path) -> Check:
    """Free space where the study is, or here."""
    place = next(p for p in (folder.absolute(), *folder.absolute().parents) if p.exists())
    free = shutil.disk_usage(place).free / 1e9
    found = f"{free:.1f} GB free at {place}"
    if free < _LEAST_DISK_GB:
        return Check("disk", "missing", found, "an image takes about 5 MB; free some space")
    return Check("disk", "ok", found)


def check_study(folder: Path) -> Iterator[Check]:
    """Whether the folder is a study that can be read and written."""
    from annotator.core.errors import TrephineError
    from annotator.study.study import Study

    try:
        with Study.open(folder) as study:
            images = study.all_images()
            faults = (
                *check_originals(study, images),
                *check_truth(study, images),
                *check_models(study),
                *check_networks(study),
            )
    except TrephineError as error:
        yield Check("study", "missing", str(error), "see the message")
        return
    yield Check("study", "ok", f"{folder}: {len(images)} images")
    yield from faults
    if not os.access(folder, os.W_OK) or not os.access(folder / "study.db", os.W_OK):
        advice = f"run: chmod -R u+w {folder}, or copy the study elsewhere"
        yield Check("study", "missing", f"{folder}: cannot be written", advice)


def check_originals(study: Study, images: Sequence[KnownImage]) -> Iterator[Check]:
    """Compare every picture with the one that was annotated."""
    from annotator.core.errors import ImageError
    from annotator.imaging.read import read_image
    from annotator.imaging.slide_region import exists_on_disk

    removed = study.image_decisions.removed()
    wanted = [image for image in images if image.id not in removed]
    wrong = 0
    for image in wanted:
        path = Path(image.source)
        if not exists_on_disk(path):
            found, advice = "is gone", f"run: trephine images relink {study.path} FOLDER"
        else:
            try:
                same = read_image(path, study.settings.read).id == image.id
            except ImageError as error:
                found, advice = f"cannot be read ({error})", "restore the file from a backup"
            else:
                if same:
                    continue
                found = "holds another picture than the one that was annotated"
                advice = (
                    "put the original back, or look for it with: trephine images relink "
                    f"{study.path} FOLDER"
                )
        wrong += 1
        yield Check("original", "missing", f"{image.name}: {path} {found}", advice)
    if wanted:
        yield _count("originals", wrong, len(wanted), "as annotated")


def check_models(study: Study) -> Iterator[Check]:
    """Read the model of every round, and compare it with the one that was stored."""
    from active_learning.rounds.current_classifier import trained_model
    from annotator.core.errors import ModelError

    rounds = study.rounds.all()
    wrong = 0
    for one in rounds:
        try:
            trained_model(study, one)
            study.rounds.read_out_of_fold(one.index)
        except ModelError as error:
            wrong += 1
            advice = f"restore it from a backup, or run: trephine retrain {study.path}"
            yield Check("model", "missing", f"round {one.index}: {error}", advice)
    if rounds:
        yield _count("models", wrong, len(rounds), "rounds can be used")


def check_networks(study: Study) -> Iterator[Check]:
    """Read the study's own networks, and the one that its settings name."""
    from annotator.core.errors import ModelError

    store, wrong = study.networks, 0
    for index in store.indices():
        advice = f"restore it from a backup, or run: trephine network train {study.path}"
        try:
            if store.read(index).sha256 == store.entry(index).sha256:
                continue
            found = f"{store.path(index)}: another network than its card says lies there"
        except ModelError as error:
            found = str(error)
        wrong += 1
        yield Check("network", "missing", found, advice)
    carded = {store.path(index).name for index in store.indices()}
    for path in sorted(store.folder.glob("*.safetensors")):
        if path.name not in carded:
            wrong += 1
            advice = "restore its card (.json) from a backup, or take the file away"
            yield Check("network", "missing", f"{path}: has no card", advice)
    try:
        used = study.network
    except ModelError as error:
        advice = f"correct [network] use in {study.path / 'study.toml'}, or restore the file"
        yield Check("network", "missing", str(error), advice)
        return
    count = len(store.indices())
    what = f"[network] use = {study.settings.network.use}; {count} of the study's own"
    if used is not None and not wrong:
        yield Check("networks", "ok", what)


def check_truth(study: Study, images: Sequence[KnownImage]) -> Iterator[Check]:
    """Yield one check for each mask in ``truth/`` that cannot be used, and one for strangers."""
    from annotator.core.errors import StudyError

    store = study.truth
    names = {image.name for image in images}
    read = wrong = 0
    for image in images:
        try:
            read += store.read(image.name, image.shape) is not None
        except StudyError as error:
            wrong += 1
            yield Check("truth", "missing", str(error), "see the message")
    if read + wrong:
        yield _count("masks", wrong, read + wrong, "in truth/ can be used")
    strangers = [name for name in store.names() if name not in names]
    if strangers:
        found = f"{len(strangers)} masks that no image of the study has, such as {strangers[0]}.png"
        yield Check("truth", "note", found, "name them like the images: trephine images list")


def _count(name: str, wrong: int, of: int, what: str) -> Check:
    """How many are right; what is wrong with the others was said before."""
    return Check(name, "note" if wrong else "ok", f"{of - wrong} of {of} {what}")


def _normal(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")


def _public(version: str) -> str:
    """Without the local part: 2.13.0+cpu is 2.13.0."""
    return version.partition("+")[0]
