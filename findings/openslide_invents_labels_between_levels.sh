#!/usr/bin/env bash
# OpenSlide 4.0.1: read_region of a label map at a lower level gives labels that the file lacks.
#
# One would guess: read_region copies the stored pixels of that level.
# What happens: the location counts in pixels of level 0. Where it is no multiple of the
# downsample, OpenSlide shifts by the fraction and blends neighbours; tiffslide does not.
# Why it matters: at the borders of the classes 0, 100 and 200 lie 25 and 50, and the two
# readers, called alike, disagree. Masks must be read at multiples of the downsample.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check \
  openslide-python==1.4.7 openslide-bin==4.0.1.2 tiffslide==3.0.1 \
  tifffile==2026.3.3 imagecodecs==2026.3.6 numpy==2.4.6

venv/bin/python - <<'PY'
from importlib.metadata import version

import numpy as np
import openslide
import tifffile
import tiffslide

labels = np.zeros((512, 512), np.uint8)
labels[:, 256:] = 200
labels[200:400, :100] = 100
pixels = np.repeat(labels[..., None], 3, axis=2)
with tifffile.TiffWriter("labels.tif") as writer:
    same = {"tile": (64, 64), "photometric": "rgb", "compression": "deflate"}
    writer.write(pixels, **same)
    writer.write(pixels[::4, ::4], subfiletype=1, **same)


def values(slide, location):
    region = np.asarray(slide.read_region(location, 1, (100, 100)))[..., :3]
    return sorted({int(value) for value in np.unique(region)})


with openslide.OpenSlide("labels.tif") as slide:
    downsample = slide.level_downsamples[1]
    grid, between = values(slide, (0, 0)), values(slide, (2, 2))
with tiffslide.TiffSlide("labels.tif") as slide:
    other = values(slide, (2, 2))

print("openslide", openslide.__library_version__, "tiffslide", version("tiffslide"))
print(f"expected: labels [0, 100, 200] of level 1 (downsample {downsample}), wherever one starts")
print(f"seen:     OpenSlide at (0, 0): {grid}")
print(f"          OpenSlide at (2, 2): {between}")
print(f"          tiffslide at (2, 2): {other}")
as_stated = grid == other == [0, 100, 200] and set(between) - {0, 100, 200}
raise SystemExit(0 if as_stated else 1)
PY
