"""The study's own segmentation networks, each learned from its corrected masks.

::

    networks/001.safetensors    the decoder
    networks/001.json           its card: what it learned from, how good it was, if it is used
    networks/unseen-001/        label maps of its patients by networks that had not seen them
    networks/unfinished/        what a training needs to go on after a kill; can be removed

A card is written last, so that a kill leaves either no network or a whole one; a file
without a card is written over by the next network. The study uses the last one whose card
says that it was adopted. Both files may be copied to another place: they are what
``--network`` and ``--from`` take.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from annotator.core.errors import ModelError
from annotator.core.files import Writer, write_atomic
from annotator.segmentation.network.network_file import (
    SegmentationNetwork,
    Tensors,
    read_network,
    write_network,
)


@dataclass(frozen=True, slots=True, eq=False)
class NetworkEntry:
    """What the card of one network says.

    Parameters
    ----------
    index : int
        From 1.
    time : str
        UTC, ISO 8601.
    verdict : {"better", "level", "worse", "unmeasured"}
        Beside the network that was in use, on patients that neither had seen.
    adopted : bool
        Whether it became the study's.
    sha256 : str
        Of the file of its decoder.
    card : mapping
        JSON values, these among them.
    """

    index: int
    time: str
    verdict: str
    adopted: bool
    sha256: str
    card: Mapping[str, Any]

    @property
    def name(self) -> str:
        """As its files are called: ``001``."""
        return _name(self.index)


class NetworkStore:
    """The ``networks/`` folder of a study."""

    def __init__(self, study: Path, write: Writer = write_atomic) -> None:
        self.folder = study / "networks"
        self._write = write

    def indices(self) -> tuple[int, ...]:
        """Numbers of the networks that have a card, ascending."""
        return tuple(
            sorted(int(path.stem) for path in self.folder.glob("*.json") if path.stem.isdecimal())
        )

    def next_index(self) -> int:
        """Number of the network to come."""
        return max(self.indices(), default=0) + 1

    def path(self, index: int) -> Path:
        """Where the decoder of a network lies; its card is beside it."""
        return self.folder / f"{_name(index)}.safetensors"

    @property
    def unfinished(self) -> Path:
        """Folder of a training under way."""
        return self.folder / "unfinished"

    def unseen_path(self, index: int, name: str) -> Path:
        """Where the map of an image lies, made by a network like this that had not seen it."""
        return self.folder / f"unseen-{_name(index)}" / f"{name}.png"

    def save_unseen(self, index: int, name: str, codes: bytes) -> None:
        """Write such a map, a PNG of class codes; before :meth:`add`.

        Raises
        ------
        StorageError
            When the place refuses.
        """
        self._write(self.unseen_path(index, name), codes)

    def entry(self, index: int) -> NetworkEntry:
        """Read the card of a network.

        Raises
        ------
        ModelError
            When it cannot be read.
        """
        path = self.path(index).with_suffix(".json")
        try:
            card = json.loads(path.read_text("utf-8"))
            return NetworkEntry(
                index,
                str(card["time"]),
                str(card["verdict"]),
                bool(card["adopted"]),
                str(card["sha256"]),
                card,
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ModelError(
                f"{path}: expected the card of a network, got something else ({error}); restore "
                "it from a backup, or take both files of this network away"
            ) from error

    def all(self) -> tuple[NetworkEntry, ...]:
        """The cards of all networks, in order.

        Raises
        ------
        ModelError
            When one of them cannot be read.
        """
        return tuple(self.entry(index) for index in self.indices())

    def current_entry(self) -> NetworkEntry | None:
        """The card of the network that the study uses: the last that was adopted.

        Raises
        ------
        ModelError
            When a card that could be its cannot be read.
        """
        entries = (self.entry(index) for index in reversed(self.indices()))
        return next((entry for entry in entries if entry.adopted), None)

    def read(self, index: int) -> SegmentationNetwork:
        """Read a network.

        Raises
        ------
        ModelError
            When a file of it is missing, damaged, of another architecture, or of a newer
            Trephine.
        """
        return read_network(self.path(index))

    def current(self) -> SegmentationNetwork | None:
        """Read the network that the study uses; None where it has none of its own.

        Raises
        ------
        ModelError
            As :meth:`read` does.
        """
        entry = self.current_entry()
        return None if entry is None else self.read(entry.index)

    def add(self, index: int, decoder: Tensors, card: Mapping[str, Any]) -> SegmentationNetwork:
        """Write a network, the card last.

        Parameters
        ----------
        index : int
            From :meth:`next_index`.
        decoder : mapping of str to array
        card : mapping
            JSON values, with ``time``, ``verdict`` and ``adopted``.

        Raises
        ------
        StorageError
            When the place refuses; there is no such network then.
        """
        return write_network(self.path(index), decoder, card, self._write)


def _name(index: int) -> str:
    return f"{index:03d}"
