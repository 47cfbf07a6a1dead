"""The section on methods: counts, settings, versions, hashes, runs."""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import fields
from importlib.metadata import PackageNotFoundError, version
from pathlib import PurePath
from typing import Any

from annotator.core.classes import CLASS_NAMES
from annotator.core.files import sha256
from annotator.report.page import Block, Facts, Heading, Note, PageTable
from annotator.report.text import NONE, count
from annotator.settings.study import STAGES, Settings, new_study_settings
from annotator.settings.toml_values import to_text
from annotator.study.rough import Annotation, KnownImage
from annotator.study.rounds import Round
from annotator.study.runs import AnnotateRun
from annotator.study.study import Study
from annotator.study.truth import TruthStore

_PACKAGES = (
    *("trephine", "numpy", "opencv-python-headless", "scikit-image", "scikit-learn", "scipy"),
    *("torch", "segment-anything", "matplotlib", "Jinja2"),
)
_MOST = 500
# Where a server stands and how one talks to it shapes no figure, and may be nobody's business.
_PRIVATE = frozenset({"cvat"})


def record_blocks(study: Study, runs: Sequence[AnnotateRun]) -> tuple[Block, ...]:
    """Tables of what is needed to repeat or check the study."""
    return tuple(_blocks(study, runs))


def _blocks(study: Study, runs: Sequence[AnnotateRun]) -> Iterator[Block]:
    images = study.images()
    rounds = study.rounds.all()
    # Once: a study may hold thousands.
    known = {image.id: study.rough.annotation(image) for image in images}
    annotated = {key: one for key, one in known.items() if one is not None}
    yield Facts([*_counts(study, images, annotated), *_of_rounds(rounds, runs)])
    yield Heading("Settings that differ from the defaults")
    yield _settings(study.settings)
    yield Heading("Versions")
    yield Facts([(name, _version(name)) for name in _PACKAGES] + [("Python", _python())])
    yield Heading("Hashes")
    yield Facts(_hashes(study, images, rounds))
    yield from _images(study, images, annotated)
    yield Heading("Runs")
    yield from _runs(runs)


def _counts(
    study: Study, images: Sequence[KnownImage], annotated: Mapping[str, Annotation]
) -> list[tuple[str, str]]:
    labels = Counter(label.source for label in study.labels.all())
    corrected = sum(TruthStore(study.path).exists(image.name) for image in images)
    by_source = ", ".join(f"{n:,} {source}" for source, n in sorted(labels.items()))
    return [
        ("images", f"{len(images):,}"),
        ("with a rough annotation", f"{len(annotated):,}"),
        ("with a corrected mask", f"{corrected:,}"),
        ("labels of objects", by_source or "none"),
        ("classes of the annotations from", _classifiers(annotated.values())),
    ]


def _of_rounds(rounds: Sequence[Round], runs: Sequence[AnnotateRun]) -> list[tuple[str, str]]:
    used = [one.index for one in rounds if one.adopted]
    return [
        ("rounds of learning", str(len(rounds))),
        ("round in use", str(used[-1]) if used else NONE),
        ("runs of trephine annotate", str(len(runs))),
    ]


def _classifiers(known: Collection[Annotation]) -> str:
    """Sources of the present classes: a report may mix old and new ones."""
    sources = Counter(one.source for one in known)
    classifiers = {one.classifier for one in known}
    if not sources:
        return "none"
    named = ", ".join(f"{source} ({count(n, 'image')})" for source, n in sorted(sources.items()))
    several = f"; {len(classifiers)} different classifiers" if len(classifiers) > 1 else ""
    return named + several


def _settings(settings: Settings) -> Block:
    rows = [
        (f"[{table}] {name}" if table else name, to_text(chosen), to_text(usual))
        for table, name, chosen, usual in differences(settings)
    ]
    if not rows:
        return Note("None: everything is as trephine init writes it.")
    return PageTable("Settings, as study.toml has them", ("setting", "here", "default"), rows)


def differences(settings: Settings) -> Iterator[tuple[str, str, Any, Any]]:
    """Table, name, value and default of each setting that is not as usual."""
    usual = new_study_settings()
    if settings.um_per_px != usual.um_per_px:
        yield "", "um_per_px", settings.um_per_px, "not set"
    colours = zip(CLASS_NAMES, settings.classes.colours, usual.classes.colours, strict=True)
    yield from (("classes", name, ours, theirs) for name, ours, theirs in colours if ours != theirs)
    for table in STAGES:
        if table in _PRIVATE:
            continue
        ours, theirs = getattr(settings, table), getattr(usual, table)
        for one in fields(theirs):
            chosen, default = getattr(ours, one.name), getattr(theirs, one.name)
            if chosen != default:
                yield table, one.name, chosen, default


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _python() -> str:
    return f"{platform.python_version()}, {platform.system()} {platform.machine()}"


def _hashes(
    study: Study, images: Sequence[KnownImage], rounds: Sequence[Round]
) -> list[tuple[str, str]]:
    weights = study.object_runs.weights(image.id for image in images)
    return [
        ("study.toml, sha256", sha256(study.path / "study.toml") or NONE),
        *((f"model of round {one.index}, sha256", one.model_sha256) for one in rounds),
        ("weights of Segment Anything, sha256", ", ".join(weights) or "none used"),
    ]


def _images(
    study: Study, images: Sequence[KnownImage], annotated: Mapping[str, Annotation]
) -> Iterator[Block]:
    rows = []
    for image in images[:_MOST]:
        known = annotated.get(image.id)
        truth = sha256(TruthStore(study.path).path(image.name))
        keys = (NONE, NONE) if known is None else (known.objects_key, known.classifier or NONE)
        rows.append((image.name, image.id, *keys, NONE if truth is None else truth[:16]))
    if rows:
        left = len(images) - len(rows)
        more = f" ({left} more in study.db)" if left else ""
        head = ("image", "pixels", "objects", "classifier", "corrected mask")
        yield PageTable(
            f"First 16 hex digits of each image's hashes{more}", head, rows, folded=True
        )


def _runs(runs: Sequence[AnnotateRun]) -> Iterator[Block]:
    if not runs:
        yield Note("trephine annotate has not run to its end yet.", "missing")
        return
    rows = [
        (
            run.started,
            f"{run.seconds:.0f}",
            *(str(run.counts.get(key, 0)) for key in ("done", "skipped", "failed")),
        )
        for run in runs[-20:]
    ]
    head = ("started, UTC", "seconds", "done", "skipped", "failed")
    yield PageTable("The last runs of trephine annotate", head, rows)
    failed = runs[-1].failures
    if failed:
        # Names alone: folders are private.
        named = [
            (PurePath(path).name, reason.replace(path, PurePath(path).name))
            for path, reason in failed[:50]
        ]
        yield PageTable("Could not be annotated", ("image", "reason"), named, words=True)
