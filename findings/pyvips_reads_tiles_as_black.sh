#!/usr/bin/env bash
# pyvips-binary 8.18.7: TIFF tiles in Zstandard, LZMA or JPEG 2000 (34712) come as black pixels.
#
# One would guess: a codec that the build lacks is an error, at least with fail_on="error".
# What happens: the file opens with the right size and kind, each tile that cannot be decoded is
# zeros, and no exception comes even with fail_on="error". Only fail_on="warning" raises.
# Why it matters: a pipeline that cuts patches from such exports by pyvips fills its data set with
# black ones, and drops them as "no tissue" or learns from them.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check \
  pyvips==3.2.0 pyvips-binary==8.18.7 cffi==2.1.1 \
  tifffile==2026.3.3 imagecodecs==2026.3.6 numpy==2.4.6

venv/bin/python - <<'PY'
from importlib.metadata import version

import numpy as np
import pyvips
import tifffile

pink = np.full((256, 256, 3), (220, 120, 180), np.uint8)
stated = []
print("pyvips-binary", version("pyvips-binary"), "libvips", *(pyvips.version(i) for i in range(3)))
print("expected: pixel [220, 120, 180], or an error")
for codec in ("deflate", "zstd", "lzma", "jpeg2000"):
    name = f"{codec}.tif"
    tifffile.imwrite(name, pink, tile=(128, 128), photometric="rgb", compression=codec)
    image = pyvips.Image.new_from_file(name, fail_on="error")
    pixel = image.numpy()[0, 0].tolist()
    try:
        pyvips.Image.new_from_file(name, fail_on="warning").numpy()
        strict = "no error"
    except pyvips.Error:
        strict = "an error"
    print(f"seen:     {codec:8} {pixel}; with fail_on='warning' {strict}")
    stated.append(pixel == ([220, 120, 180] if codec == "deflate" else [0, 0, 0]))
as_stated = all(stated)
raise SystemExit(0 if as_stated else 1)
PY
