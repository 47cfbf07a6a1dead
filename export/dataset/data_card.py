"""The data card: README.md of an exported data set, for those who train on it.

The sections follow Gebru, T. et al. (2021), Datasheets for datasets, CACM 64(12), 86-92: what
it is for, what is in it, who labelled it and how, what not to do with it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from annotator.core.classes import CLASS_NAMES, UNLABELLED, ClassSchema
from annotator.core.patient_counts import of_patients, unknown_patients
from annotator.measurements.summary import Dataset, Row, Spread
from export.dataset.split import SIDES, Split

CLASS_TEXTS: Mapping[str, str] = {
    "bg": "slide background, plasma bubbles, staining and sectioning artefacts, tears",
    "fat": "adipocytes",
    "cell": "haematopoietic elements, vessels, stroma, red cells and haemorrhage",
    "bone": "trabeculae; soft tissue such as cartilage and muscle",
}
_LIBRARIES = ("trephine", "numpy", "opencv-python-headless", "scikit-learn")


@dataclass(frozen=True, slots=True)
class CardFacts:
    """What the card needs to know beyond the data table.

    Parameters
    ----------
    schema : ClassSchema
    split : Split
    settings : str
        Fingerprint of the study's settings.
    sources : mapping of str to int
        Rough annotations by what gave them their classes: ``seed``, ``round 3`` ...
    pictures_missing : sequence of str
        Names of the images whose picture could not be written.
    """

    schema: ClassSchema
    split: Split
    settings: str
    sources: Mapping[str, int]
    pictures_missing: Sequence[str]


def data_card(found: Dataset, facts: CardFacts) -> str:
    """The data card as Markdown; equal data give equal text."""
    sections = (
        _head(found),
        _files(),
        _classes(found, facts.schema),
        _numbers(found),
        _split(found, facts.split),
        _labels(found, facts),
        _LIMITS,
        _making(facts),
    )
    return "\n".join(sections)


def text(value: str) -> str:
    """Escape a text so that Markdown, and the HTML in it, show it as it is.

    Examples
    --------
    >>> text("<b>|x_1")
    '&lt;b&gt;\\\\|x\\\\_1'
    """
    plain = " ".join(value.split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_\[\]{}()#|!~])", r"\\\1", plain)


def _head(found: Dataset) -> str:
    whole = found.whole
    unknown = unknown_patients((row.name, row.patient) for row in found.rows)
    whose = of_patients(f"{whole.images} H&E-stained fields", whole.patients, unknown)
    return f"""# Bone-marrow fields with pixel labels

{whose},
{whole.from_truth} with corrected masks. Every pixel is background, fat, cell, bone, or open.

- Licence: TO BE FILLED IN by whoever gives this away
- Source of the tissue, ethics approval, consent: TO BE FILLED IN
- Contact: TO BE FILLED IN

The pictures carry no metadata of the original files. The names of images and patients are
those of the study: see that they tell nobody who the patients are.
"""


def _files() -> str:
    return """## Files

| place | what |
|---|---|
| `images/NAME.png` | the field, 8-bit RGB, the pixels that were annotated |
| `masks/NAME.png` | class codes, 8-bit grey |
| `instances/fat/NAME.png` | one number an adipocyte, 0 elsewhere, 16-bit grey |
| `instances/bone/NAME.png` | one number a piece of bone, 0 elsewhere, 16-bit grey |
| `split.csv` | the side of each image: train, val or test; and whose labels it has |
| `dataset.csv` | areas, cellularity, adipocytes, flags of each image |
| `classes.json` | names, codes, colours; size and microns per pixel of each image |
| `trephine-export.json` | sha256 of all these files |

A cell of a CSV file that begins with an apostrophe and one of `= + - @` holds the text behind
the apostrophe.
"""


def _classes(found: Dataset, schema: ClassSchema) -> str:
    pixels = Counter[str]()
    for row in found.rows:
        for name, share in row.areas_pct.items():
            pixels[name] += round(share * row.counted_px / 100)
        pixels["excluded"] += row.excluded_px
    lines = [
        f"| {name} | {code} | `{schema.colours[code]}` | {CLASS_TEXTS[name]} | {pixels[name]:,} |"
        for code, name in enumerate(CLASS_NAMES)
    ]
    open_ = "nobody says; leave it out of the loss, it is not background"
    lines.append(f"| open | {UNLABELLED} | – | {open_} | {pixels['unlabelled']:,} |")
    if pixels["excluded"]:
        excluded = "excluded by a person, such as pen or folds; in no area of the table"
        lines.append(f"| excluded | {UNLABELLED} | – | {excluded} | {pixels['excluded']:,} |")
    return "\n".join(
        [
            "## Classes",
            "",
            "| class | code | colour | holds | pixels |",
            "|---|---|---|---|---|",
            *lines,
            "",
        ]
    )


def _numbers(found: Dataset) -> str:
    whole = found.whole
    scales = sorted({row.um_per_px for row in found.rows if row.um_per_px is not None})
    unknown = sum(row.um_per_px is None for row in found.rows)
    range_ = f"{scales[0]:g} to {scales[-1]:g} um" if scales else "none known"
    flags = ", ".join(f"{count} {name}" for name, count in whole.flags.items())
    return f"""## Numbers

- area % (mean, SD over images): {_areas(whole.areas_pct)}
- cellularity, cell / (cell + fat): {_mean(whole.cellularity, 100)} %
- adipocytes: {whole.adipocytes:,}
- microns per pixel: {range_}; unknown for {unknown} of {whole.images} images
- flags, proposed by a score or set by a person (`dataset.csv` says which): {flags}
"""


def _areas(areas: Mapping[str, Spread]) -> str:
    return ", ".join(f"{name} {_mean(value)}" for name, value in areas.items())


def _mean(value: Spread, scale: float = 1.0) -> str:
    if value.mean is None:
        return "–"
    return f"{scale * value.mean:.1f} (SD {'–' if value.sd is None else f'{scale * value.sd:.1f}'})"


def _split(found: Dataset, split: Split) -> str:
    lines = []
    for side, share in zip(SIDES, split.shares, strict=True):
        rows = [row for row in found.rows if split.side(row.patient) == side]
        corrected = sum(row.source == "truth" for row in rows)
        patients = len({row.patient for row in rows})
        lines.append(f"| {side} | {share} % | {patients} | {len(rows)} | {corrected} |")
    empty = split.empty_sides(row.patient for row in found.rows)
    warning = f"\nNobody fell to {' and '.join(empty)}: take more patients, or another seed.\n"
    return f"""## Split

By patient, seed {split.seed}: a hash of seed and patient deals them out, so shares are met on
average, no patient is on two sides, and none changes sides when images are added.

| side | share asked | patients | images | corrected |
|---|---|---|---|---|
{chr(10).join(lines)}
{warning if empty else ""}"""


def _labels(found: Dataset, facts: CardFacts) -> str:
    rough = found.whole.images - found.whole.from_truth
    sources = ", ".join(f"{count} by {text(name)}" for name, count in facts.sources.items())
    lines = [
        "## Where the labels come from",
        "",
        f"- {found.whole.from_truth} images: masks that people corrected (`truth` in the tables).",
        f"- {rough} images: rough annotations that no person has corrected as a whole (`rough`)"
        f"{f'; classes {sources}' if sources else ''}. Do not test on them.",
    ]
    lines += _named("without a picture, which was not where it was", facts.pictures_missing)
    lines += _named("left out, its labels cannot be used", [one.name for one in found.faults])
    lines += _named("left out, without labels", found.without)
    return "\n".join([*lines, ""])


def _named(what: str, names: Sequence[str]) -> list[str]:
    shown = ", ".join(text(name) for name in names[:10])
    return [f"- {len(names)} {what}: {shown}{' …' if len(names) > 10 else ''}"] if names else []


_LIMITS = """## Limits

- Not a diagnosis, and not measured against one.
- A round closed vessel looks like an adipocyte, and an adipocyte that the border or a fold
  opens looks like a vessel; strips of slide beside bone can pass for fat.
- Cellularity depends on where white ends: `cellularity_low` and `_high` in `dataset.csv` say
  how much.
- Adipocytes that the border cuts are counted, but not measured.
- The scores of the flags were made up by hand and measured against nobody's flags.
"""


def _making(facts: CardFacts) -> str:
    versions = ", ".join(f"{name} {_version(name)}" for name in _LIBRARIES)
    return f"""## Made with

{versions}; settings {facts.settings}. Classes and colours are those of the BaMBo data set
(Singh, Dharamdasani and others, MELBA 2025).
"""


def _version(name: str) -> str:
    """Some environments hold a library under another name."""
    try:
        return version(name)
    except PackageNotFoundError:
        return "(version unknown)"


def split_rows(rows: Sequence[Row], split: Split, missing: Sequence[str]) -> list[list[str]]:
    """Image, patient, side, labels and files of each row, for ``split.csv``."""
    gone = frozenset(missing)
    return [
        [
            row.name,
            row.patient,
            split.side(row.patient),
            row.source,
            "" if row.name in gone else f"images/{row.name}.png",
            f"masks/{row.name}.png",
        ]
        for row in rows
    ]


SPLIT_COLUMNS = ("image", "patient", "split", "labels", "image_file", "mask_file")
