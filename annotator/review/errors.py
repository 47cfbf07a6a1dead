"""Errors of the review page alone, beside those that all of Trephine knows."""

from __future__ import annotations

from annotator.core.errors import StudyError, UsageError


class NotFound(UsageError):
    """An object, image, queue or cluster was named that the study does not have."""


class Busy(StudyError):
    """The same work is running already; ask again when it has ended."""
