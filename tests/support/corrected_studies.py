"""Studies whose images are small drawn fields with corrected masks; nothing is annotated."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from active_learning.network.patches import TruthField
from annotator.core.objects import Image
from annotator.imaging.codecs import encode_png, encode_rgb_png
from annotator.study.study import Study
from support.known_fields import known_field

QUICK_NETWORK = """
um_per_px = 1.0
[patients]
pattern = "^(p[0-9]+)_"
held_out = 0.2
[network_train]
patch_px = 64
patches = 8
batch = 4
epochs = 4
folds = 2
coarsest_um = 2.0
threads = 1
"""


def corrected_study(
    folder: Path, patients: Sequence[str] = ("p0", "p1", "p2"), settings: str = QUICK_NETWORK
) -> Path:
    """One field of each patient, with its corrected mask and adipocytes; ``study/`` and ``in/``."""
    (folder / "in").mkdir(parents=True)
    path = folder / "study"
    Study.create(path).close()
    (path / "study.toml").write_text(settings, "utf-8")
    with Study.open(path) as study:
        for number, patient in enumerate(patients):
            add_field(study, folder / "in" / f"{patient}_{number}.png", known_field(number))
    return path


def add_field(study: Study, picture: Path, field: TruthField) -> None:
    """Write the picture of a field, make it known, and give it its mask."""
    picture.write_bytes(encode_rgb_png(field.pixels))
    image = Image.from_pixels(field.pixels)
    known = study.register(image.id, str(picture), image.shape, None, ())
    give_mask(study.path, known.name, field.codes)
    if field.instances is not None:
        instances = study.path / "truth" / "instances" / f"{known.name}.png"
        instances.parent.mkdir(exist_ok=True)
        instances.write_bytes(encode_png(np.array(field.instances)))


def give_mask(study: Path, name: str, codes: np.ndarray) -> None:
    """Put a mask into ``truth/``."""
    (study / "truth" / f"{name}.png").write_bytes(encode_png(np.array(codes)))
