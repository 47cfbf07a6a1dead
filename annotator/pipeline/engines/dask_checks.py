"""Whether the workers of a cluster can do a run's work, said in words before it starts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from annotator.core.errors import ClusterError
from annotator.core.files import sha256
from annotator.pipeline.engines.dask_worker import WorkerView
from annotator.pipeline.engines.engine import NeededFiles
from annotator.pipeline.engines.installation import installed_versions, processor_kind
from annotator.pipeline.engines.sent_jobs import FileState

_MOST_NAMES = 5


@dataclass(frozen=True, slots=True)
class CheckedWorker:
    """A worker by its name, and what came of looking at it.

    Parameters
    ----------
    name : str
        For people: its name and address.
    threads : int
        Jobs that it would do side by side.
    view : WorkerView or str
        A text where it could not be looked at: the error.
    """

    name: str
    threads: int
    view: WorkerView | str


def seen_by_all(needed: NeededFiles, send_pixels: bool) -> tuple[FileState, ...]:
    """Files that every worker must see: one picture of each folder, and all models.

    With `send_pixels` the pictures need not be seen.
    """
    one_each = {path.parent: path for path in reversed(needed.images)}
    images = () if send_pixels else tuple(one_each.values())
    states = (FileState.of(path.absolute()) for path in (*images, *needed.models))
    return tuple(state for state in states if state is not None)


def settings_file(study: Path) -> Path:
    """The file that tells whether a worker sees the same study."""
    return study.absolute() / "study.toml"


def require_fit(workers: Sequence[CheckedWorker], needed: NeededFiles, send_pixels: bool) -> None:
    """Refuse workers that would give other bytes, or find no images.

    Raises
    ------
    ClusterError
        With the names of the workers, what was expected, what came and what to do.
    """
    found: dict[str, list[str]] = {}
    for worker in workers:
        for fault in _faults(worker, needed, send_pixels):
            found.setdefault(fault, []).append(worker.name)
    if found:
        lines = [f"  {_some(names)}: {fault}" for fault, names in found.items()]
        raise ClusterError(
            "the workers cannot do this run; nothing was started:\n" + "\n".join(lines)
        )


def other_processors(workers: Sequence[CheckedWorker]) -> tuple[str, ...]:
    """A note on workers that sum with other instructions than this machine."""
    here = processor_kind()
    names = [
        worker.name
        for worker in workers
        if isinstance(worker.view, WorkerView) and worker.view.processor != here
    ]
    if not names:
        return ()
    return (
        f"{_some(names)}: another kind of processor than this machine's; results there may "
        "differ from those made here in the last digits",
    )


def other_versions(theirs: Mapping[str, str]) -> tuple[str, ...]:
    """How an installation differs from that of this machine, one sentence a library."""
    here = installed_versions()
    return tuple(
        f"expected {name} {here.get(name, 'not installed')} as here, "
        f"got {theirs.get(name, 'not installed')}; install the same version there"
        for name in sorted({*here, *theirs})
        if here.get(name) != theirs.get(name)
    )


def _faults(worker: CheckedWorker, needed: NeededFiles, send_pixels: bool) -> list[str]:
    if isinstance(worker.view, str):
        return [
            f"expected a worker that can import trephine, got {worker.view}; install it there, in "
            "the same version as here"
        ]
    faults = list(other_versions(worker.view.versions))
    if worker.threads != 1:
        faults.append(
            f"expected workers of one thread, got {worker.threads} threads; start them with "
            "--nthreads 1, and --nworkers for the number of processes"
        )
    if not send_pixels and worker.view.settings_sha256 != sha256(settings_file(needed.study)):
        faults.append(_unseen_study(needed.study, worker.view.settings_sha256 is None))
    models = {path.absolute() for path in needed.models}
    for state in worker.view.unseen:
        what = (
            "copy it there"
            if state.path in models
            else "mount the images there under the same path, or use --send-pixels"
        )
        faults.append(
            f"expected {state.path} with {state.size} bytes, got no such file or another one; "
            + what
        )
    return faults


def _unseen_study(study: Path, is_absent: bool) -> str:
    found = "none" if is_absent else "another study"
    return (
        f"expected the study {study.absolute()}, got {found} on that path; mount it there under "
        "the same path, or use --send-pixels"
    )


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return ", ".join(names[:_MOST_NAMES]) + more
