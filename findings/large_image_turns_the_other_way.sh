#!/usr/bin/env bash
# large_image 1.35.6: TIFF orientations 6 and 8 are turned the wrong way round.
#
# One would guess: orientation 6 is turned clockwise by a quarter, 8 counter-clockwise, as the
# tag is defined and as Pillow does.
# What happens: the six other orientations come right, also the mirrored quarter turns 5 and 7;
# 6 and 8 are exchanged, so the picture lies upside down. Width and height are right.
# Why it matters: a camera on a microscope that is mounted sideways writes 6 or 8. Outlines and
# regions given in pixels of one program land at the opposite corner in the other.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check \
  large-image==1.35.6 large-image-source-tiff==1.35.6 pillow==13.0.0 \
  tifffile==2026.3.3 numpy==2.4.6

venv/bin/python - <<'PY'
from importlib.metadata import version

import large_image
import numpy as np
import tifffile
from PIL import Image, ImageOps

rng = np.random.default_rng(0)
stored = rng.integers(0, 256, (128, 256, 3), np.uint8)
quarter = {"clockwise": np.rot90(stored, -1), "counter-clockwise": np.rot90(stored)}


def turned(pixels):
    same = [name for name, whole in quarter.items() if np.array_equal(whole, pixels)]
    return same[0] if same else "another way"


print("large_image", version("large-image"), "Pillow", version("pillow"))
print("expected: 6 clockwise, 8 counter-clockwise, all others as Pillow turns them")
agree, ways = {}, {}
for orientation in range(1, 9):
    name = f"orientation{orientation}.tif"
    tag = (274, "H", 1, orientation, True)
    tifffile.imwrite(name, stored, tile=(64, 64), photometric="rgb", extratags=[tag])
    seen = large_image.open(name).getRegion(format="numpy")[0][..., :3]
    with Image.open(name) as picture:
        meant = np.asarray(ImageOps.exif_transpose(picture))
    agree[orientation] = np.array_equal(seen, meant)
    if orientation in (6, 8):
        ways[orientation] = turned(seen)
        print(f"seen:     {orientation}: large_image {turned(seen)}, Pillow {turned(meant)}")
print("          as Pillow:", [orientation for orientation, same in agree.items() if same])
wrong = ways == {6: "counter-clockwise", 8: "clockwise"}
as_stated = wrong and [i for i, same in agree.items() if not same] == [6, 8]
raise SystemExit(0 if as_stated else 1)
PY
