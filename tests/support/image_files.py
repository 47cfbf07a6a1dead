"""A small picture, and image files made of it, for the tests of the reader."""

import io
import struct
import zlib

import numpy as np
import pytest
import tifffile
from PIL import Image as PillowImage

from annotator.core.errors import ImageError
from annotator.imaging.read import read_image
from annotator.settings.images import ReadSettings

SETTINGS = ReadSettings()
HEIGHT, WIDTH = 40, 56
ROWS, COLUMNS = np.mgrid[:HEIGHT, :WIDTH]
RGB = np.stack([ROWS * 6, COLUMNS * 4, 255 - ROWS * 3 - COLUMNS], axis=2).astype(np.uint8)
PICTURE = PillowImage.fromarray(RGB)
GREY = (ROWS * 5 + COLUMNS).astype(np.uint8)

# What makes a picture upright, by TIFF 6.0, Orientation: where row 0 and column 0 lie.
UPRIGHT = {
    1: lambda a: a,  # top, left
    2: lambda a: a[:, ::-1],  # top, right
    3: lambda a: a[::-1, ::-1],  # bottom, right
    4: lambda a: a[::-1],  # bottom, left
    5: lambda a: a.swapaxes(0, 1),  # left, top
    6: lambda a: np.rot90(a, -1),  # right, top
    7: lambda a: a.swapaxes(0, 1)[::-1, ::-1],  # right, bottom
    8: lambda a: np.rot90(a),  # left, bottom
}


def encode(picture, kind, **options):
    out = io.BytesIO()
    picture.save(out, kind, **options)
    return out.getvalue()


def tiff(*pages, **options):
    """Pages as (samples, options of the page), or one array."""
    out = io.BytesIO()
    with tifffile.TiffWriter(out, **options) as writer:
        for samples, page in pages:
            writer.write(samples, **{"metadata": None, "photometric": "rgb"} | page)
    return out.getvalue()


def with_tag(data, code, value, extra=None):
    """Overwrite a SHORT in the first directory; `extra` replaces Software (305) by two SHORTs."""
    data = bytearray(data)
    start = struct.unpack_from("<I", data, 4)[0]
    for at in range(start + 2, start + 2 + 12 * struct.unpack_from("<H", data, start)[0], 12):
        tag = struct.unpack_from("<H", data, at)[0]
        if tag == code:
            struct.pack_into("<H", data, at + 8, value)
        if tag == 305 and extra is not None:
            struct.pack_into("<HHIHH", data, at, extra[0], 3, 2, *extra[1])
    return bytes(data)


def write(tmp_path, name, data):
    path = tmp_path / name
    path.write_bytes(data)
    return path


def read(tmp_path, name, data):
    return read_image(write(tmp_path, name, data), SETTINGS)


def refusal(path, settings=SETTINGS):
    with pytest.raises(ImageError) as caught:
        read_image(path, settings)
    message = str(caught.value)
    assert str(path) not in message
    assert len(message.splitlines()) == 1
    return message


def icc_profile(space, tags):
    """A version 2 profile of a printer or display, by the ICC specification's tables."""
    table, body = struct.pack(">I", len(tags)), b""
    start = 128 + 4 + 12 * len(tags)
    for name, data in tags.items():
        table += name + struct.pack(">II", start + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    connection = b"Lab " if space == b"CMYK" else b"XYZ "
    head = struct.pack(">III4s4s4s", start + len(body), 0, 0x02400000, b"mntr", space, connection)
    head += bytes(12) + b"acsp" + bytes(28) + fixed(0.9642, 1, 0.8249)
    return head.ljust(128, b"\0") + table + body


def fixed(*values):
    return b"".join(struct.pack(">i", round(v * 65536)) for v in values)


def cmyk_profile():
    """White paper; black where there is black ink, else L* = 50.2 where there is any."""
    light = [255 if inks == 0 else 0 if inks & 1 else 128 for inks in range(16)]
    ramp = bytes(range(256))
    lut = b"mft1\0\0\0\0\4\3\2\0" + fixed(1, 0, 0, 0, 1, 0, 0, 0, 1) + ramp * 4
    lut += b"".join(bytes((v, 128, 128)) for v in light) + ramp * 3
    return icc_profile(b"CMYK", {b"A2B0": lut})


def linear_profile():
    """The primaries of sRGB without its curve."""
    curve = b"curv" + bytes(8)
    xyz = {
        b"rXYZ": (0.43607, 0.22249, 0.01392),
        b"gXYZ": (0.38515, 0.71687, 0.09708),
        b"bXYZ": (0.14307, 0.06061, 0.71410),
        b"wtpt": (0.9642, 1.0, 0.8249),
    }
    tags = {name: b"XYZ \0\0\0\0" + fixed(*values) for name, values in xyz.items()}
    return icc_profile(b"RGB ", tags | dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve))


def srgb_of_linear(samples):
    """The curve of IEC 61966-2-1, on 0-255."""
    linear = samples / 255
    return 255 * np.where(linear > 0.0031308, 1.055 * linear ** (1 / 2.4) - 0.055, 12.92 * linear)


def png_header(width, height, idat=b""):
    def chunk(name, data):
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    ihdr = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = chunk(b"IHDR", ihdr), chunk(b"IDAT", idat), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)
