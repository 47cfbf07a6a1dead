"""What every maker of proposals offers, and the pruning after it."""

from __future__ import annotations

from typing import Protocol

from annotator.objects import Image, ImageObjects


class Proposer(Protocol):
    """Cuts an image into objects.

    ``fingerprint`` changes whenever the same image could give other objects:
    it holds the maker's settings and the hash of its weights, if it has any.
    """

    @property
    def name(self) -> str:
        """``sam`` or ``superpixel``."""

    @property
    def fingerprint(self) -> str:
        """First 16 hex digits of a sha256 over all that shapes the result."""

    def propose(self, image: Image) -> ImageObjects:
        """Return the objects of one image; a pure function of pixels and settings."""
