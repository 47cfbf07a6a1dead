"""A review session that holds three objects in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from annotator.core.errors import UsageError
from annotator.review.errors import NotFound

Json = dict[str, Any]

IMAGE = "00112233aabbccdd"
IDS = tuple(f"{IMAGE}:{number}" for number in (1, 2, 3))
JPEG = b"\xff\xd8\xff a tile"


@dataclass
class FakeSession:
    """Notes every act; raises `error`, if it is given one."""

    path: Path = Path("a study")
    acts: list[tuple[str, ...]] = field(default_factory=list)
    error: Exception | None = None
    look: str = "1"

    def _did(self, *act: str) -> Json:
        if self.error is not None:
            raise self.error
        self.acts.append(act)
        return {"act": len(self.acts), "seq": len(self.acts), "items": []}

    def summary(self) -> Json:
        if self.error is not None:
            raise self.error
        return {"study": self.path.name, "author": "nobody", "classes": [], "objects": len(IDS)}

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
        if name != "random":
            raise NotFound(f"expected random, got {name}")
        return {"name": name, "image": image, "items": list(IDS[offset : offset + limit])}

    def label(self, author: str, ids: Sequence[str], code: str, queue: str = "") -> Json:
        if code not in ("fat", "cell"):
            raise UsageError(f"expected fat or cell, got {code}")
        return self._did("label", author, code, *ids)

    def undo(self, author: str) -> Json | None:
        return self._did("undo", author) if self.acts else None

    def redo(self, author: str) -> Json | None:
        return None

    def name_cluster(self, author: str, cluster: str, code: str) -> Json:
        return self._did("cluster", author, cluster, code)

    def changes(self, since: int) -> Json:
        return {"seq": len(self.acts), "items": [list(act) for act in self.acts[since:]]}

    def tile(self, object_id: str) -> bytes:
        if object_id not in IDS:
            raise NotFound(f"expected an object of the study, got {object_id}")
        return JPEG

    def zoom(self, object_id: str) -> bytes:
        return self.tile(object_id) + b" large"

    def tag(self, object_id: str) -> str:
        return f"{object_id} {self.look}"

    def picture(self, image_id: str) -> bytes:
        if image_id != IMAGE:
            raise NotFound(f"expected an image of the study, got {image_id}")
        return b"\x89PNG a picture"

    def outlines(self, image_id: str) -> Json:
        return {"width": 4, "height": 3, "items": []}

    def start_training(self, author: str | None = None) -> Json:
        return self._did("train", author or "nobody")

    def training(self) -> Json:
        return {"state": "idle"}
