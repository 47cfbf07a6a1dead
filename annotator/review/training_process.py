"""A round of learning in a process of its own.

Run as ``python -m annotator.review.training_process STUDY``. It tells its steps as lines of JSON
on stdout, and ends when its stdin does: a server that is killed leaves no training behind. A round
is stored whole or not at all, so that it can end at any time.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from annotator.core.errors import TrephineError

if TYPE_CHECKING:
    from annotator.study.objects_file import ImageFeatures
    from annotator.study.rough import KnownImage
    from annotator.study.study import Study

# The page stays quick while a round is made.
_NICE = 10


def main(arguments: list[str]) -> int:
    """Make a round for a study, by an author."""
    path, author = Path(arguments[0]), arguments[1]
    threading.Thread(target=_end_with_the_server, daemon=True).start()
    with suppress(OSError):
        os.nice(_NICE)
    try:
        tell({"kind": "done", "result": _learn(path, author)})
    except TrephineError as error:
        tell({"kind": "failed", "message": str(error)})
        return 1
    return 0


def tell(what: dict[str, Any]) -> None:
    """One line of JSON for whoever started this."""
    print(json.dumps(what), flush=True)


def on_step(what: str, done: int, total: int) -> None:
    """Report a step of the work."""
    tell({"kind": "step", "step": what, "done": done, "total": total})


def _end_with_the_server() -> None:
    # Not sys.stdin: its lock would be held when the interpreter shuts down.
    while os.read(0, 1024):
        pass
    os._exit(1)


def _learn(path: Path, author: str) -> dict[str, Any]:
    """Make a round; then do here what would hold up whoever labels meanwhile."""
    from active_learning.rounds.retrain import RetrainOptions, retrain
    from annotator.review.queue_sources import disputed
    from annotator.study.study import Study

    on_step("reading objects and labels", 0, 1)
    with Study.open(path) as study:
        round_ = retrain(study, RetrainOptions("both", author, published=False), on_step)
        _predict_all(study)
    on_step("finding disputed labels", 0, 1)
    doubts = [asdict(one) for one in disputed(path)]
    on_step("finding disputed labels", 1, 1)
    return {"round": round_.index, "doubts": doubts}


def _predict_all(study: Study) -> None:
    """Predict the classes of all objects, for the page to find."""
    from annotator.review.object_index import read_objects
    from annotator.review.predictions import Predictor

    predictor, total, done = Predictor(study), len(study.images()), 0

    def predict(image: KnownImage, described: ImageFeatures) -> None:
        nonlocal done
        predictor.predict(image, described)
        done += 1
        on_step("looking at all objects anew", done, total)

    predictor.complete(read_objects(study, None, predict))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
