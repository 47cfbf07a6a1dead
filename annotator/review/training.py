"""A round of learning in the background, and how far it is."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import IO, Any

from annotator.core.errors import TrephineError
from annotator.review.errors import Busy

IDLE, RUNNING, DONE, FAILED = "idle", "running", "done", "failed"

# What was printed beside the steps: enough of it to tell what went wrong.
_MOST_TEXT = 2000
_SECONDS_TO_END = 5.0
# -P: else a file such as features.py in the current folder would be taken for ours.
TRAINING_COMMAND = (sys.executable, "-P", "-m", "annotator.review.training_process")


@dataclass(frozen=True, slots=True)
class TrainingState:
    """How far a round of learning is.

    Parameters
    ----------
    state : {"idle", "running", "done", "failed"}
    step : str
        What is being done.
    done, total : int
        Of that step.
    eta_s : float or None
        Seconds that the step takes still; None where nobody can say.
    message : str
        What went wrong, or what to do now.
    result : mapping or None
        Of the last round that was made here.
    """

    state: str = IDLE
    step: str = ""
    done: int = 0
    total: int = 0
    eta_s: float | None = None
    message: str = ""
    result: dict[str, Any] | None = None

    def to_dict(self) -> dict[str, Any]:
        """All of it as JSON values."""
        return asdict(self)


class Training:
    """Rounds of learning of one study, one at a time.

    Parameters
    ----------
    study : Path
    finish : callable
        Makes the result of a round from what its process told; called in another thread.
    command : sequence of str, optional
        What to run instead of :mod:`annotator.review.training_process`.
    """

    def __init__(
        self,
        study: Path,
        finish: Callable[[dict[str, Any]], dict[str, Any]],
        command: Sequence[str] = TRAINING_COMMAND,
    ) -> None:
        self._study = study
        self._finish = finish
        self._command = tuple(command)
        self._state = TrainingState()
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._thread: threading.Thread | None = None
        self._step_began = 0.0

    @property
    def state(self) -> TrainingState:
        """How far it is now."""
        with self._lock:
            return self._state

    def start(self, author: str) -> TrainingState:
        """Begin a round.

        Raises
        ------
        Busy
            While one is under way.
        """
        with self._lock:
            if self._state.state == RUNNING:
                raise Busy(
                    "expected no training under way, but a round is being made; wait until it "
                    "is done"
                )
            self._state = TrainingState(RUNNING, "starting", result=self._state.result)
            self._step_began = time.monotonic()
            self._process = subprocess.Popen(
                [*self._command, str(self._study), author],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                encoding="utf-8",
                errors="replace",
            )
            self._thread = threading.Thread(target=self._follow, args=(self._process,), daemon=True)
            self._thread.start()
            return self._state

    def cancel(self) -> None:
        """End a round under way; nothing of it is stored."""
        process, thread = self._process, self._thread
        if process is not None and process.poll() is None:
            process.terminate()
            try:
                process.wait(_SECONDS_TO_END)
            except subprocess.TimeoutExpired:
                process.kill()
        if thread is not None:
            thread.join(_SECONDS_TO_END)

    def wait(self) -> TrainingState:
        """Until the round under way is done or failed."""
        if self._thread is not None:
            self._thread.join()
        return self.state

    def _follow(self, process: subprocess.Popen[str]) -> None:
        stderr_lines: list[str] = []
        complaints = threading.Thread(
            target=_collect, args=(process.stderr, stderr_lines), daemon=True
        )
        complaints.start()
        end = None
        for line in process.stdout or ():
            message = _parsed(line)
            if message.get("kind") == "step":
                self._note_step(message)
            elif message.get("kind") in (DONE, FAILED):
                end = message
        complaints.join(_SECONDS_TO_END)
        code = process.wait()
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()
        self._end(end, code, "".join(stderr_lines))

    def _note_step(self, message: dict[str, Any]) -> None:
        step, done, total = str(message["step"]), int(message["done"]), int(message["total"])
        with self._lock:
            if step != self._state.step:
                self._step_began = time.monotonic()
            spent = time.monotonic() - self._step_began
            left = round(spent / done * (total - done), 1) if 0 < done <= total else None
            self._state = replace(self._state, step=step, done=done, total=total, eta_s=left)

    def _end(self, end: dict[str, Any] | None, code: int, stderr: str) -> None:
        """The last state of a round; whatever happens, it is not left running."""
        state = TrainingState(FAILED, message="the round could not be read; see trephine rounds")
        try:
            state = self._ended(end, code, stderr)
        except TrephineError as error:
            state = replace(state, message=str(error))
        finally:
            with self._lock:
                self._state = state

    def _ended(self, end: dict[str, Any] | None, code: int, stderr: str) -> TrainingState:
        if end is not None and end["kind"] == DONE:
            result = self._finish(end["result"])
            text = (
                "The page shows the new classes; the maps in rough/ change with the next run of "
                "trephine annotate."
            )
            return TrainingState(DONE, message=text, result=result)
        if end is not None:
            return TrainingState(FAILED, message=str(end["message"]))
        if code < 0:
            return TrainingState(FAILED, message="the training was ended; nothing was stored")
        last = stderr.strip().splitlines()[-1:] or ["no reason was given"]
        return TrainingState(
            FAILED, message=f"the training failed (exit code {code}): {last[0][:300]}"
        )


def _collect(pipe: IO[str] | None, stderr_lines: list[str]) -> None:
    for line in pipe or ():
        stderr_lines.append(line)
        while sum(map(len, stderr_lines)) > _MOST_TEXT and len(stderr_lines) > 1:
            del stderr_lines[0]


def _parsed(line: str) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except json.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}
