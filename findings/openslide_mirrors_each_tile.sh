#!/usr/bin/env bash
# OpenSlide 4.0.1: a tiled TIFF with an Orientation other than 1 is mirrored tile by tile.
#
# One would guess: the tag turns the whole picture, or is ignored.
# What happens: the tiles stay where they are, and each one is flipped within itself, without an
# error. JPEG tiles are not flipped, so the same pixels come otherwise after a change of codec.
# Why it matters: at a glance the slide is right, yet every cell lies mirrored in its tile and
# the tissue breaks at each tile edge. Outlines drawn in another viewer miss by up to a tile.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check \
  openslide-python==1.4.7 openslide-bin==4.0.1.2 \
  tifffile==2026.3.3 imagecodecs==2026.3.6 numpy==2.4.6

venv/bin/python - <<'PY'
import numpy as np
import openslide
import tifffile

y, x = np.mgrid[:128, :192]
stored = np.stack([x, y, np.full_like(x, 100)], axis=-1).astype(np.uint8)
tiles = stored.reshape(2, 64, 3, 64, 3)  # 2 x 3 tiles of 64 pixels
whole = {2: stored[:, ::-1], 3: stored[::-1, ::-1], 4: stored[::-1]}
inside = {2: tiles[:, :, :, ::-1], 3: tiles[:, ::-1, :, ::-1], 4: tiles[:, ::-1]}


def seen(orientation, codec):
    """Which way the slide comes; JPEG may be off by some levels."""
    tag = (274, "H", 1, orientation, True)
    same = {"tile": (64, 64), "photometric": "rgb", "extratags": [tag]}
    tifffile.imwrite("slide.tif", stored, compression=codec, **same)
    with openslide.OpenSlide("slide.tif") as slide:
        pixels = np.asarray(slide.read_region((0, 0), 0, slide.dimensions))[..., :3].astype(int)
    ways = {
        "as stored": stored,
        "turned as a whole": whole[orientation],
        "each tile turned in its place": inside[orientation].reshape(stored.shape),
    }
    near = [way for way, meant in ways.items() if np.abs(pixels - meant).max() <= 5]
    return near[0] if near else "another way"


print("openslide", openslide.__library_version__)
print("expected: turned as a whole, or as stored; the same for every codec")
found = {codec: [seen(way, codec) for way in whole] for codec in ("deflate", "jpeg")}
for codec, ways in found.items():
    print(f"seen:     orientation 2, 3, 4 in {codec}: {ways}")
as_stated = found == {"deflate": ["each tile turned in its place"] * 3, "jpeg": ["as stored"] * 3}
raise SystemExit(0 if as_stated else 1)
PY
