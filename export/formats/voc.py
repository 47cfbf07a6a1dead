"""Write PASCAL VOC in a zip, as CVAT's "PASCAL VOC 1.1" and "Segmentation mask 1.1" read it.

What CVAT asks for, and what follows from it:

- ``labelmap.txt`` declares ``background:0,0,0::``; black is "unlabelled". Labels
  are matched by name, and bg is a label like the others.
- It makes one mask of each colour of ``SegmentationObject``, and none of the
  black pixels: so each piece of bg, and all cell of an image, have a colour too.
- The colours are the 255 of the VOC colour map, in RGB; one more fails the
  import. Where there are more, instances go before pieces of bg and large ones
  before small ones; the rest share one colour a class. An archive in COCO
  format then lies beside, with every instance of every image: import that one.
- ``ImageSets/Main`` would turn the boxes of ``Annotations`` into rectangles on
  top of the masks, so there is none: the boxes are for other readers.
- Boxes are half-open, as CVAT reads and writes them. The VOC of 2007 to 2012
  counts pixels from 1 and its ``xmax`` is inclusive; a reader that follows it
  is one pixel off to the upper left.

References
----------
Everingham et al., "The PASCAL Visual Object Classes (VOC) Challenge", Int J Comput Vis 88,
2010; the VOC development kit for the colour map.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from lxml import etree
from numpy.typing import NDArray

from annotator.core.classes import BG, CLASS_NAMES, ClassSchema
from annotator.core.errors import ExportError, ImageError
from annotator.imaging.codecs import encode_small_png
from export.archive import ZipSink, refuse_existing, zip_at
from export.formats.coco import JSON_NAME, CocoStream
from export.shapes import ExportImage, ExportOptions, ExportReport, Shape, shapes

MOST_INSTANCES = 255


def voc_colormap() -> NDArray[np.uint8]:
    """The colour map of PASCAL VOC.

    Returns
    -------
    (256, 3) uint8
        RGB by number; entry 0 is black.

    Notes
    -----
    Bits 0, 1, 2 of the number become the highest bits of red, green and blue,
    bits 3, 4, 5 the next, and so on (``VOCcolormap`` of the development kit).

    Examples
    --------
    >>> voc_colormap()[[1, 2, 3, 8]].tolist()
    [[128, 0, 0], [0, 128, 0], [128, 128, 0], [64, 0, 0]]
    """
    index = np.arange(256)
    table = np.zeros((256, 3), np.uint8)
    for step in range(3):
        for channel in range(3):
            bit = index >> (3 * step + channel) & 1
            table[:, channel] |= (bit << (7 - step)).astype(np.uint8)
    return table


def number_shapes(drawn: Sequence[Shape]) -> tuple[NDArray[np.int64], dict[str, int]]:
    """Give each shape a number from 1 to 255.

    Parameters
    ----------
    drawn : sequence of Shape
        N shapes of one image.

    Returns
    -------
    numbers : (N,) int64
        Shape k is number k + 1 where all fit. Otherwise those that keep a
        number of their own come first, in their order, then one number for the
        rest of each class.
    merged : dict of str to int
        How many shapes of each class share a number with others.

    Examples
    --------
    >>> dot = Shape(1, 1, (0, 0, 1, 1), np.ones((1, 1), bool))
    >>> number_shapes([dot, dot])
    (array([1, 2]), {})
    >>> numbers, merged = number_shapes([dot] * 300)
    >>> int(numbers.max()), merged
    (255, {'fat': 46})
    """
    if len(drawn) <= MOST_INSTANCES:
        return np.arange(1, len(drawn) + 1), {}
    codes = np.array([s.code for s in drawn])
    area = np.array([s.area for s in drawn])
    # Instances before pieces of bg, large before small, then in their order (lexsort sorts by
    # its last key first).
    ranked = np.lexsort((np.arange(len(drawn)), -area, codes == BG))
    # The rest need a number for each class among them, which are taken off the 255.
    own = MOST_INSTANCES - 1
    while own + len(np.unique(codes[ranked[own:]])) > MOST_INSTANCES:
        own -= 1
    alone, rest = np.sort(ranked[:own]), ranked[own:]
    numbers = np.zeros(len(drawn), np.int64)
    numbers[alone] = np.arange(1, own + 1)
    numbers[rest] = own + 1 + np.unique(codes[rest], return_inverse=True)[1]
    counts = Counter(drawn[k].label for k in rest.tolist())
    return numbers, {name: counts[name] for name in CLASS_NAMES if counts[name] > 1}


def object_map(
    drawn: Sequence[Shape], numbers: NDArray[np.int64], shape: tuple[int, int]
) -> NDArray[np.uint8]:
    """Paint the number of each shape.

    Parameters
    ----------
    drawn : sequence of Shape
        N shapes that do not overlap.
    numbers : (N,) int64
        1 to 255.
    shape : (int, int)
        Height and width of the image, px.

    Returns
    -------
    (H, W) uint8
        0 where there is no shape.

    Examples
    --------
    >>> dot = Shape(1, 1, (1, 0, 2, 1), np.ones((1, 1), bool))
    >>> object_map([dot], np.array([9]), (1, 3)).tolist()
    [[0, 9, 0]]
    """
    painted = np.zeros(shape, np.uint8)
    for region, number in zip(drawn, numbers.tolist(), strict=True):
        painted[region.where][region.mask] = number
    return painted


def labelmap_text(schema: ClassSchema) -> str:
    """The text of ``labelmap.txt``: each label with its colour; background first.

    Examples
    --------
    >>> from annotator.core.classes import DEFAULT_SCHEMA
    >>> print(labelmap_text(DEFAULT_SCHEMA), end="")
    # label:color_rgb:parts:actions
    background:0,0,0::
    bg:0,128,0::
    fat:128,0,0::
    cell:128,128,0::
    bone:0,0,128::
    """
    lines = ["# label:color_rgb:parts:actions", "background:0,0,0::"]
    for name in CLASS_NAMES:
        red, green, blue = schema.rgb(name)
        lines.append(f"{name}:{red},{green},{blue}::")
    return "\n".join(lines) + "\n"


def annotation_xml(image: ExportImage, drawn: Sequence[Shape]) -> bytes:
    """One XML of ``Annotations``: the size of the picture and a box for each shape.

    Boxes are half-open, as CVAT reads and writes them: ``xmax - xmin`` is the
    width. ``truncated`` says that the shape reaches the edge of the picture.

    Parameters
    ----------
    image : ExportImage
    drawn : sequence of Shape

    Returns
    -------
    bytes
        UTF-8.
    """
    height, width = image.label_maps.shape
    root = etree.Element("annotation")
    _add(root, {"folder": "", "filename": image.picture_name})
    source = {"database": "Unknown", "annotation": "Trephine", "image": "Unknown"}
    _add(etree.SubElement(root, "source"), source)
    _add(etree.SubElement(root, "size"), {"width": width, "height": height, "depth": 3})
    _add(root, {"segmented": 1})
    for shape in drawn:
        _add_object(root, shape, (height, width))
    text: bytes = etree.tostring(root, pretty_print=True, encoding="utf-8")
    return text


def _add_object(root: etree._Element, shape: Shape, frame: tuple[int, int]) -> None:
    x0, y0, x1, y1 = shape.box
    cut = x0 == 0 or y0 == 0 or y1 == frame[0] or x1 == frame[1]
    element = etree.SubElement(root, "object")
    _add(element, {"name": shape.label, "truncated": int(cut), "occluded": 0, "difficult": 0})
    box = {"xmin": x0, "ymin": y0, "xmax": x1, "ymax": y1}
    _add(etree.SubElement(element, "bndbox"), box)


def _add(parent: etree._Element, values: Mapping[str, object]) -> None:
    for tag, value in values.items():
        etree.SubElement(parent, tag).text = str(value)


def write_voc(
    out: Path,
    images: Iterable[ExportImage],
    schema: ClassSchema,
    options: ExportOptions,
) -> ExportReport:
    """Write a VOC archive; see :func:`export.formats.write.write_export`.

    Beside it lies ``STEM-instances-coco.zip`` when an image has more than 255
    instances. It holds all images, because an import into a CVAT task wipes
    those that an archive leaves out.
    """
    # First: a folder such as "." has no name that another could be made of.
    refuse_existing(out, options.overwrite)
    beside = out.with_name(f"{out.stem}-instances-coco.zip")
    refuse_existing(beside, options.overwrite)
    writer = _Writer(schema, options)
    # Whether the COCO archive is needed is known only after the last image, and the images can be
    # taken only once: so both are written, and the second is removed where nothing was merged.
    with zip_at(out, options.overwrite) as sink:
        with zip_at(beside, True) as lossless, lossless.stream(JSON_NAME) as target:
            stream = CocoStream(target)
            writer.write_all(sink, stream, images)
            stream.close()
        if not writer.merged:
            beside.unlink()
    files = (out, beside) if writer.merged else (out,)
    left_out = [f"{name}: left out: {why}" for name, why in writer.left_out.items()]
    notes = (*_notes(writer.merged, beside), *left_out)
    counts = stream.images, stream.annotations
    return ExportReport("voc", files, *counts, writer.merged, notes, tuple(writer.left_out))


def _notes(merged: Mapping[str, Mapping[str, int]], beside: Path) -> tuple[str, ...]:
    """What a person should know about merged instances, one line for each image."""
    if not merged:
        return ()
    lines = [
        f"{name}: more than {MOST_INSTANCES} instances, the smallest share one number a class: "
        + ", ".join(f"{count} {label}" for label, count in counts.items())
        for name, counts in merged.items()
    ]
    return (*lines, f"every instance is in {beside.name}: import that one into CVAT as COCO 1.0")


class _Writer:
    """Writes image by image, and counts the instances that were merged."""

    def __init__(self, schema: ClassSchema, options: ExportOptions) -> None:
        self._colours = schema.palette()
        self._numbers = voc_colormap()
        self._schema = schema
        self._options = options
        self.merged: dict[str, dict[str, int]] = {}
        self.left_out: dict[str, str] = {}

    def write_all(self, sink: ZipSink, lossless: CocoStream, images: Iterable[ExportImage]) -> None:
        names: list[str] = []
        sink.write("labelmap.txt", labelmap_text(self._schema))
        for image in images:
            reason = self._why_left_out(image)
            if reason:
                self.left_out[image.name] = reason
                continue
            drawn = shapes(image.label_maps)
            self._write_image(sink, image, drawn)
            lossless.add(image, drawn)
            names.append(image.name)
        if not names and self.left_out:
            name, reason = next(iter(self.left_out.items()))
            raise ExportError(
                f"none of the {len(self.left_out)} pictures is what was annotated "
                f"({name}: {reason}); put them back, annotate them again, or export without them"
            )
        if not names:
            raise ExportError("no image to export: annotate some first")
        sink.write("ImageSets/Segmentation/default.txt", "\n".join(names) + "\n")

    def _why_left_out(self, image: ExportImage) -> str:
        """Why an image and its mask must not go out together; empty where they may."""
        if not self._options.images or image.check_source is None:
            return ""
        try:
            image.check_source()
        except ImageError as error:
            return str(error)
        return ""

    def _write_image(self, sink: ZipSink, image: ExportImage, drawn: Sequence[Shape]) -> None:
        numbers, merged = number_shapes(drawn)
        if merged:
            self.merged[image.name] = merged
        objects = object_map(drawn, numbers, image.label_maps.shape)
        colours = self._colours[image.label_maps.classes]
        sink.write(f"Annotations/{image.name}.xml", annotation_xml(image, drawn))
        if self._options.images:
            picture = f"JPEGImages/{image.picture_name}"
            if image.source_path is None and image.picture is not None:
                sink.write(picture, image.picture())
            else:
                sink.copy(picture, _source_of(image))
        sink.write(f"SegmentationClass/{image.name}.png", encode_small_png(colours))
        sink.write(f"SegmentationObject/{image.name}.png", encode_small_png(self._numbers[objects]))


def _source_of(image: ExportImage) -> Path:
    if image.source_path is None:
        raise ExportError(
            f"{image.name}: the original picture is not known; export without pictures"
        )
    return image.source_path
