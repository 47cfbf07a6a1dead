"""The report of a study: gather its parts, and write them as one file.

Every part is made by itself. In place of a damaged part there is a note; the others go on.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from active_learning.rounds.ledger import ledger
from annotator.core.errors import TrephineError
from annotator.core.files import write_atomic
from annotator.core.progress import OnStep
from annotator.evaluation.evaluate import EvaluateOptions, evaluate_study
from annotator.evaluation.results import MapEvaluation
from annotator.imaging.slide_region import file_on_disk
from annotator.measurements.summary import Dataset
from annotator.measurements.table import dataset
from annotator.report.page import Block, Heading, Note, Page, Section, render
from annotator.report.section_corrections import correction_blocks, read_pulls
from annotator.report.section_evaluation import evaluation_blocks
from annotator.report.section_images import choose, picture_blocks
from annotator.report.section_learning import learning_blocks, simulation_blocks
from annotator.report.section_limits import cards, lead, limits
from annotator.report.section_measurements import numbers_blocks, sensitivity_blocks
from annotator.report.section_methods import record_blocks
from annotator.report.section_network import network_blocks
from annotator.study.database import now
from annotator.study.runs import read_runs
from annotator.study.study import Study
from annotator.study.truth import TruthStore

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ReportOptions:
    """How a report is made.

    Parameters
    ----------
    workers : int
        Processes that measure; the report is the same for any number.
    time : str or None
        When it was made; None: now.
    """

    workers: int = 1
    time: str | None = None


@dataclass(frozen=True, slots=True)
class ReportResult:
    """The report that was written.

    Parameters
    ----------
    path : Path
        The file.
    bytes : int
        Its size.
    sections : tuple of str
        Titles of its parts.
    missing : tuple of str
        What the study does not hold yet, and how to get it.
    faults : tuple of str
        Parts that are damaged, and why.
    """

    path: Path
    bytes: int
    sections: tuple[str, ...]
    missing: tuple[str, ...]
    faults: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """All of it as JSON values."""
        return {
            "path": str(self.path),
            "bytes": self.bytes,
            "sections": list(self.sections),
            "missing": list(self.missing),
            "faults": list(self.faults),
        }


@dataclass(slots=True)
class _Maker:
    """Makes parts one by one, and notes their faults.

    What two parts need is made once; its fault is then shown in both.
    """

    study: Study
    places: Sequence[str]
    faults: dict[str, Note] = field(default_factory=dict)

    @classmethod
    def of(cls, study: Study) -> _Maker:
        """A maker that hides the folders of the study and its pictures, the deepest first."""
        folders = {str(file_on_disk(Path(image.source)).parent) for image in study.images()}
        folders |= {str(study.path), str(study.path.absolute())}
        return cls(study, sorted(folders - {".", "/"}, key=lambda one: (-len(one), one)))

    def get(self, name: str, make: Callable[[], T]) -> T | None:
        """Make one part; None where that fails, with the reason in `faults` under its name."""
        try:
            return make()
        except TrephineError as error:
            self.faults[name] = Note(self._plain(f"{name}: {error}"), "fault")
        except Exception:  # noqa: BLE001 - one part must not take the others with it
            self.study.log_error(f"report: {name}", traceback.format_exc())
            text = f"{name} could not be made: a fault of ours; the trace is in report/errors.log"
            self.faults[name] = Note(text, "fault")
        return None

    def blocks(self, name: str, make: Callable[[], Iterable[Block]]) -> tuple[Block, ...]:
        """The blocks of a part, or the note of its fault."""
        made = self.get(name, lambda: tuple(make()))
        if made is None:
            return (self.faults[name],)
        return tuple(
            replace(one, text=self._plain(one.text)) if isinstance(one, Note) else one
            for one in made
        )

    def _plain(self, text: str) -> str:
        """The text without folders, which are private."""
        for place in self.places:
            text = text.replace(f"{place}/", "")
        return text


def report(study: Study, options: ReportOptions, on_step: OnStep) -> ReportResult:
    """Write ``report/index.html``.

    Parameters
    ----------
    study : Study
    options : ReportOptions
    on_step : callable
        Told what is being done, how much of it is done, and how much there is.

    Raises
    ------
    StudyError
        When another run holds the study, or it cannot be written.
    """
    with study.writing():
        page = make_page(study, options, on_step)
        data = render(page).encode()
        path = study.path / "report" / "index.html"
        write_atomic(path, data)
    notes = [one for part in page.sections for one in part.blocks if isinstance(one, Note)]
    return ReportResult(
        path,
        len(data),
        tuple(section.title for section in page.sections),
        tuple(dict.fromkeys(note.text for note in notes if note.kind == "missing")),
        tuple(dict.fromkeys(note.text for note in notes if note.kind == "fault")),
    )


def make_page(study: Study, options: ReportOptions, on_step: OnStep) -> Page:
    """Gather all parts of the report."""
    maker = _Maker.of(study)
    numbers = maker.get(_NUMBERS, lambda: dataset(study, None, options.workers, on_step))
    on_step("comparing", 0, 1)
    evaluation = maker.get(_EVALUATION, lambda: _evaluate(study, options))
    on_step("comparing", 1, 1)
    sections = _Sections(maker, numbers, evaluation, on_step).all()
    return Page(
        study.path.absolute().name,
        options.time or now().replace("T", " ").replace("+00:00", " UTC"),
        lead(numbers, evaluation),
        cards(numbers, evaluation),
        sections,
        study.settings.classes,
    )


_NUMBERS, _EVALUATION = "The data table", "The evaluation"


def _evaluate(study: Study, options: ReportOptions) -> MapEvaluation | None:
    """None where no image has a corrected mask: there is nothing to compare with."""
    truth = TruthStore(study.path)
    if not any(truth.exists(image.name) for image in study.images()):
        return None
    return evaluate_study(study, EvaluateOptions(workers=options.workers))


@dataclass(frozen=True, slots=True)
class _Sections:
    """Makes the sections from what was gathered."""

    maker: _Maker
    numbers: Dataset | None
    evaluation: MapEvaluation | None
    on_step: OnStep

    def all(self) -> tuple[Section, ...]:
        """In the order in which they are read."""
        made = (
            ("numbers", "Classes and cellularity", self._numbers),
            ("pictures", "Pictures", self._pictures),
            ("evaluation", "How good the annotations are", self._evaluation),
            ("corrections", "What experts changed", self._corrections),
            ("learning", "Learning", self._learning),
            ("limits", "How far to trust it", self._limits),
            ("record", "What was done", self._record),
        )
        sections = []
        for done, (key, title, make) in enumerate(made):
            self.on_step("writing", done, len(made))
            sections.append(Section(key, title, make()))
        self.on_step("writing", len(made), len(made))
        return tuple(sections)

    def _numbers(self) -> Sequence[Block]:
        found = self.numbers
        if found is None:
            return (self.maker.faults[_NUMBERS],)
        return self.maker.blocks("The tables", lambda: numbers_blocks(found))

    def _pictures(self) -> Sequence[Block]:
        choices = choose(self.numbers, self.evaluation)
        study = self.maker.study
        blocks = self.maker.blocks("The pictures", lambda: picture_blocks(study, choices))
        if choices and not (self.evaluation and self.evaluation.images):
            text = "Without corrected masks, the best and the worst images are not known."
            return (Note(text), *blocks)
        return blocks

    def _evaluation(self) -> Sequence[Block]:
        found = self.evaluation
        if found is not None:
            return self.maker.blocks("The comparison", lambda: evaluation_blocks(found))
        missing = Note(
            "No image has a corrected mask: bring some with trephine pull STUDY, or put PNG files "
            "of class codes into truth/, named like the images.",
            "missing",
        )
        return (self.maker.faults.get(_EVALUATION, missing),)

    def _corrections(self) -> Sequence[Block]:
        folder = self.maker.study.path / "report"
        return self.maker.blocks("The corrections", lambda: correction_blocks(read_pulls(folder)))

    def _learning(self) -> Sequence[Block]:
        study = self.maker.study
        curves = study.path / "report" / "simulation" / "curves.csv"
        return (
            *self.maker.blocks(
                "The rounds", lambda: learning_blocks(ledger(study), study.rounds.all())
            ),
            Heading("Choosing images beside drawing at random"),
            *self.maker.blocks("The simulation", lambda: simulation_blocks(curves)),
            Heading("The segmentation network"),
            *self.maker.blocks(
                "The network", lambda: network_blocks(study.networks, study.path / "report")
            ),
        )

    def _limits(self) -> Sequence[Block]:
        study, found = self.maker.study, self.numbers
        blocks = self.maker.blocks("The limits", lambda: limits(study, found, self.evaluation))
        if found is None:
            return blocks
        sensitivity = self.maker.blocks("The bands", lambda: sensitivity_blocks(found))
        return (*blocks, Heading("How much depends on the white reference"), *sensitivity)

    def _record(self) -> Sequence[Block]:
        study = self.maker.study
        return self.maker.blocks("The record", lambda: record_blocks(study, read_runs(study.path)))
