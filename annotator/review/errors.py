"""What the desk refuses, beside the errors that all of Trephine knows."""

from __future__ import annotations

from annotator.core.errors import StudyError, UsageError


class NotFound(UsageError):
    """An object, image, queue or cluster was named that the study does not have."""


class Busy(StudyError):
    """Something of the kind is under way already; it can be asked for again later."""
