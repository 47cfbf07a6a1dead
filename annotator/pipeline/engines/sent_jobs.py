"""What is sent with a job to another machine: its paths, or the bytes that lie there.

A worker that shares a disk with this machine gets paths and, for files that this run writes,
what it must see there: network file systems show a new file late. A worker that shares none
gets the files themselves, which it keeps in a folder of its own for the time of the job.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from annotator.core.errors import ImageError
from annotator.imaging.slide_region import SlideRegion, file_on_disk
from annotator.pipeline.tasks import ImageJob, ReduceJob

# Network file systems keep what they know of a folder for up to a minute.
_LONGEST_WAIT_SECONDS = 90.0
_LOOK_AGAIN_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class FileState:
    """A file as this machine sees it: its size in bytes, and when it was changed."""

    path: Path
    size: int
    changed: float

    @classmethod
    def of(cls, path: Path) -> FileState | None:
        """The state of a file now; None where there is none."""
        try:
            status = file_on_disk(path).stat()
        except (OSError, ValueError):
            return None
        return cls(path, status.st_size, status.st_mtime)

    def is_seen(self) -> bool:
        """Whether this machine sees the same; some file systems keep full seconds alone."""
        here = FileState.of(self.path)
        return here is not None and here.size == self.size and abs(here.changed - self.changed) < 2


@dataclass(frozen=True, slots=True)
class JobWithPaths:
    """A job for a worker that sees the same disk.

    Parameters
    ----------
    job : object
        With whole paths.
    written : tuple of FileState
        Files that this run, or one just before it, may have written.
    """

    job: Any
    written: tuple[FileState, ...] = ()

    @property
    def sent_bytes(self) -> int:
        """0: paths are short."""
        return 0

    @contextmanager
    def unpacked(self) -> Iterator[Any]:
        """The job, once its files are seen here as they are there.

        Raises
        ------
        ImageError
            When they are not after a minute and a half.
        """
        deadline = time.monotonic() + _LONGEST_WAIT_SECONDS
        for state in self.written:
            while not state.is_seen():
                if time.monotonic() > deadline:
                    raise ImageError(
                        f"expected {state.path} with {state.size} bytes, as the machine of the "
                        "study has it; this worker sees another file or none there: look at the "
                        "shared disk, or run again with --send-pixels"
                    )
                time.sleep(_LOOK_AGAIN_SECONDS)
        yield self.job


@dataclass(frozen=True, slots=True)
class JobWithFiles:
    """A job for a worker that sees nothing of ours: its files travel with it.

    Parameters
    ----------
    job : object
    files : tuple of (Path, bytes)
        Where they lie here, and what is in them.
    """

    job: Any
    files: tuple[tuple[Path, bytes], ...]

    @property
    def sent_bytes(self) -> int:
        """Bytes of all files."""
        return sum(len(data) for _, data in self.files)

    @contextmanager
    def unpacked(self) -> Iterator[Any]:
        """The job, with paths into a folder that is removed afterwards."""
        with tempfile.TemporaryDirectory(prefix="trephine-") as folder:
            places = {}
            for number, (path, data) in enumerate(self.files):
                # The name is kept: the ending is compared with what the file holds.
                place = Path(folder) / str(number) / path.name
                place.parent.mkdir()
                place.write_bytes(data)
                places[path] = place
            gone = Path(folder) / "not sent"
            yield moved(self.job, {path: places.get(path, gone) for path in paths_of(self.job)})


def job_with_paths(job: Any) -> JobWithPaths:
    """A job by its paths.

    Examples
    --------
    >>> job_with_paths(Path("/slides/a.png"))
    JobWithPaths(job=PosixPath('/slides/a.png'), written=())
    """
    places = {path: path.absolute() for path in paths_of(job)}
    states = (FileState.of(path) for path in written_paths(job))
    seen = tuple(state for state in states if state is not None)
    return JobWithPaths(moved(job, places), tuple(replace(s, path=places[s.path]) for s in seen))


def job_with_files(job: Any) -> JobWithFiles:
    """A job with the bytes of its files; of those that are there.

    Raises
    ------
    ImageError
        When a file is there and cannot be read.
    """
    files = []
    for path in paths_of(job):
        if SlideRegion.from_path(path) is not None:
            raise ImageError(
                f"{path}: a place in a slide is not sent with --send-pixels; mount the slides on "
                "the workers under the same path, and leave it out"
            )
        try:
            files.append((path, path.read_bytes()))
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise ImageError(f"{path}: cannot be read: {error.strerror}; check the disk") from error
    return JobWithFiles(job, tuple(files))


def paths_of(job: Any) -> tuple[Path, ...]:
    """The files that a job reads."""
    if isinstance(job, Path):
        return (job,)
    if isinstance(job, ImageJob):
        return (job.path, job.objects)
    if isinstance(job, ReduceJob):
        return (job.path,)
    return ()


def written_paths(job: Any) -> tuple[Path, ...]:
    """Those of them that a run of ours writes."""
    if isinstance(job, ImageJob):
        return (job.objects,)
    return (job.path,) if isinstance(job, ReduceJob) else ()


def moved(job: Any, places: dict[Path, Path]) -> Any:
    """The same job with other paths."""
    if isinstance(job, Path):
        return places[job]
    if isinstance(job, ImageJob):
        return replace(job, path=places[job.path], objects=places[job.objects])
    return replace(job, path=places[job.path]) if isinstance(job, ReduceJob) else job
