"""Outlines of an image's objects as SVG paths; those of the images seen last are kept."""

from __future__ import annotations

import threading
from collections import OrderedDict

from annotator.review.object_index import Held
from annotator.review.tiles import svg_path


class Outlines:
    """SVG paths by image.

    Parameters
    ----------
    most : int
        Images that are kept.
    """

    def __init__(self, most: int = 32) -> None:
        self._most = most
        self._paths: OrderedDict[tuple[str, str], list[str]] = OrderedDict()
        self._lock = threading.Lock()

    def paths(self, held: Held) -> list[str]:
        """The path of each object of an image, in their order."""
        key = held.image.id, held.look_key
        with self._lock:
            known = self._paths.get(key)
        if known is None:
            known = [svg_path(held.crop(at), held.boxes[at]) for at in range(len(held))]
        with self._lock:
            self._paths[key] = known
            self._paths.move_to_end(key)
            while len(self._paths) > self._most:
                self._paths.popitem(last=False)
        return known
