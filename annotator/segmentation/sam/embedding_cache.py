"""SAM's image embeddings kept on disk: the encoder sees each image, or tile, once.

What SAM makes of an image depends on its pixels and the weights only, not on prompts
or thresholds, so a change of settings does not cost the encoder's seconds again.

A cache is a convenience, and is treated as one: what is missing or damaged counts as not
there, and what cannot be written is not, with one sentence for the person in
:attr:`EmbeddingCache.problems`. It never stops a batch, and it never takes the last of
the disk, which the results need more.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import re
import shutil
import time
import zlib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from annotator.core.errors import StorageError
from annotator.core.files import TEMPORARY, Writer, write_atomic

# Left on the disk for the results themselves.
KEEP_FREE = 512 << 20
# What a killed write left behind is removed after this; a live one takes seconds.
_STALE_SECONDS = 3600.0
_CHECK = 4


def embedding_key(image_id: str, box: tuple[int, int, int, int], weights: str, encoder: str) -> str:
    """Name of an embedding: 32 hex digits of everything that shapes it.

    Parameters
    ----------
    image_id : str
        Content hash of the image's pixels.
    box : (int, int, int, int)
        The tile, half-open ``x0 y0 x1 y1`` px; the whole image where there is one tile.
    weights : str
        sha256 of the checkpoint.
    encoder : str
        Whatever else changes a bit of the result: version of the encoder's code, and
        the number format or device where these matter.

    Examples
    --------
    >>> embedding_key("e6313b50127a40b8", (0, 0, 3, 2), "ab" * 32, "1 float32")
    '61081594160f842e63a5834e613f3757'
    """
    text = json.dumps([image_id, [int(edge) for edge in box], weights, encoder])
    return hashlib.sha256(text.encode()).hexdigest()[:32]


@dataclass(frozen=True, slots=True, eq=False)
class EmbeddingCache:
    """A folder of embeddings, bounded in size; the longest unused ones go first.

    Several processes may use one folder. Each file is an ``.npy`` with a checksum behind
    it, written whole or not at all.

    Parameters
    ----------
    folder : Path
        Made at the first write.
    most_bytes : int
        Size of the folder's embeddings; 0 keeps none, and a vit_b tile takes 4 MB.
    keep_free : int
        Bytes of the disk that are left to others; nothing is written below.
    write : Writer
        Who puts bytes into files; tests pass one that fails.
    problems : list of str
        Empty, or why embeddings are not kept: one sentence, however many images it
        met. Whoever runs the batch reports it as a note.
    """

    folder: Path
    most_bytes: int
    keep_free: int = KEEP_FREE
    write: Writer = write_atomic
    problems: list[str] = field(default_factory=list)

    def load(self, key: str) -> NDArray[np.float32] | None:
        """Return the embedding, (C, G, G) float32, bit for bit and read-only; None for none.

        A file that is cut, changed or something else counts as none: it is encoded and
        written again. What is read counts as used.
        """
        path = self._path(key)
        try:
            data = path.read_bytes()
        except OSError:
            return None
        features = _unpack(data)
        if features is not None:
            # A study that can only be read keeps its order.
            with contextlib.suppress(OSError):
                path.touch(exist_ok=True)
        return features

    def save(self, key: str, features: NDArray[np.float32]) -> bool:
        """Keep an embedding, and drop the longest unused ones beyond the bound.

        Parameters
        ----------
        key : str
            From :func:`embedding_key`.
        features : (C, G, G) float32

        Returns
        -------
        bool
            Whether it is kept. After the first failure of the disk nothing more is
            tried by this object, and :attr:`problems` says why.
        """
        path = self._path(key)
        data = _pack(features)
        if self.problems or len(data) > self.most_bytes:
            return False
        try:
            self._leave_room(len(data))
            self.write(path, data)
        except StorageError as error:
            self.problems.append(f"SAM's embeddings are not kept, a re-run encodes again: {error}")
            return False
        self._trim(path)
        return True

    def _path(self, key: str) -> Path:
        if not re.fullmatch(r"[0-9a-f]{8,64}", key):
            raise ValueError(f"expected a key of embedding_key (hex digits), got {key!r}")
        return self.folder / f"{key}.npy"

    def _leave_room(self, needed: int) -> None:
        there = next(p for p in (self.folder, *self.folder.parents) if p.exists())
        free = shutil.disk_usage(there).free
        if free - needed < self.keep_free:
            raise StorageError(
                f"{self.folder}: the disk has {free >> 20} MB left, and "
                f"{self.keep_free >> 20} MB stay free for results; free some space"
            )

    def _trim(self, newest: Path) -> None:
        """Remove the oldest files beyond the bound, but not the one just written."""
        files = []
        # Another process may be trimming, too: what is gone is gone.
        for path in self.folder.iterdir():
            with contextlib.suppress(OSError):
                status = path.stat()
                if path.suffix == ".npy":
                    files.append((status.st_mtime_ns, path.name, status.st_size))
                elif path.name.endswith(TEMPORARY) and _is_stale(status.st_mtime):
                    path.unlink()
        excess = sum(size for _, _, size in files) - self.most_bytes
        for _, name, size in sorted(files):
            if excess <= 0:
                break
            if name != newest.name:
                with contextlib.suppress(OSError):
                    (self.folder / name).unlink()
                excess -= size


def _is_stale(modified: float) -> bool:
    return time.time() - modified > _STALE_SECONDS


def _pack(features: NDArray[np.float32]) -> bytes:
    if features.dtype != np.float32:
        raise ValueError(f"expected float32 features, got {features.dtype}")
    file = io.BytesIO()
    np.save(file, np.ascontiguousarray(features), allow_pickle=False)
    data = file.getvalue()
    return data + zlib.crc32(data).to_bytes(_CHECK, "little")


def _unpack(data: bytes) -> NDArray[np.float32] | None:
    body, check = data[:-_CHECK], data[-_CHECK:]
    # A flipped bit deep in the numbers would go unnoticed otherwise, and bend masks.
    if len(check) < _CHECK or zlib.crc32(body).to_bytes(_CHECK, "little") != check:
        return None
    try:
        features = np.load(io.BytesIO(body), allow_pickle=False)
    except (ValueError, EOFError):
        return None
    if not isinstance(features, np.ndarray) or features.dtype != np.float32:
        return None
    features.flags.writeable = False
    return features
