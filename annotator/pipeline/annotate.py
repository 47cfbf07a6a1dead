"""The batch: images in, rough annotations in the study folder out.

Three passes, each of which can be killed at any moment and taken up again:

1. *reading*: every path is decoded once, so that names, duplicates and unreadable
   files are known before any long work starts;
2. *outlining*: propose, prune, describe; kept in ``objects/NAME.npz``;
3. *classifying*: the objects get their classes, the pixels their codes; written to
   ``rough/``. Between the two the seed groups are fitted, unless the study has them.
"""

from __future__ import annotations

from collections.abc import Sequence

from annotator.core.errors import UsageError
from annotator.core.progress import OnProgress
from annotator.core.workers import reproducible
from annotator.imaging.find import find_images
from annotator.pipeline.batch import AnnotationRun
from annotator.pipeline.engines.choose import check_engine, choose_engine, needed_files
from annotator.pipeline.given_scale import check_given_scale
from annotator.pipeline.network.choice import choose_line
from annotator.pipeline.proposers import ProposerSource, proposer_source
from annotator.pipeline.results import AnnotateOptions, BatchResult, Tracker
from annotator.study.study import Study


def annotate(
    study: Study,
    inputs: Sequence[str],
    options: AnnotateOptions,
    on_progress: OnProgress,
    source: ProposerSource | None = None,
) -> BatchResult:
    """Annotate files, folders (recursive) and globs into the study.

    Parameters
    ----------
    study : Study
    inputs : sequence of str
    options : AnnotateOptions
    on_progress : callable
        Called in this process after each image of each pass.
    source : ProposerSource, optional
        Instead of the one that the options name.

    Raises
    ------
    UsageError
        When the inputs name no image at all, or the options are out of range.
    StudyError
        When the study is locked by another run or read-only; before any work.
    StorageError
        When a write failed; what was done until then stays and is skipped next time.
    WeightsError
        When SAM was asked for and its weights are not there; before any work.
    ClusterError
        When there is no cluster where one was named, or its workers cannot do the work; before
        any of it.
    ClusterLost
        When it went away; the study can be taken up again.
    KeyboardInterrupt
        Passed on after the workers were stopped; the study can be taken up again.
    """
    _check(options)
    found = find_images(inputs)
    if not found.paths:
        raise UsageError(
            f"expected images in {', '.join(inputs) or 'the input'}, found none; name files, "
            "folders or patterns with PNG, JPEG, TIFF or BMP images"
        )
    with study.writing(), reproducible():
        hints = choose_line(study, options)
        network = study.network
        # Workers elsewhere write nothing into the study, not even what could be removed.
        embeddings = study.embeddings if options.engine == "processes" else None
        source = source or proposer_source(study.settings, options, embeddings)
        paths, tracker = found.paths[: options.limit], Tracker(on_progress)
        with choose_engine(options, tracker.say) as engine:
            hints += engine.check(needed_files(study, paths, source))
            batch = AnnotationRun(study, options, source, tracker, engine, network, hints)
            return batch.annotate(paths, found.hidden + found.others)


def _check(options: AnnotateOptions) -> None:
    for name, value in (("workers", options.workers), ("limit", options.limit)):
        if value is not None and value < 1:
            raise UsageError(f"expected {name} of 1 or more, got {value}")
    check_given_scale(options.um_per_px)
    check_engine(options)
