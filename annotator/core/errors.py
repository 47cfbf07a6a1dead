"""Every error that Trephine raises on purpose, in one small tree.

::

    TrephineError             something a person can act on; the message says what
    |-- UsageError            the command was asked for something it cannot do
    |-- SettingsError         study.toml, or a settings object, holds a bad value
    |-- ImageError            one image cannot be used; the batch goes on
    |-- StudyError            the study folder is missing, foreign, locked or read-only
    |   `-- StorageError      a write failed: the disk is full or not writable
    |-- WeightsError          a SAM checkpoint is missing, damaged or not what it claims
    |-- ModelError            a stored model does not fit this study or this version
    |-- ExportError           an archive cannot be written as asked
    |-- ClusterError          workers on other machines cannot do what a run needs
    |   `-- ClusterLost       they, or their scheduler, went away in the middle of a run
    `-- CvatError             a CVAT server refused, or holds what it should not
        |-- CvatForbidden     it is there, perhaps, but our login may not see or do it
        |-- CvatMissing       it is not there: never made, or deleted
        |-- CvatLoggedOut     the login has expired: nothing more can be asked
        `-- CvatUnreachable   it could not be reached, or broke off: nobody knows what arrived

Each message states what was expected, what came, and what to do. Anything else
that reaches the command line is a fault of ours and is reported as one.
"""


class TrephineError(Exception):
    """Base of all errors that a person can act on."""


class UsageError(TrephineError):
    """The command was asked for something it cannot do."""


class SettingsError(TrephineError):
    """``study.toml``, or a settings object, holds a value that cannot be used."""


class ImageError(TrephineError):
    """One image cannot be used. The batch around it goes on."""


class StudyError(TrephineError):
    """The study folder is missing, foreign, locked or read-only."""


class StorageError(StudyError):
    """A write failed: the disk is full, or the place is not writable."""


class WeightsError(TrephineError):
    """A SAM checkpoint is missing, damaged, or not what it claims to be."""


class ModelError(TrephineError):
    """A stored model does not fit this study or this version of Trephine."""


class ExportError(TrephineError):
    """An archive cannot be written as asked."""


class ClusterError(TrephineError):
    """The workers of a cluster are not there, or cannot do what a run needs."""


class ClusterLost(ClusterError):
    """A cluster went away in the middle of a run: what is done stays, the next run goes on."""


class CvatError(TrephineError):
    """A CVAT server refused what was asked, or holds something other than what was sent."""


class CvatForbidden(CvatError):
    """The login may not see or do what was asked for; it says nothing of whether it is there."""


class CvatMissing(CvatError):
    """What was asked for is not on the CVAT server: it was never made, or was deleted."""


class CvatLoggedOut(CvatError):
    """The login is not valid any more: nothing more can be asked before the next one."""


class CvatUnreachable(CvatError):
    """A CVAT server could not be reached, or broke off: what was sent may have arrived."""
