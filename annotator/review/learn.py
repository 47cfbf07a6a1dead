"""A round of learning in a process of its own: ``python -m annotator.review.learn STUDY``.

It tells its steps as lines of JSON on stdout, and ends when its stdin does: a server that
is killed leaves no training behind. A round is stored whole or not at all, so that it can
end at any time.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

from annotator.errors import TrephineError

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
    """A step of the work."""
    tell({"kind": "step", "step": what, "done": done, "total": total})


def _end_with_the_server() -> None:
    # Not sys.stdin: its lock would be held when the interpreter shuts down.
    while os.read(0, 1024):
        pass
    os._exit(1)


def _learn(path: Path, author: str) -> dict[str, Any]:
    from annotator.retraining import RetrainOptions, retrain
    from annotator.review.outlook import Seer
    from annotator.review.stock import read_stock
    from annotator.store import Study

    with Study.open(path) as study:
        round_ = retrain(study, RetrainOptions("both", author, published=False), on_step)
        # Here and not in the server: it would hold up whoever labels meanwhile.
        on_step("looking at all objects anew", 0, 1)
        seer = Seer(study)
        seer.complete(read_stock(study, None, seer.see))
        on_step("looking at all objects anew", 1, 1)
    return {"round": round_.index}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
