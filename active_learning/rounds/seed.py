"""The first labels: the seed groups as clusters of objects, to be named by a person, then applied.

The clusters are the groups in ``models/seed.json`` that gave the first draft its classes.
``seed/`` holds one contact sheet a cluster, ``clusters.csv`` to name or split them,
``members.csv`` that says which object is where, and ``corrections.csv`` for single objects.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from active_learning.rounds.contact_sheets import ShownObject, examples
from active_learning.rounds.current_classifier import seed_groups
from active_learning.rounds.dataset import StudyObjects, gather
from active_learning.rounds.label_csv import ImportOptions, ImportReport, import_labels
from active_learning.rounds.seed_labels import (
    AppliedReport,
    by_draft_notes,
    draft_classes,
    label_clusters,
    member_numbers,
    missing_classes,
    named_by_person,
)
from active_learning.seed.clusters import (
    BY_DRAFT,
    LEAST_PURITY,
    Clusters,
    clusters_from_members,
    clusters_of,
    split_clusters,
)
from active_learning.seed.clusters_csv import (
    NamedCluster,
    impure_first,
    read_clusters,
    read_members,
    write_clusters,
    write_members,
)
from annotator.core.classes import CLASS_NAMES
from annotator.core.csv import write_table
from annotator.core.errors import UsageError
from annotator.core.files import write_atomic
from annotator.core.labels import SKIP
from annotator.core.progress import OnStep
from annotator.imaging.codecs import encode_rgb_png
from annotator.pictures.object_sheets import cluster_sheet
from annotator.settings.retired import retired_values
from annotator.study.rough import KnownImage
from annotator.study.study import Study
from features.table import FeatureTable

IMAGES = 51
"""Images of the first batch, as in the paper."""
_SHOWN = 12
_CORRECTIONS = ("image", "object", "class", "author")
# Outline of a cluster that is mixed or skipped.
_NO_CLASS = (90, 90, 90)
_FITTED_NOW = (
    "the study had no groups for its present settings, so they were made now; until the first "
    "round of learning, rough annotations follow them when trephine annotate runs again"
)


@dataclass(frozen=True, slots=True)
class SeedOptions:
    """Which objects are to be shown.

    Parameters
    ----------
    images : int
        The first so many images with objects, by name.
    force : bool
        Whether tables that a person may have filled in are written over.
    """

    images: int = IMAGES
    force: bool = False


@dataclass(frozen=True, slots=True)
class SeedReport:
    """The clusters that lie in ``seed/`` now.

    Parameters
    ----------
    folder : Path
    clusters : tuple of (str, str, int, float)
        Name, class that it looks like, size, estimated purity; the impure ones first.
    objects, images : int
    split : tuple of str
        Names of clusters that were split just now.
    notes : tuple of str
        What a person should know of them.
    missing : tuple of str
        Classes of the draft that no cluster is mostly of, nor was named by a person.
    """

    folder: Path
    clusters: tuple[tuple[str, str, int, float], ...]
    objects: int
    images: int
    split: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()

    @property
    def impure(self) -> tuple[str, ...]:
        """Names of the clusters that get no label unless a person names them."""
        return tuple(name for name, _, _, purity in self.clusters if purity < LEAST_PURITY)


def seed(study: Study, options: SeedOptions, on_step: OnStep) -> SeedReport:
    """Show the seed groups on the objects of the first images: tables and sheets in ``seed/``.

    Parameters
    ----------
    study : Study
    options : SeedOptions
    on_step : callable
        Told what is being done, how much of it is done, and how much there is.

    Raises
    ------
    UsageError
        When tables are there already.
    StudyError
        When another run holds the study, or the objects of an image are damaged.
    ModelError
        When there is no object.
    """
    folder = study.path / "seed"
    if (folder / "clusters.csv").exists() and not options.force:
        raise UsageError(
            f"{folder / 'clusters.csv'}: is there already; apply it (--apply), or replace it with "
            "--force"
        )
    with study.writing():
        on_step("grouping", 0, 1)
        objects = _first(study, options.images)
        groups, fitted = seed_groups(study)
        clusters = clusters_of(groups, objects.table, draft_classes(study, objects.table))
        on_step("grouping", 1, 1)
        for old in folder.glob("cluster-*.png"):
            old.unlink(missing_ok=True)
        if not (folder / "corrections.csv").exists():
            write_atomic(folder / "corrections.csv", write_table(_CORRECTIONS, []))
        report = _write(study, objects, clusters, impure_first(clusters), on_step)
        notes = (*_retired_notes(study), *([_FITTED_NOW] if fitted else []))
        return replace(report, notes=notes)


def apply(study: Study, author: str, on_step: OnStep) -> AppliedReport | SeedReport:
    """Store the classes in ``seed/clusters.csv`` as labels.

    Clusters below a purity of 0.8 that no person named get none. What a person said of a
    group at the review page stands, unless another one is named in the table.

    Where the table asks to split clusters, that is done instead, and nothing is stored:
    the parts have to be named first.

    Parameters
    ----------
    study : Study
    author : str
        Who named the clusters, and corrected objects where the table does not say.
    on_step : callable

    Raises
    ------
    UsageError
        When a table is missing or cannot be used, or the objects are not those that were
        grouped; no label was stored.
    """
    folder = study.path / "seed"
    with study.writing():
        members = read_members(_read(folder / "members.csv"))
        names = sorted(set(members.values()), key=_natural)
        named = _named(folder / "clusters.csv", names)
        objects = _grouped(study, folder, members)
        if any(cluster.parts for cluster in named):
            return _split(study, objects, members, named, on_step)
        # First, because the file can be faulty, and then nothing is to be stored.
        corrections = _corrections(study, folder / "corrections.csv", author)
        return label_clusters(study, objects, members, named, author, corrections)


def _retired_notes(study: Study, only: Collection[str] | None = None) -> tuple[str, ...]:
    """What became of the numbers that a person had set in [clusters]."""
    found = retired_values(study.path / "study.toml", "clusters")
    values = [f"{name} = {value}" for name, value in found.items() if only is None or name in only]
    if not values:
        return ()
    seed_settings = study.settings.seed
    return (
        f"[clusters] {', '.join(values)} in study.toml is not used any more: the clusters are "
        f"the groups of the first classes, {seed_settings.groups_min} to "
        f"{seed_settings.groups_max} of them, as [seed] says. For finer ones write a number "
        "under split in clusters.csv, or raise groups_min and groups_max in [seed] and group "
        "anew with --force; then take [clusters] out",
    )


def _first(study: Study, count: int) -> StudyObjects:
    there = [image for image in study.images() if study.objects_path(image).exists()]
    return gather(study, there[:count], with_excluded=True)


def _write(
    study: Study,
    objects: StudyObjects,
    clusters: Clusters,
    new: Sequence[int],
    on_step: OnStep,
    codes: Mapping[str, int] | None = None,
) -> SeedReport:
    """Write sheets of some clusters, then the tables; the mark of completeness comes last."""
    folder = study.path / "seed"
    _write_sheets(study, objects, clusters, new, on_step)
    write_atomic(folder / "members.csv", write_members(objects.table, clusters))
    write_atomic(folder / "clusters.csv", write_clusters(clusters, codes))
    keys = {image.id: _key(study, image) for image in objects.images}
    write_atomic(folder / "objects.json", json.dumps(keys, indent=1, sort_keys=True).encode())
    return SeedReport(
        folder,
        tuple(
            (
                clusters.names[at],
                CLASS_NAMES[clusters.codes[at]],
                int(clusters.sizes[at]),
                float(clusters.purity[at]),
            )
            for at in impure_first(clusters)
        ),
        len(objects.table),
        len(objects.images),
        missing=missing_classes(study, objects.table, clusters, codes or {}),
    )


def _write_sheets(
    study: Study,
    objects: StudyObjects,
    clusters: Clusters,
    chosen: Sequence[int],
    on_step: OnStep,
) -> None:
    ids = objects.table.image_ids
    rows = {
        index: {
            "typical": clusters.typical(index, _SHOWN, ids),
            "borderline": clusters.borderline(index, _SHOWN, ids),
        }
        for index in chosen
    }
    names = {image.id: image.name for image in objects.images}
    shown = [
        ShownObject(
            _key_of(objects.table, row), _colour(study, int(clusters.codes[index])), caption
        )
        for index, kinds in rows.items()
        for chosen_rows in kinds.values()
        for row in chosen_rows.tolist()
        for caption in [f"{names[str(ids[row])]}\nobject {objects.table.object_ids[row]}"]
    ]
    tiles = examples(study, shown, on_step)
    for index, kinds in rows.items():
        sheet = cluster_sheet(
            _title(clusters, index),
            [
                (kind, [tiles[_key_of(objects.table, row)] for row in chosen_rows.tolist()])
                for kind, chosen_rows in kinds.items()
            ],
        )
        write_atomic(
            study.path / "seed" / f"cluster-{clusters.names[index]}.png", encode_rgb_png(sheet)
        )


def _title(clusters: Clusters, index: int) -> str:
    return (
        f"cluster {clusters.names[index]}: {CLASS_NAMES[clusters.codes[index]]}?  "
        f"{clusters.sizes[index]} objects, about {100 * clusters.purity[index]:.0f} % pure"
    )


def _colour(study: Study, code: int) -> tuple[int, int, int]:
    return study.settings.classes.rgb(CLASS_NAMES[code]) if code < 4 else _NO_CLASS


def _key_of(table: FeatureTable, row: int) -> tuple[str, int]:
    return str(table.image_ids[row]), int(table.object_ids[row])


def _key(study: Study, image: KnownImage) -> str:
    described = study.described(image)
    return "" if described is None else described.key


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(
            f"{path}: cannot be read ({error.strerror}); make it with trephine seed"
        ) from error


def _named(path: Path, names: Sequence[str]) -> tuple[NamedCluster, ...]:
    try:
        return read_clusters(_read(path), names)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from error


def _natural(name: str) -> list[int]:
    return [int(part) for part in name.split(".")]


def _grouped(study: Study, folder: Path, members: Mapping[Any, str]) -> StudyObjects:
    """The objects that were grouped; they must be the same still."""
    try:
        keys = json.loads(_read(folder / "objects.json"))
    except json.JSONDecodeError as error:
        raise UsageError(f"{folder / 'objects.json'}: damaged ({error}); seed anew") from error
    images = [image for image in study.images() if image.id in keys]
    changed = [image.name for image in images if _key(study, image) != keys[image.id]]
    objects = gather(study, images, with_excluded=True) if images and not changed else None
    if objects is None or objects.rows().keys() != members.keys():
        what = f"those of {', '.join(changed[:3])} are others now" if changed else "they differ"
        raise UsageError(
            f"{folder}: expected the objects that were grouped, but {what}; group them anew with "
            f"trephine seed {study.path} --force"
        )
    return objects


def _split(
    study: Study,
    objects: StudyObjects,
    members: Mapping[tuple[str, int], str],
    named: Sequence[NamedCluster],
    on_step: OnStep,
) -> SeedReport:
    """Split what is to be split, and write the tables anew with the classes given so far."""
    names = tuple(cluster.cluster for cluster in named)
    member = member_numbers(objects, members, names)
    draft = draft_classes(study, objects.table)
    before = clusters_from_members(objects.table, names, member, draft)
    parts = {cluster.cluster: cluster.parts for cluster in named if cluster.parts}
    random_state = study.settings.seed.random_state
    clusters = split_clusters(objects.table, before, parts, random_state, draft)
    by_person = named_by_person(objects, before, named, draft is not None)
    codes = {
        cluster.cluster: cluster.code
        for cluster, is_impure, is_named in zip(named, before.impure, by_person, strict=True)
        if not cluster.parts and (not is_impure or is_named or _left_out(cluster))
    }
    unknown = [
        cluster.cluster
        for cluster in named
        if not cluster.parts and cluster.code != SKIP and cluster.cluster not in codes
    ]
    new = [index for index in impure_first(clusters) if clusters.names[index] not in names]
    for name in parts:
        (study.path / "seed" / f"cluster-{name}.png").unlink(missing_ok=True)
    report = _write(study, objects, clusters, new, on_step, codes)
    notes = (
        *_retired_notes(study, ("random_state",)),
        *_cleared_notes(unknown),
        *by_draft_notes([name for name, count in parts.items() if count == BY_DRAFT]),
    )
    return replace(report, split=tuple(parts), notes=notes)


def _left_out(cluster: NamedCluster) -> bool:
    """Skipped in a table of an earlier version, which left no class empty by itself."""
    return cluster.code == SKIP and cluster.looks_like is None


def _cleared_notes(names: Sequence[str]) -> tuple[str, ...]:
    if not names:
        return ()
    return (
        "clusters.csv was of an earlier version, which filled in every class; those of the impure "
        f"clusters {', '.join(names)} are empty now: write them again where somebody has looked",
    )


def _corrections(study: Study, path: Path, author: str) -> ImportReport | None:
    """Import the corrections of single objects, if there are any."""
    if not path.exists() or len(path.read_bytes().strip().splitlines()) < 2:
        return None
    return import_labels(study, path, ImportOptions(fallback=author))
