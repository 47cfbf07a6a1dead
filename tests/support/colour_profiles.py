"""ICC profiles of other colour spaces than sRGB, and what their colours are in sRGB."""

import struct

import numpy as np

from support.image_files import fixed, icc_profile

D50 = np.array([0.9642, 1.0, 0.8249])
D65 = (0.3127, 0.3290)
SRGB = ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06))
ADOBE_RGB = ((0.64, 0.33), (0.21, 0.71), (0.15, 0.06))  # Adobe RGB (1998), section 4.3.1
DISPLAY_P3 = ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060))  # SMPTE RP 431-2
ADOBE_GAMMA = 563 / 256
# Bradford's cone responses, by which ICC profiles go from D65 to D50.
BRADFORD = np.array(
    [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
)


def srgb_curve(value):
    """Linear light of sRGB values 0..1, IEC 61966-2-1."""
    return np.where(value > 0.04045, ((value + 0.055) / 1.055) ** 2.4, value / 12.92)


def adobe_curve(value):
    return value**ADOBE_GAMMA


def xyz(chromaticity):
    x, y = chromaticity
    return np.array([x / y, 1.0, (1 - x - y) / y])


def to_xyz(primaries):
    """Linear RGB -> XYZ under D65, (3, 3), from the chromaticities of the primaries."""
    columns = np.stack([xyz(each) for each in primaries], axis=1)
    return columns * np.linalg.solve(columns, xyz(D65))


def matrix_profile(name, primaries, curve):
    """A version 2 profile of three primaries and one curve."""
    cones = BRADFORD @ D50 / (BRADFORD @ xyz(D65))
    adapt = np.linalg.inv(BRADFORD) @ np.diag(cones) @ BRADFORD
    colorants = (adapt @ to_xyz(primaries)).T
    table = np.round(curve(np.arange(4096) / 4095) * 65535).astype(">u2")
    trc = b"curv\0\0\0\0" + struct.pack(">I", len(table)) + table.tobytes()
    text = name.encode() + b"\0"
    desc = b"desc\0\0\0\0" + struct.pack(">I", len(text)) + text + bytes(78)
    tags = {b"desc": desc, b"wtpt": b"XYZ \0\0\0\0" + fixed(*D50)}
    for letter, column in zip(b"rgb", colorants, strict=True):
        tags[bytes([letter]) + b"XYZ"] = b"XYZ \0\0\0\0" + fixed(*column)
        tags[bytes([letter]) + b"TRC"] = trc
    return icc_profile(b"RGB ", tags)


def grey_profile():
    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(2.2 * 256))
    return icc_profile(b"GRAY", {b"wtpt": b"XYZ \0\0\0\0" + fixed(*D50), b"kTRC": curve})


def in_srgb(samples, primaries, curve):
    """sRGB values 0..255 of (..., 3) samples 0..255; clipped where sRGB has no such colour."""
    light = curve(np.asarray(samples) / 255) @ to_xyz(primaries).T
    linear = np.clip(light @ np.linalg.inv(to_xyz(SRGB)).T, 0, 1)
    values = np.where(linear > 0.0031308, 1.055 * linear ** (1 / 2.4) - 0.055, 12.92 * linear)
    return 255 * values
