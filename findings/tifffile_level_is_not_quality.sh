#!/usr/bin/env bash
# tifffile 2026.3.3 with imagecodecs 2026.3.6: "level" means another thing for every codec.
#
# One would guess: a higher level keeps more, so 100 is at least as true as 90, as for JPEG.
# What happens: JPEG 2000 is lossless at level 0 and lossy at 100 (a PSNR in decibels); JPEG XL
# is lossy even at 100, and then larger than its lossless default; WebP ignores the level and is
# lossless; JPEG XR is lossless at 1 and at 100, and lossy in between.
# Why it matters: whoever swaps the codec and leaves compressionargs={"level": 90} as it was
# archives slides that are lossy by another measure, or not at all, without a word.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check \
  tifffile==2026.3.3 imagecodecs==2026.3.6 numpy==2.4.6

venv/bin/python - <<'PY'
import pathlib

import imagecodecs
import numpy as np
import tifffile

rng = np.random.default_rng(0)
coarse = rng.integers(80, 240, (33, 33, 3)).astype(float)
smooth = np.kron(coarse, np.ones((8, 8, 1)))[:256, :256]
field = np.clip(smooth + rng.normal(0, 6, smooth.shape), 0, 255).astype(np.uint8)


def stored(codec, level):
    """The largest error of a pixel, and the kilobytes."""
    arguments = None if level is None else {"level": level}
    same = {"tile": (256, 256), "photometric": "rgb"}
    tifffile.imwrite("field.tif", field, compression=codec, compressionargs=arguments, **same)
    error = np.abs(tifffile.imread("field.tif").astype(int) - field).max()
    return int(error), round(pathlib.Path("field.tif").stat().st_size / 1000)


print("tifffile", tifffile.__version__, "imagecodecs", imagecodecs.__version__)
print("expected: the error falls as the level rises, for each codec")
print("seen:     level: (largest error, kB)")
table = {}
for codec in ("jpeg", "jpeg2000", "jpegxl", "webp", "jpegxr"):
    table[codec] = {level: stored(codec, level) for level in (None, 0, 1, 50, 90, 100)}
    print(f"  {codec:9}", *(f"{level}: {found}" for level, found in table[codec].items()))
error = {codec: {level: found[0] for level, found in row.items()} for codec, row in table.items()}
holds = [
    error["jpeg"][100] < error["jpeg"][50],
    error["jpeg2000"][0] == 0 < error["jpeg2000"][100],
    error["jpegxl"][None] == 0 < error["jpegxl"][100],
    table["jpegxl"][100][1] > table["jpegxl"][None][1],
    not any(error["webp"].values()),
    error["jpegxr"][1] == error["jpegxr"][100] == 0 < error["jpegxr"][50],
]
raise SystemExit(not all(holds))
PY
