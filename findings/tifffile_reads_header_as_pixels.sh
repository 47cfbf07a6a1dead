#!/usr/bin/env bash
# tifffile 2026.3.3: a page whose single strip is left out comes as the file's own header.
#
# One would guess: offset 0 and no bytes mean "left out" (GDAL's sparse files), so zeros come.
# What happens: for tiles and for two or more strips it is so. A page of one uncompressed strip is
# taken for contiguous data at offset 0, although its byte count is 0, and the pixels are "II*",
# the tags and what else the file begins with.
# Why it matters: an empty mask or plane of a sparse export then has objects of class 73 and 42
# in its first row, with nothing said.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check \
  tifffile==2026.3.3 imagecodecs==2026.3.6 numpy==2.4.6

venv/bin/python - <<'PY'
import io
import struct

import tifffile

SHORT, LONG = 3, 4


def sparse_page(width, height):
    """A TIFF of one strip, which is left out: its offset and its byte count are 0."""
    tags = [
        *((256, SHORT, width), (257, SHORT, height), (258, SHORT, 8), (259, SHORT, 1)),
        *((262, SHORT, 1), (273, LONG, 0), (277, SHORT, 1), (278, SHORT, height), (279, LONG, 0)),
    ]
    entries = b"".join(struct.pack("<HHII", code, kind, 1, value) for code, kind, value in tags)
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4)


file = sparse_page(8, 8)
with tifffile.TiffFile(io.BytesIO(file)) as tiff:
    page = tiff.pages.first
    offset, count, pixels = page.dataoffsets, page.databytecounts, page.asarray()

print("tifffile", tifffile.__version__)
print(f"expected: 8 x 8 zeros for a strip at {offset} of {count} bytes")
print(f"seen:     first row {pixels[0].tolist()}, the file begins with {list(file[:8])}")
as_stated = pixels.tobytes() == file[:64]
raise SystemExit(0 if as_stated else 1)
PY
