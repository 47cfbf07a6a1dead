"""Pixel sizes as image files state them, and which of them to believe."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lxml import etree

# What a microscope's camera can have; print resolutions lie outside.
_UM_PER_PX = (0.05, 20.0)
# Largest difference of width and height, as a share of the larger.
_ANISOTROPY = 0.01
_OME = "OME-XML"
# What Bio-Formats calls the pictures of a slide beside the scan.
_OME_EXTRA = re.compile(r"\s*(?:label|macro|thumbnail|overview)(?:[ _]image)?\s*", re.IGNORECASE)
# Microns in a unit, as files spell it: two characters look like mu, and ImageJ escapes one.
_UM = {
    "nm": 1e-3,
    "um": 1.0,
    "µm": 1.0,
    "μm": 1.0,
    "\\u00b5m": 1.0,
    "micron": 1.0,
    "microns": 1.0,
    "micrometer": 1.0,
    "mm": 1e3,
    "cm": 1e4,
    "m": 1e6,
    "inch": 25400.0,
    "in": 25400.0,
}


@dataclass(frozen=True, slots=True)
class Spacing:
    """A pixel size that a file states.

    Parameters
    ----------
    x, y : float
        Width and height of a pixel, in microns.
    source : str
        Where it stands in the file, for people.
    explicit : bool
        Whether the field means a physical pixel size; a print resolution does not.
    """

    x: float
    y: float
    source: str
    explicit: bool = False


def pixel_size(spacings: Sequence[Spacing]) -> tuple[float | None, tuple[str, ...]]:
    """The first stated pixel size that can be a microscope's, in microns.

    A size between 0.05 and 20 um counts; print resolutions such as 72 or 300 dpi
    (353 and 85 um) lie outside and are passed over. Pixels that differ by more
    than 1 % in width and height are not square: the size is then left open.

    Returns
    -------
    um_per_px : float or None
    notes : tuple of str

    Examples
    --------
    >>> pixel_size([Spacing(84.7, 84.7, "TIFF resolution"), Spacing(0.5, 0.5, "Aperio MPP")])
    (0.5, ())
    """
    notes: list[str] = []
    for spacing in spacings:
        x, y = spacing.x, spacing.y
        if not all(math.isfinite(v) and _UM_PER_PX[0] <= v <= _UM_PER_PX[1] for v in (x, y)):
            if spacing.explicit:
                notes.append(f"pixel size {x:.4g} x {y:.4g} um ({spacing.source}) is implausible")
            continue
        if abs(x - y) > _ANISOTROPY * max(x, y):
            notes.append(
                f"pixels of {x:.4g} x {y:.4g} um ({spacing.source}) are not square: "
                "size ignored, set um_per_px in study.toml"
            )
            return None, tuple(notes)
        # six digits: 1 / (2000 px / 1 mm) and 25400 / 50800 dpi are the same 0.5
        return float(f"{(x + y) / 2:.6g}"), tuple(notes)
    return None, tuple(notes)


def ome_spacing(text: str, shape: tuple[int, int]) -> Spacing | None:
    """Pixel size of OME-XML; of the picture with this height and width, else of the first.

    Examples
    --------
    >>> xml = '<OME><Image><Pixels SizeX="9" SizeY="7" PhysicalSizeX="250" '
    >>> xml += 'PhysicalSizeXUnit="nm" PhysicalSizeY="0.25"/></Image></OME>'
    >>> ome_spacing(xml, (7, 9))
    Spacing(x=0.25, y=0.25, source='OME-XML', explicit=True)
    """
    found = _ome_pixels(text)
    wanted = (str(shape[1]), str(shape[0]))
    # The picture of this size first; the sort is stable, so the others stay in their order.
    found.sort(key=lambda p: (p.get("SizeX"), p.get("SizeY")) != wanted)
    sizes = [_ome_length(found[0], f"PhysicalSize{axis}") for axis in "XY"] if found else [None]
    if sizes[0] is None:
        return None
    # Where the width alone is stated, the pixels are taken for square.
    return Spacing(sizes[0], sizes[1] or sizes[0], _OME, explicit=True)


def _ome_pixels(text: str) -> list[Any]:
    """The elements that describe pictures in OME-XML; none where it is no OME-XML."""
    # OME-XML declares no entities: what does is not meant well
    if "<OME" not in text[:4096] or "<!DOCTYPE" in text:
        return []
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)
    try:
        return list(etree.fromstring(text.strip().encode(), parser).iterfind(".//{*}Pixels"))
    except (etree.LxmlError, ValueError):
        return []


def other_pixel_size(spacings: Sequence[Spacing], um_per_px: float | None) -> tuple[str, ...]:
    """A note where OME-XML gave the pixel size and the file states another one beside it.

    Viewers that do not read OME-XML take the resolution of the tags for the scale, print
    resolutions such as 72 dpi (353 um) included.

    Examples
    --------
    >>> sizes = [Spacing(0.25, 0.25, "OME-XML", True), Spacing(352.8, 352.8, "TIFF resolution")]
    >>> other_pixel_size(sizes, 0.25)[0]
    'OME-XML says 0.25 um per pixel, TIFF resolution 352.8: 0.25 is used, viewers may differ'
    """
    stated = [each for each in spacings if each.source == _OME]
    if not stated or um_per_px is None or abs(stated[0].x - um_per_px) > 0.01 * um_per_px:
        return ()
    others = [s for s in spacings if s.source != _OME and math.isfinite(s.x)]
    return tuple(
        f"{_OME} says {um_per_px:.4g} um per pixel, {other.source} {other.x:.4g}: "
        f"{um_per_px:.4g} is used, viewers may differ"
        for other in others[:1]
        if abs(other.x - um_per_px) > 0.01 * um_per_px
    )


@dataclass(frozen=True, slots=True)
class OmePicture:
    """A picture that OME-XML lists: (height, width), and whether it only shows the slide."""

    shape: tuple[int, int]
    extra: bool


def ome_pictures(text: str) -> tuple[OmePicture, ...]:
    """The pictures that OME-XML lists; none where it is no OME-XML.

    Examples
    --------
    >>> xml = '<OME><Image Name="macro image"><Pixels SizeX="9" SizeY="7"/></Image></OME>'
    >>> ome_pictures(xml)
    (OmePicture(shape=(7, 9), extra=True),)
    """
    sizes = [(p.get("SizeY", ""), p.get("SizeX", ""), _is_extra(p)) for p in _ome_pixels(text)]
    return tuple(
        OmePicture((int(height), int(width)), extra)
        for height, width, extra in sizes
        if height.isdecimal() and width.isdecimal()
    )


def _is_extra(pixels: Any) -> bool:
    """Whether a picture is called a label, a macro picture or a thumbnail of the slide."""
    return _OME_EXTRA.fullmatch(pixels.getparent().get("Name") or "") is not None


def ome_colour_planes(text: str) -> tuple[int, int, int] | None:
    """Positions of red, green and blue among the planes of a picture that keeps each by itself.

    Parameters
    ----------
    text : str
        OME-XML, or any other description.

    Returns
    -------
    (int, int, int) or None
        None where the text describes no picture of three colours: more pictures than one, focus
        or time as well, or channels of other names, as fluorescence has them. Channels without
        names are in order.

    Examples
    --------
    >>> xml = '<OME><Image><Pixels SizeC="3" SizeZ="1" SizeT="1"><Channel Name="Blue"/>'
    >>> xml += '<Channel Name="Green"/><Channel Name="Red"/></Pixels></Image></OME>'
    >>> ome_colour_planes(xml)
    (2, 1, 0)
    >>> ome_colour_planes(xml.replace("Blue", "DAPI")) is None
    True
    """
    found = [each for each in _ome_pixels(text) if not _is_extra(each)]
    if len(found) != 1:
        return None
    (pixels,) = found
    if [pixels.get(f"Size{axis}") for axis in "CZT"] != ["3", "1", "1"]:
        return None
    names = [(each.get("Name") or "").lower() for each in pixels.iterfind("{*}Channel")]
    if not any(names):
        return 0, 1, 2
    for colours in (("red", "green", "blue"), ("r", "g", "b")):
        if sorted(names) == sorted(colours):
            red, green, blue = (names.index(colour) for colour in colours)
            return red, green, blue
    return None


def _ome_length(pixels: Any, name: str) -> float | None:
    unit = _UM.get(pixels.get(f"{name}Unit", "µm").lower())
    value = _number(pixels.get(name, ""))
    return None if unit is None or value is None else value * unit


def aperio_spacing(text: str) -> Spacing | None:
    """Pixel size of an Aperio description.

    Examples
    --------
    >>> aperio_spacing("Aperio Image|AppMag = 40|MPP = 0.2498").x
    0.2498
    """
    found = re.search(r"\bMPP\s*=\s*([0-9.,]+)", text)
    # A decimal comma is read as a point.
    value = _number(found[1].replace(",", ".")) if found and "Aperio" in text else None
    return None if value is None else Spacing(value, value, "Aperio MPP", explicit=True)


def imagej_unit(text: str) -> float | None:
    """Microns in the unit of an ImageJ description, or None.

    Examples
    --------
    >>> imagej_unit("ImageJ=1.53t\\nunit=micron\\n")
    1.0
    """
    unit = re.search(r"^unit=(.+)$", text, re.MULTILINE)
    if not text.startswith("ImageJ=") or unit is None:
        return None
    return _UM.get(unit[1].strip().lower())


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
