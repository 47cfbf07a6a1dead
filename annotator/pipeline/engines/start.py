"""Let the imports of workers on this machine begin early; quick to import itself."""

from __future__ import annotations

from annotator.core.workers import warm_up
from annotator.pipeline.preload import PRELOAD
from annotator.pipeline.results import AnnotateOptions

DASK_PRELOAD = (*PRELOAD, "annotator.pipeline.engines.dask_worker", "distributed.nanny")
"""Modules that workers of a Dask cluster on this machine are forked with."""


def start_imports(options: AnnotateOptions) -> None:
    """Import what the workers of a run need, beside this process.

    Parameters
    ----------
    options : AnnotateOptions
        Where they name work in this process, or on other machines, nothing is done.
    """
    if options.engine == "dask" and options.scheduler is None:
        warm_up(DASK_PRELOAD)
    elif options.engine == "processes" and options.workers > 1:
        warm_up(PRELOAD)
