"""A review session with drawn objects that keeps its labels in a file, to outlive a kill."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from annotator.core.classes import CLASS_NAMES, DEFAULT_SCHEMA
from annotator.core.errors import UsageError
from annotator.review.errors import Busy, NotFound

Json = dict[str, Any]

SIZE = 100
"""Objects in an image: 10 x 10 of them, 64 px apart."""
_STEP = 64
_SAID = (*CLASS_NAMES, "mixed", "skip")


class DrawnSession:
    """Objects 1 to `count`, in images of a hundred; the classes take turns.

    Parameters
    ----------
    folder : Path
        Acts are kept there, one a line.
    count : int
    names : sequence of str
        Of the images; further ones get plain names.
    """

    def __init__(self, folder: Path, count: int = 300, names: Sequence[str] = ()) -> None:
        self.path = folder
        self._file = folder / "acts.jsonl"
        self._lock = threading.Lock()
        images = -(-count // SIZE)
        plain = [f"field_{at:02d}" for at in range(images)]
        self._names = [*names[:images], *plain[len(names) :]]
        self._ids = [f"{at // SIZE:016x}:{at % SIZE + 1}" for at in range(count)]
        self._at = {key: at for at, key in enumerate(self._ids)}
        self._acts: list[Json] = []
        self._now: dict[str, Json] = {}
        self._undone: dict[str, list[Json]] = {}
        self._steps = -1
        self._round = 0
        if self._file.exists():
            for line in self._file.read_text("utf-8").splitlines():
                self._take(json.loads(line))

    # What the server asks

    def summary(self) -> Json:
        said = [one["label"] for one in self._now.values() if one["label"]]
        queues = [("clusters", "Groups to name"), ("uncertain", "Most uncertain")]
        queues += [("image", "One image"), ("random", "Random sample")]
        return {
            "study": self.path.name,
            "seq": len(self._acts),
            "classes": _classes(),
            "counts": {code: said.count(code) for code in _SAID},
            "objects": len(self._ids),
            "labelled": len(said),
            "rounds": self._rounds(),
            "queues": [
                {"name": name, "title": title, "count": len(self._ids)} for name, title in queues
            ],
            "images": [{"id": f"{at:016x}", "name": name} for at, name in enumerate(self._names)],
            "training": self._training(),
        }

    def queue(
        self,
        name: str,
        image: str | None = None,
        cluster: str | None = None,
        offset: int = 0,
        limit: int = 500,
        author: str | None = None,
        fresh: bool = False,
    ) -> Json:
        if name == "doubts":
            raise UsageError("expected a model, got a study without one; run retrain first")
        ids = self._order(name, image)
        groups = _groups(ids, self._group) if name == "clusters" else _groups(ids, lambda _: "all")
        return {
            "name": name,
            "title": f"Queue {name}",
            "total": len(ids),
            "offset": offset,
            "version": f"{name}-{self._round}",
            "seq": len(self._acts),
            "groups": groups,
            "items": [self._item(key) for key in ids[offset : offset + limit]],
        }

    def label(self, author: str, ids: Sequence[str], code: str, queue: str = "") -> Json:
        unknown = [key for key in ids if key not in self._at]
        if unknown or code not in _SAID:
            raise NotFound(f"expected objects of the study and a class, got {unknown}, {code}")
        self._undone[author] = []
        return self._act({"author": author, "code": code, "ids": list(ids), "kind": "label"})

    def name_cluster(self, author: str, cluster: str, code: str) -> Json:
        ids = [key for key in self._ids if self._group(key) == cluster]
        return self.label(author, [key for key in ids if not self._said(key)["label"]], code)

    def undo(self, author: str) -> Json | None:
        done = [act for act in self._acts if act["author"] == author]
        undone = {act["undoes"] for act in done if act["kind"] == "undo"}
        undone -= {act["redoes"] for act in done if act["kind"] == "redo"}
        stand = [act for act in done if act["kind"] == "label" and act["act"] not in undone]
        if not stand:
            return None
        last = stand[-1]
        self._undone.setdefault(author, []).append(last)
        return self._act(
            {"author": author, "kind": "undo", "undoes": last["act"], "before": last["before"]}
        )

    def redo(self, author: str) -> Json | None:
        if not self._undone.get(author):
            return None
        act = self._undone[author].pop()
        given = {"author": author, "kind": "redo", "redoes": act["act"]}
        return self._act({**given, "ids": act["ids"], "code": act["code"]})

    def changes(self, since: int) -> Json:
        keys = {key for act in self._acts[since:] for key in act["before"]}
        return {"seq": len(self._acts), "items": [self._item(key) for key in sorted(keys)]}

    def tile(self, object_id: str) -> bytes:
        return _tile(self._known(object_id), 128)

    def zoom(self, object_id: str) -> bytes:
        return _tile(self._known(object_id), 512)

    def tag(self, object_id: str) -> str:
        return object_id

    def picture(self, image_id: str) -> bytes:
        return _picture()

    def outlines(self, image_id: str) -> Json:
        ids = [key for key in self._ids if key.startswith(image_id)]
        items = [{**self._item(key), "path": _circle(self._at[key])} for key in ids]
        return {"width": 10 * _STEP, "height": 10 * _STEP, "items": items}

    def start_training(self, author: str | None = None) -> Json:
        if self._steps >= 0:
            raise Busy("expected no training under way, got one; wait for it")
        self._steps = 0
        return self._training()

    def training(self) -> Json:
        if 0 <= self._steps < 3:
            self._steps += 1
        if self._steps == 3:
            self._round += 1
            self._steps = -1
        return self._training()

    # How it keeps it

    def _act(self, act: Json) -> Json:
        with self._lock:
            act = {**act, "act": len(self._acts) + 1}
            keys = act.get("ids") or list(act.get("before", {}))
            act["before"] = act.get("before") or {key: self._said(key) for key in keys}
            with self._file.open("a", encoding="utf-8") as file:
                file.write(json.dumps(act) + "\n")
            self._take(act)
        items = [self._item(key) for key in keys]
        return {"act": act["act"], "seq": act["act"], "code": act.get("code"), "items": items}

    def _take(self, act: Json) -> None:
        self._acts.append(act)
        number = len(self._acts)
        if act["kind"] == "undo":
            for key, said in act["before"].items():
                self._now[key] = {**said, "label_seq": number}
            return
        said = {"label": act["code"], "by": "person", "author": act["author"]}
        for key in act["ids"]:
            self._now[key] = {**said, "label_seq": number}

    def _said(self, key: str) -> Json:
        nothing = {"label": None, "by": None, "author": None, "label_seq": None}
        return self._now.get(key, nothing)

    def _item(self, key: str) -> Json:
        at = self._at[key]
        x, y = _STEP * (at % 10), _STEP * (at % SIZE // 10)
        return {
            "id": key,
            "image": key.partition(":")[0],
            "predicted": CLASS_NAMES[(at // 7 + self._round) % 4],
            "confidence": 0.3 + 0.69 * (at * 37 % 100) / 100,
            "group": self._group(key),
            "why": "drawn",
            "box": [x + 8, y + 8, x + 56, y + 56],
            **self._said(key),
        }

    def _order(self, name: str, image: str | None) -> list[str]:
        ids = [key for key in self._ids if not image or key.startswith(image)]
        return ids if name in ("clusters", "image") else ids[::-1]

    def _group(self, key: str) -> str:
        return str(self._at[key] // 140)

    def _known(self, key: str) -> int:
        if key not in self._at:
            raise NotFound(f"expected an object of the study, got {key}")
        return self._at[key]

    def _rounds(self) -> list[Json]:
        return [
            {"index": at + 1, "accuracy": 0.9, "macro_f1": 0.85, "interval": [0.86, 0.93],
             "current": at + 1 == self._round}
            for at in range(self._round)
        ]  # fmt: skip

    def _training(self) -> Json:
        running = self._steps >= 0
        state = "running" if running else "done" if self._round else "idle"
        result = {"round": self._round, "accuracy": 0.9, "macro_f1": 0.85, "counts": {}}
        result |= {"interval": [0.86, 0.93], "verdict": "level", "changed": len(self._ids)}
        return {
            "state": state, "step": "fitting", "done": max(self._steps, 0), "total": 3,
            "eta_s": 2.0, "message": "", "result": result if state == "done" else None,
        }  # fmt: skip


def _classes() -> list[Json]:
    pairs = zip(CLASS_NAMES, DEFAULT_SCHEMA.colours, strict=True)
    letters = ("B", "F", "C", "O")
    return [
        {"name": name, "key": str(at + 1), "letter": letters[at], "colour": colour}
        for at, (name, colour) in enumerate(pairs)
    ]


def _groups(ids: Sequence[str], of: Callable[[str], str]) -> list[Json]:
    counts: dict[str, int] = {}
    for key in ids:
        counts[of(key)] = counts.get(of(key), 0) + 1
    return [
        {"name": name, "title": f"Group {name}", "proposed": "fat", "count": count}
        for name, count in counts.items()
    ]


def _circle(at: int) -> str:
    x, y = _STEP * (at % 10) + 32, _STEP * (at % SIZE // 10) + 32
    return f"M{x - 24} {y}a24 24 0 1 0 48 0a24 24 0 1 0 -48 0Z"


@lru_cache(maxsize=64)
def _tile(at: int, size: int) -> bytes:
    pixels = np.full((size, size, 3), (225, 190, 235), np.uint8)
    rng = np.random.default_rng(at)
    pixels = pixels - rng.integers(0, 25, pixels.shape, dtype=np.uint8)
    middle = (size // 2, size // 2)
    colour = [int(value) for value in rng.integers(120, 255, 3)]
    cv2.ellipse(pixels, middle, (size // 3, size // 4), at * 20 % 180, 0, 360, colour, -1)
    cv2.ellipse(pixels, middle, (size // 3, size // 4), at * 20 % 180, 0, 360, (0, 0, 0), 1)
    return bytes(cv2.imencode(".jpg", pixels)[1])


@lru_cache(maxsize=1)
def _picture() -> bytes:
    pixels = np.full((10 * _STEP, 10 * _STEP, 3), (225, 190, 235), np.uint8)
    for at in range(SIZE):
        middle = (_STEP * (at % 10) + 32, _STEP * (at // 10) + 32)
        cv2.circle(pixels, middle, 24, (200 + at % 50, 220, 120 + at), -1)
    return bytes(cv2.imencode(".jpg", pixels)[1])
