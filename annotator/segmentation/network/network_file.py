"""Networks as files: tensors in safetensors, and a card in JSON that says what made them.

Every network stands on the one frozen encoder, which ships in the package; a network's own
file holds its decoder. Nothing read here is ever run.

::

    encoder.safetensors     EfficientNet-Lite0, half precision
    starter.safetensors     the decoder of the starter network
    starter.json            its card
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from annotator.core.errors import ModelError
from annotator.core.files import Writer, write_atomic
from annotator.segmentation.network.architecture import (
    CHANNELS,
    CHANNELS_WITHOUT_SCALE,
    decoder_shapes,
    encoder_shapes,
)

Tensors = Mapping[str, NDArray[Any]]

FORMAT = 2
STARTER = "starter"
# Of the file in the package: another encoder would see other things.
ENCODER_SHA256 = "d3cd272a723f82af42d5334e50f744812804ea552e30396d1ba0372a3243d81b"

_FOLDER = "annotator.segmentation.network.weights"


@dataclass(frozen=True, slots=True, eq=False)
class SegmentationNetwork:
    """A trained network: the tensors of its decoder, and the card that came with them.

    Parameters
    ----------
    decoder : mapping of str to array
        As :func:`~annotator.segmentation.network.architecture.decoder_shapes` has them.
    sha256 : str
        Of the file of the decoder.
    card : mapping
        JSON values: what it learned from, settings, versions, curve, figures.
    """

    decoder: Tensors
    sha256: str
    card: Mapping[str, Any]

    @property
    def knows_scale(self) -> bool:
        """Whether it tells depth and scale; networks of an earlier version do not."""
        return len(self.decoder["head.bias"]) == CHANNELS

    @property
    def fingerprint(self) -> str:
        """16 hex digits; changes whenever the same pixels could get other probabilities."""
        return self.sha256[:16]


@cache
def encoder_tensors() -> Tensors:
    """The frozen encoder's tensors, float16.

    Raises
    ------
    ModelError
        When the file of the package is missing or damaged.
    """
    data = _packaged("encoder.safetensors")
    sha256 = hashlib.sha256(data).hexdigest()
    if sha256 != ENCODER_SHA256:
        raise ModelError(
            f"expected the encoder with sha256 {ENCODER_SHA256[:16]}…, got {sha256[:16]}…: "
            "the installation is damaged; install trephine again"
        )
    return parse_tensors(data, encoder_shapes(), "the encoder")


def starter_network() -> SegmentationNetwork:
    """The network that ships with Trephine, trained on real and on drawn fields.

    Raises
    ------
    ModelError
        When a file of the package is missing or damaged.
    """
    card = json.loads(_packaged(f"{STARTER}.json"))
    return network_from_bytes(_packaged(f"{STARTER}.safetensors"), card, "the starter network")


def read_network(path: Path) -> SegmentationNetwork:
    """Read ``NAME.safetensors`` and the card ``NAME.json`` beside it.

    Raises
    ------
    ModelError
        When either is missing, truncated or damaged, of another architecture, or of a
        newer Trephine.
    """
    try:
        data, text = path.read_bytes(), path.with_suffix(".json").read_bytes()
    except OSError as error:
        raise ModelError(
            f"{error.filename}: cannot be read ({error.strerror}); a network is a file "
            "NAME.safetensors with its card NAME.json beside it"
        ) from error
    try:
        card = json.loads(text)
    except ValueError as error:
        raise ModelError(
            f"{path.with_suffix('.json')}: expected the card of a network as JSON, got "
            f"something else ({error}); restore it from a backup, or train the network anew"
        ) from error
    return network_from_bytes(data, card, str(path))


def network_from_bytes(data: bytes, card: Any, name: str) -> SegmentationNetwork:
    """Read a network of the bytes of its file and the values of its card.

    Parameters
    ----------
    data : bytes
    card : JSON values
    name : str
        What messages call it.

    Raises
    ------
    ModelError
    """
    version = card.get("format") if isinstance(card, dict) else None
    if not isinstance(version, int) or isinstance(version, bool):
        raise ModelError(f"{name}: expected the card of a network with its format, got {version!r}")
    if version > FORMAT:
        raise ModelError(
            f"{name}: expected a network of format {FORMAT} or older, got {version}: a newer "
            "Trephine wrote it; update Trephine"
        )
    sha256 = hashlib.sha256(data).hexdigest()
    if sha256 != card.get("sha256"):
        raise ModelError(
            f"{name}: expected a file with sha256 {str(card.get('sha256'))[:16]}…, got "
            f"{sha256[:16]}… ({len(data)} bytes): it is damaged, cut short or another one; "
            "restore it from a backup, or train the network anew"
        )
    if card.get("encoder_sha256") != ENCODER_SHA256:
        raise ModelError(
            f"{name}: expected a network on the encoder {ENCODER_SHA256[:16]}…, got one on "
            f"{str(card.get('encoder_sha256'))[:16]}…; train it anew"
        )
    channels = CHANNELS_WITHOUT_SCALE if version == 1 else CHANNELS
    return SegmentationNetwork(parse_tensors(data, decoder_shapes(channels), name), sha256, card)


def write_network(
    path: Path, decoder: Tensors, card: Mapping[str, Any], write: Writer = write_atomic
) -> SegmentationNetwork:
    """Write ``NAME.safetensors`` and ``NAME.json``, the card last.

    Parameters
    ----------
    path : Path
        ``NAME.safetensors``.
    decoder : mapping of str to array
        Weights of convolutions are kept in half precision. All else is, in single precision:
        the variances of the norms can be larger than half precision holds.
    card : mapping
        JSON values; format and hashes are added.
    write : Writer
        Who puts bytes into files.

    Raises
    ------
    ModelError
        When a weight is infinite, no number, or too large for half precision.
    StorageError
        When the place cannot be written.
    """
    # What is too large becomes infinite, and is refused below.
    with np.errstate(over="ignore"):
        stored = {
            name: np.ascontiguousarray(values, np.float16 if values.ndim == 4 else np.float32)
            for name, values in sorted(decoder.items())
        }
    broken = [name for name, values in stored.items() if not np.isfinite(values).all()]
    if broken:
        raise ModelError(
            f"{path}: expected finite weights within half precision, got others in {broken[0]}; "
            "nothing was written; train the network anew with a lower learning rate"
        )
    data = save(stored)
    sha256 = hashlib.sha256(data).hexdigest()
    whole_head = len(stored["head.bias"]) == CHANNELS
    own = {
        "format": FORMAT if whole_head else 1,
        "sha256": sha256,
        "encoder_sha256": ENCODER_SHA256,
    }
    # A card that was read from another file says who that was.
    whole = own | {name: value for name, value in card.items() if name not in own}
    write(path, data)
    text = json.dumps(whole, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    write(path.with_suffix(".json"), text.encode())
    return SegmentationNetwork(stored, sha256, whole)


def parse_tensors(data: bytes, shapes: Mapping[str, tuple[int, ...]], name: str) -> Tensors:
    """Tensors of a safetensors file, which must be those expected, and finite.

    Raises
    ------
    ModelError
    """
    try:
        tensors: Tensors = load(data)
    except (SafetensorError, ValueError, KeyError) as error:
        raise ModelError(
            f"{name}: expected tensors in the safetensors format, got {len(data)} bytes of "
            f"something else or cut short ({error})"
        ) from error
    found = {key: values.shape for key, values in tensors.items()}
    if found != dict(shapes):
        differing = sorted(
            key for key in found.keys() | shapes.keys() if found.get(key) != shapes.get(key)
        )
        raise ModelError(
            f"{name}: expected the tensors of this version's network, got another architecture "
            f"({len(differing)} tensors differ, {differing[0]} for one); train it anew"
        )
    broken = sorted(key for key, values in tensors.items() if not np.isfinite(values).all())
    if broken:
        raise ModelError(
            f"{name}: expected finite numbers, got others in {broken[0]}; train it anew"
        )
    return tensors


def _packaged(name: str) -> bytes:
    try:
        return files(_FOLDER).joinpath(name).read_bytes()
    except (OSError, ModuleNotFoundError) as error:
        raise ModelError(
            f"{name}: missing in this installation ({error}); install trephine again"
        ) from error
