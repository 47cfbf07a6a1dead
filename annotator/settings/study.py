"""All settings of a study: each stage's own, composed; read from and written as TOML.

A default lives in one place only, the dataclass of its stage. ``study.toml`` is written
from those, with every field's documentation as a comment above it.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from annotator.core.classes import CLASS_NAMES, DEFAULT_SCHEMA, ClassSchema
from annotator.core.errors import SettingsError, UsageError
from annotator.core.label_names import MEANINGS, LabelNames, label_names_of_toml
from annotator.settings.annotation import (
    CellMaskSettings,
    DescribeSettings,
    JoinSettings,
    PruneSettings,
    StitchSettings,
    SuperpixelSettings,
)
from annotator.settings.bounds import check_bounds
from annotator.settings.cvat import CvatSettings
from annotator.settings.images import PatientSettings, ReadSettings
from annotator.settings.learning import (
    LabelSettings,
    QuerySettings,
    SeedSettings,
    SimulateSettings,
    TrainSettings,
)
from annotator.settings.network import STARTER, NetworkSettings
from annotator.settings.network_training import NetworkTrainSettings
from annotator.settings.retired import RETIRED
from annotator.settings.sam import SamSettings
from annotator.settings.toml import read_fields, render_fields
from annotator.settings.toml_values import to_text, to_toml

FORMAT = 1

STAGES: Mapping[str, tuple[type[Any], str]] = {
    "read": (ReadSettings, "Reading images."),
    "superpixel": (SuperpixelSettings, "Proposals without weights (--proposals superpixel)."),
    "sam": (SamSettings, "Proposals by Segment Anything (--proposals sam)."),
    "join": (JoinSettings, "Which outline counts with --proposals auto."),
    "prune": (PruneSettings, "Which proposals stay."),
    "network": (NetworkSettings, "The segmentation network (trephine annotate --network)."),
    "describe": (DescribeSettings, "Features of the objects."),
    "seed": (SeedSettings, "Groups that give the first classes, and are named (trephine seed)."),
    "cellmask": (CellMaskSettings, "What counts as cells: neither white nor bone."),
    "stitch": (StitchSettings, "One class a pixel."),
    "patients": (PatientSettings, "Which images belong together, and which are kept apart."),
    "labels": (LabelSettings, "From corrected masks to labels, and from old objects to new."),
    "train": (TrainSettings, "The classifier and how it is judged (trephine retrain)."),
    "network_train": (
        NetworkTrainSettings,
        "The study's own segmentation network (trephine network train).",
    ),
    "query": (QuerySettings, "Which images come next (trephine next)."),
    "cvat": (CvatSettings, "Where the expert corrects (trephine push, pull, status)."),
    "simulate": (SimulateSettings, "The loop against known masks (trephine simulate)."),
}
_TOP = ("format", "um_per_px")


@dataclass(frozen=True, slots=True)
class General:
    """The values at the top of the file, outside any table.

    Raises
    ------
    SettingsError
        When a value is out of its range.
    """

    format: int = field(
        default=FORMAT,
        metadata={"doc": "Version of this file's layout; leave it as it is", "ge": 1},
    )
    um_per_px: float | None = field(
        default=None,
        metadata={
            "doc": "Microns per pixel of images whose file does not say; without it, "
            "measures of such images stay in pixels (example: um_per_px = 0.5)",
            "gt": 0.0,
            "le": 100.0,
        },
    )

    def __post_init__(self) -> None:
        check_bounds(self, "")


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that shapes a rough annotation, apart from what a run is asked for.

    Parameters
    ----------
    um_per_px : float or None
        Microns per pixel of images whose file does not say.
    classes : ClassSchema
    also : LabelNames
        What labels of other programs mean (``[classes] also``).
    read, superpixel, sam, join, prune, network, describe, seed, cellmask, stitch
        The settings of each stage.
    patients, labels, train, network_train, query, simulate
        Those of the learning loop.
    cvat
        Where the expert corrects.

    Raises
    ------
    SettingsError
        When the microns per pixel are out of their range; each stage checks its own.

    Examples
    --------
    >>> Settings().classes.rgb("fat")
    (128, 0, 0)
    """

    um_per_px: float | None = None
    classes: ClassSchema = DEFAULT_SCHEMA
    also: LabelNames = field(default_factory=LabelNames)
    read: ReadSettings = field(default_factory=ReadSettings)
    superpixel: SuperpixelSettings = field(default_factory=SuperpixelSettings)
    sam: SamSettings = field(default_factory=SamSettings)
    join: JoinSettings = field(default_factory=JoinSettings)
    prune: PruneSettings = field(default_factory=PruneSettings)
    network: NetworkSettings = field(default_factory=NetworkSettings)
    describe: DescribeSettings = field(default_factory=DescribeSettings)
    seed: SeedSettings = field(default_factory=SeedSettings)
    cellmask: CellMaskSettings = field(default_factory=CellMaskSettings)
    stitch: StitchSettings = field(default_factory=StitchSettings)
    patients: PatientSettings = field(default_factory=PatientSettings)
    labels: LabelSettings = field(default_factory=LabelSettings)
    train: TrainSettings = field(default_factory=TrainSettings)
    network_train: NetworkTrainSettings = field(default_factory=NetworkTrainSettings)
    query: QuerySettings = field(default_factory=QuerySettings)
    simulate: SimulateSettings = field(default_factory=SimulateSettings)
    cvat: CvatSettings = field(default_factory=CvatSettings)

    def __post_init__(self) -> None:
        General(um_per_px=self.um_per_px)


def new_study_settings(um_per_px: float | None = None) -> Settings:
    """What ``trephine init`` writes: the defaults, and the starter network.

    Examples
    --------
    >>> new_study_settings().network.use, Settings().network.use
    ('starter', 'none')
    """
    return Settings(um_per_px=um_per_px, network=NetworkSettings(STARTER))


def default_toml() -> str:
    """Write every setting with its default and its documentation."""
    return render_toml(Settings())


def render_toml(settings: Settings) -> str:
    """Write these settings as a commented ``study.toml``; reading it gives them back."""
    parts = [
        "# Settings of this study. Take a line out, and its default holds.\n",
        render_fields(General(um_per_px=settings.um_per_px)),
        "\n# Colours of the four classes, all different and none black (unlabelled).\n[classes]",
        *(
            f"{name} = {to_toml(colour)}"
            for name, colour in zip(CLASS_NAMES, settings.classes.colours, strict=True)
        ),
        _also_toml(settings.also),
    ]
    for table, (_, title) in STAGES.items():
        parts += [f"\n# {title}\n[{table}]", render_fields(getattr(settings, table))]
    return "\n".join(parts) + "\n"


def _also_toml(names: LabelNames) -> str:
    pairs = ", ".join(f"{to_toml(k)} = {to_toml(v)}" for k, v in names.given.items())
    lines = [
        "# What labels, codes and colours of other programs mean, for trephine pull: one of",
        f"# {', '.join(MEANINGS)} for each.",
        '# Example: also = { adipocyte = "fat", vessel = "ignore", "255" = "ignore" }',
    ]
    return "\n".join([*lines, f"also = {{ {pairs} }}"] if pairs else lines)


def read_settings(path: Path) -> Settings:
    """Read a ``study.toml``; what it leaves out has its default.

    Raises
    ------
    SettingsError
        Naming the file and, all at once, each table and key that cannot be used:
        what was expected there and what came.
    """
    try:
        # With or without the byte order mark that some editors of Windows put first.
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(
            f"{path}: cannot be read as UTF-8 text ({error}); save it as UTF-8 in the editor"
        ) from error
    return settings_of(text, path)


def settings_of(text: str, path: Path) -> Settings:
    """Settings of the text of a ``study.toml``; `path` is for messages alone.

    Raises
    ------
    SettingsError
        As :func:`read_settings` does.
    """
    try:
        given = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(
            f"{path}: not valid TOML: {error}; correct the line, or write the file anew"
        ) from error
    _refuse_newer(path, given)
    faults: list[str] = []
    settings = _compose(given, faults)
    if settings is None:
        raise SettingsError("\n  ".join([f"{path}: {len(faults)} value(s) to correct:", *faults]))
    return settings


def _refuse_newer(path: Path, given: Mapping[str, Any]) -> None:
    """Say so before the values of a later layout look like mistakes."""
    version = given.get("format", FORMAT)
    if isinstance(version, int) and version > FORMAT:
        raise SettingsError(
            f"{path}: written by a newer Trephine (format {version}, this one reads up to "
            f"{FORMAT}); update Trephine"
        )


def _compose(given: Mapping[str, Any], faults: list[str]) -> Settings | None:
    """Read table by table; None where there was any fault."""
    top = {k: v for k, v in given.items() if k in _TOP or not isinstance(v, dict)}
    general = read_fields(General, top, "", faults)
    for name in sorted(given.keys() - top.keys() - STAGES.keys() - RETIRED.keys() - {"classes"}):
        faults.append(f"[{name}]: unknown table; expected one of classes, {', '.join(STAGES)}")
    tables = {name: value for name, value in given.items() if name not in top}
    named = tables.get("classes", {})
    classes = _read_classes({k: v for k, v in named.items() if k != "also"}, faults)
    also = _read_also(named.get("also", {}), faults)
    stages: dict[str, Any] = {
        name: read_fields(kind, tables.get(name, {}), name, faults)
        for name, (kind, _) in STAGES.items()
    }
    if faults or general is None or classes is None or also is None:
        return None
    return Settings(um_per_px=general.um_per_px, classes=classes, also=also, **stages)


def _read_also(given: Any, faults: list[str]) -> LabelNames | None:
    """Read what labels of other programs mean."""
    try:
        return label_names_of_toml(given)
    except UsageError as error:
        faults.append(f"[classes] also: {error}")
        return None


def _read_classes(given: Mapping[str, Any], faults: list[str]) -> ClassSchema | None:
    """Read ``name = "#rrggbb"`` for the four classes."""
    default = dict(zip(CLASS_NAMES, DEFAULT_SCHEMA.colours, strict=True))
    for key in sorted(given.keys() - default.keys()):
        expected = ", ".join((*CLASS_NAMES, "also"))
        faults.append(
            f"[classes] {key}: unknown; expected one of {expected}, got {to_text(given[key])}"
        )
    bg, fat, cell, bone = (given.get(name, colour) for name, colour in default.items())
    try:
        return ClassSchema((bg, fat, cell, bone))
    except SettingsError as error:
        faults.append(f"[classes] {error}")
        return None
