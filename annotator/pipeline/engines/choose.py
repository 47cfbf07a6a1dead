"""Which engine a run asks for, and which files its workers must see."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from annotator.core.errors import UsageError
from annotator.pipeline.engines.dask_cluster import require_dask
from annotator.pipeline.engines.dask_engine import DaskEngine
from annotator.pipeline.engines.engine import Engine, LocalEngine, NeededFiles
from annotator.pipeline.proposers import JoinedSource, ProposerSource, SamSource
from annotator.pipeline.results import AnnotateOptions
from annotator.study.study import Study

ENGINES = ("processes", "dask")


def check_engine(options: AnnotateOptions) -> None:
    """Refuse an engine that is not there; before anything else.

    Raises
    ------
    UsageError
        When there is no such engine, or other options contradict it.
    ClusterError
        When it needs Dask, and Dask is not installed.
    """
    if options.engine not in ENGINES:
        raise UsageError(f"expected the engine processes or dask, got {options.engine!r}")
    if options.engine == "dask":
        require_dask()
        return
    for name, given in (("scheduler", options.scheduler), ("send-pixels", options.send_pixels)):
        if given:
            raise UsageError(f"--{name} is only used with --engine dask; add that, or leave it out")


def choose_engine(options: AnnotateOptions, say: Callable[[str], None]) -> Engine:
    """The engine of a run, not started yet.

    Parameters
    ----------
    options : AnnotateOptions
    say : callable
        Told what a person should know while an engine waits.

    Raises
    ------
    UsageError, ClusterError
        See :func:`check_engine`.
    """
    check_engine(options)
    if options.engine == "processes":
        return LocalEngine(options.workers)
    return DaskEngine(options.scheduler, options.workers, options.send_pixels, say)


def needed_files(study: Study, images: Sequence[Path], source: ProposerSource) -> NeededFiles:
    """The files that workers of a run read."""
    models = []
    sam = source.sam if isinstance(source, JoinedSource) else source
    if isinstance(sam, SamSource):
        models.append(sam.checkpoint.path)
    network = study.network
    if network is not None and network.path is not None:
        models.append(network.path)
    return NeededFiles(study.path, tuple(images), tuple(models))
