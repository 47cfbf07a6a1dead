#!/usr/bin/env bash
# tifffile 2026.3.3: leaving out the first tile changes the colours of all the others.
#
# One would guess: a tile of a slide decodes to the same colours, whatever tiles lie beside it.
# What happens: a TIFF that says RGB and holds JFIF (YCbCr) tiles is read well, because the first
# tile's bytes are looked at for "JFIF". Is that tile left out (offset 0, no bytes, as slides
# store bare glass), the answer for the whole page is no, and YCbCr numbers come as RGB.
# Why it matters: the top left corner of a slide is nearly always glass. Of two slides of one
# scanner, one comes pink and one grey; a classifier of colours fails on the second.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check \
  tifffile==2026.3.3 imagecodecs==2026.3.6 numpy==2.4.6

venv/bin/python - <<'PY'
import numpy as np
import tifffile
from imagecodecs import jpeg_encode

pink = np.full((64, 64, 3), (220, 120, 180), np.uint8)
tile = jpeg_encode(pink, level=95, colorspace="rgb", outcolorspace="ycbcr")


def last_pixel(first_tile):
    tifffile.imwrite(
        "slide.tif",
        iter([first_tile, tile]),
        shape=(64, 128, 3),
        dtype=np.uint8,
        tile=(64, 64),
        photometric="rgb",
        compression="jpeg",
        compressionargs={"outcolorspace": "rgb"},  # keeps the tag at RGB; the bytes come from above
    )
    with tifffile.TiffFile("slide.tif") as slide:
        page = slide.pages.first
        print(f"          {page.photometric.name}, bytes of the tiles {page.databytecounts}")
        return page.asarray()[32, 100].tolist()


print("tifffile", tifffile.__version__)
print("expected: [220, 120, 180] in the second tile of both files")
both, without_first = last_pixel(tile), last_pixel(b"")
print(f"seen:     {both} with the first tile, {without_first} without it")
near = np.abs(np.subtract(both, (220, 120, 180))).max() <= 3
far = np.abs(np.subtract(without_first, (220, 120, 180))).max() > 30
as_stated = near and far
raise SystemExit(0 if as_stated else 1)
PY
