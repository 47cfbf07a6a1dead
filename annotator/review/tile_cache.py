"""Tiles and outlines of objects: from memory, from disk, or made anew.

Tiles made ahead lie in ``cache/review/tiles/``, one file an image, named by its hash and by
the key of its objects: other objects have another file. The oldest files go when all
together are larger than allowed. The folder can be removed at any time.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from annotator.core.errors import ImageError
from annotator.core.files import TEMPORARY
from annotator.imaging.read import read_image
from annotator.pictures.object_tiles import TILE, Pixels, Rgb, draw_tile, encode, no_tile, svg_path
from annotator.review.object_index import IndexedObjects, ObjectIndex
from annotator.settings.images import ReadSettings


class OutlineCache:
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

    def paths(self, indexed: IndexedObjects) -> list[str]:
        """The path of each object of an image, in their order."""
        key = indexed.image.id, indexed.objects_key
        # Drawn outside the lock: two may draw the same outlines, but nobody waits for others'.
        with self._lock:
            known = self._paths.get(key)
        if known is None:
            known = [svg_path(indexed.crop(at), indexed.boxes[at]) for at in range(len(indexed))]
        with self._lock:
            self._paths[key] = known
            self._paths.move_to_end(key)
            while len(self._paths) > self._most:
                self._paths.popitem(last=False)
        return known


CodeOf = Callable[[IndexedObjects, int], int | None]


# Decoded images, single tiles and files of tiles: kept up to so much.
_DECODED_BYTES = 400 << 20


_TILES = 6000


_DISK_BYTES = 1 << 30


# The end of a file of tiles: what a power cut left unwritten lacks it.
_END = b"trephine tiles 1"


# While somebody waits for an answer, the tiles made ahead step back.
_QUIET_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class Pack:
    """Tiles of one image in a file: where each lies, by object and code of its outline."""

    path: Path
    places: Mapping[str, tuple[int, int]]

    def read(self, number: int, code: int | None) -> bytes | None:
        """A tile; None where it is not there, or the file is gone."""
        place = self.places.get(f"{number}:{code}")
        if place is None:
            return None
        try:
            with self.path.open("rb") as file:
                file.seek(place[0])
                data = file.read(place[1])
        except OSError:
            return None
        return data if len(data) == place[1] else None


def write_pack(path: Path, tiles: Mapping[str, bytes]) -> Pack:
    """Write tiles into one file: the length of a JSON, the JSON of places, the tiles."""
    sizes = np.cumsum([0, *(len(data) for data in tiles.values())]).tolist()
    spans = {name: [sizes[at], len(data)] for at, (name, data) in enumerate(tiles.items())}
    header = json.dumps(spans).encode()
    _write(path, len(header).to_bytes(8) + header + b"".join(tiles.values()) + _END)
    return Pack(path, _places(spans, 8 + len(header)))


def _write(path: Path, data: bytes) -> None:
    """Whole or not at all, but without waiting for the disk: labels need it more."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}{TEMPORARY}")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        temporary.write_bytes(data)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def read_pack(path: Path) -> Pack | None:
    """The places of the tiles in a file; None where it is absent or damaged."""
    try:
        with path.open("rb") as file:
            file.seek(-len(_END), os.SEEK_END)
            if file.read() != _END:
                return None
            file.seek(0)
            size = int.from_bytes(file.read(8))
            return Pack(path, _places(json.loads(file.read(min(size, 1 << 28))), 8 + size))
    except (OSError, ValueError, TypeError, AttributeError):
        return None


def _places(spans: Mapping[str, Iterable[int]], start: int) -> dict[str, tuple[int, int]]:
    # int() raises on a header that is damaged: the file then counts as absent.
    found = {}
    for name, (offset, length) in spans.items():
        found[name] = (start + int(offset), int(length))
    return found


class DecodedImages:
    """Decoded images, the last ones used, up to a number of bytes."""

    def __init__(self, settings: ReadSettings, most: int = _DECODED_BYTES) -> None:
        self._settings = settings
        self._most = most
        self._pixels: OrderedDict[str, Pixels | None] = OrderedDict()
        self._lock = threading.Lock()
        self._reading: dict[str, threading.Lock] = {}

    def __call__(self, indexed: IndexedObjects) -> Pixels | None:
        """Pixels of an image, (H, W, 3) uint8; None where it is gone or another one."""
        image_id = indexed.image.id
        # One lock an image, so that it is decoded once however many ask; always taken before the
        # common one, which is held for moments only: other images never wait for a decoder.
        with self._lock:
            own = self._reading.setdefault(image_id, threading.Lock())
        with own:
            with self._lock:
                if image_id in self._pixels:
                    self._pixels.move_to_end(image_id)
                    return self._pixels[image_id]
            pixels = self._read(indexed)
            with self._lock:
                self._keep(image_id, pixels)
            return pixels

    def _read(self, indexed: IndexedObjects) -> Pixels | None:
        try:
            image = read_image(Path(indexed.image.source), self._settings)
        except ImageError:
            return None
        return image.pixels if image.id == indexed.image.id else None

    def _keep(self, image_id: str, pixels: Pixels | None) -> None:
        self._pixels[image_id] = pixels
        size = sum(one.nbytes for one in self._pixels.values() if one is not None)
        while size > self._most and len(self._pixels) > 1:
            _, gone = self._pixels.popitem(last=False)
            size -= 0 if gone is None else gone.nbytes


class TileCache:
    """The tiles of a study.

    Parameters
    ----------
    folder : Path
        For files of tiles.
    settings : ReadSettings
    colours : mapping
        Colour of the outline by code of the class; None for no class.
    disk_bytes : int
        Files of tiles are kept up to so much.
    """

    def __init__(
        self,
        folder: Path,
        settings: ReadSettings,
        colours: Mapping[int | None, Rgb],
        disk_bytes: int = _DISK_BYTES,
    ) -> None:
        self.decoded = DecodedImages(settings)
        self._folder = folder
        self._colours = colours
        self._disk_bytes = disk_bytes
        self._packs: dict[Path, Pack | None] = {}
        self._tiles: OrderedDict[tuple[str, str, int, int | None, int], bytes] = OrderedDict()
        self._lock = threading.Lock()
        self._asked = 0.0
        self._stop = threading.Event()
        self._wanted: list[str] = []
        self._thread: threading.Thread | None = None

    def tile(self, indexed: IndexedObjects, at: int, code: int | None, size: int = TILE) -> bytes:
        """The tile of an object as JPEG, outlined in the colour of a class."""
        with self._being_asked():
            number = int(indexed.ids[at])
            key = indexed.image.id, indexed.objects_key, number, code, size
            with self._lock:
                known = self._tiles.get(key)
            pack = self._pack(indexed) if size == TILE and known is None else None
            known = known or (pack.read(number, code) if pack else None)
            data = known or self._draw(indexed, at, code, size)
            with self._lock:
                self._tiles[key] = data
                self._tiles.move_to_end(key)
                while len(self._tiles) > _TILES:
                    self._tiles.popitem(last=False)
            return data

    def picture(self, indexed: IndexedObjects) -> bytes:
        """The whole image as JPEG."""
        with self._being_asked():
            pixels = self.decoded(indexed)
            return encode(no_tile()) if pixels is None else encode(pixels)

    def step_back(self) -> None:
        """Pause making tiles ahead: somebody waits for an answer."""
        self._asked = time.monotonic()

    @contextmanager
    def _being_asked(self) -> Iterator[None]:
        self.step_back()
        yield
        self.step_back()

    def _draw(self, indexed: IndexedObjects, at: int, code: int | None, size: int) -> bytes:
        pixels = self.decoded(indexed)
        if pixels is None:
            return encode(no_tile(size))
        return encode(
            draw_tile(pixels, indexed.boxes[at], indexed.crop(at), self._colours[code], size)
        )

    # Made ahead

    def start(self, object_index: ObjectIndex, code_of: CodeOf) -> None:
        """Begin to make the tiles of all objects in the background, or begin again."""
        self.stop()
        self._stop = threading.Event()
        self._thread = threading.Thread(
            target=self._make_ahead, args=(object_index, code_of, self._stop), daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """End it; at most one tile is finished."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def wait(self) -> None:
        """Until all tiles are made."""
        if self._thread is not None:
            self._thread.join()

    def prefer(self, image_ids: Iterable[str]) -> None:
        """Make the tiles of some images first."""
        self._wanted = list(dict.fromkeys(image_ids))

    def _make_ahead(
        self, object_index: ObjectIndex, code_of: CodeOf, stop: threading.Event
    ) -> None:
        # Lower priority, of this thread alone: whoever looks at the page goes first.
        with suppress(OSError, AttributeError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 15)
        left = dict.fromkeys(object_index.indexed)
        while left and not stop.is_set():
            image_id = next((one for one in self._wanted if one in left), next(iter(left)))
            del left[image_id]
            indexed = object_index.indexed[image_id]
            if self._pack(indexed) is None:
                self._make(indexed, code_of, stop)
        if not stop.is_set():
            self._tidy()

    def _make(self, indexed: IndexedObjects, code_of: CodeOf, stop: threading.Event) -> None:
        tiles: dict[str, bytes] = {}
        for at, number in enumerate(indexed.ids.tolist()):
            while time.monotonic() - self._asked < _QUIET_SECONDS and not stop.is_set():
                time.sleep(0.02)
            if stop.is_set() or self.decoded(indexed) is None:
                return
            code = code_of(indexed, at)
            tiles[f"{number}:{code}"] = self._draw(indexed, at, code, TILE)
        # A full or read-only disk costs speed, and nothing else.
        with suppress(OSError):
            self._packs[self._path(indexed)] = write_pack(self._path(indexed), tiles)

    def _path(self, indexed: IndexedObjects) -> Path:
        return self._folder / f"{indexed.image.id}-{indexed.objects_key}.tiles"

    def _pack(self, indexed: IndexedObjects) -> Pack | None:
        path = self._path(indexed)
        if self._packs.get(path) is None:
            self._packs[path] = read_pack(path)
        return self._packs[path]

    def _tidy(self) -> None:
        """Remove the oldest files where there are too many, by their size."""
        found = []
        for path in self._folder.glob("*.tiles"):
            with suppress(OSError):
                found.append((path.stat().st_mtime_ns, path.stat().st_size, path))
        size = sum(one[1] for one in found)
        for _, own, path in sorted(found):
            if size <= self._disk_bytes:
                return
            path.unlink(missing_ok=True)
            self._packs.pop(path, None)
            size -= own
