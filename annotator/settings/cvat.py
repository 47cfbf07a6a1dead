"""What a person may change about CVAT, in study.toml. Credentials never stand there."""

from __future__ import annotations

from dataclasses import dataclass, field

from annotator.settings.bounds import check_bounds


@dataclass(frozen=True, slots=True)
class CvatSettings:
    """Where the CVAT server is, and in what portions images and outlines are sent to it.

    The expert corrects the rough annotations there. A task is a parcel of images, a job is
    what one person takes from it, a shape is one outline on an image.

    Raises
    ------
    SettingsError
        When a value is out of its range.
    """

    url: str = field(
        default="",
        metadata={
            "doc": "address of the CVAT server (example: url = 'https://cvat.example.org'); "
            "empty: CVAT_URL of the environment"
        },
    )
    allow_http: bool = field(
        default=False,
        metadata={
            "doc": "talk to a server on another machine without encryption: password and images "
            "can then be read on the way"
        },
    )
    project: str = field(
        default="",
        metadata={
            "doc": "name of the project on the server; empty: 'Trephine' and a number of this "
            "study, which tells nobody what is in it"
        },
    )
    exclude_label: bool = field(
        default=False,
        metadata={
            "doc": "give a new project the label 'exclude', too: what is drawn with it, such as "
            "pen and folds, counts nowhere; in a project that is there already, add it in CVAT",
            "earlier": False,
        },
    )
    organization: str = field(
        default="",
        metadata={
            "doc": "short name of the organisation in CVAT in which a new project is made; empty: "
            "none. A project that is there already is used in its own organisation",
            "earlier": "",
        },
    )
    batch_size: int = field(default=10, metadata={"doc": "images in one task", "ge": 1, "le": 1000})
    frames_per_job: int = field(
        default=1,
        metadata={
            "doc": "images in one job: what one person finishes at once, and what is pulled "
            "at once",
            "ge": 1,
            "le": 1000,
        },
    )
    shapes_per_frame: int = field(
        default=200,
        metadata={
            "doc": "most shapes on an image; beyond it the smallest of a class become one shape",
            "ge": 8,
        },
    )
    timeout_s: float = field(
        default=60.0,
        metadata={
            "doc": "longest wait for one answer of the server, seconds",
            "gt": 0.0,
            "le": 86400.0,
        },
    )
    job_timeout_s: float = field(
        default=1800.0,
        metadata={
            "doc": "longest wait for an import or an upload to be worked off, seconds",
            "gt": 0.0,
            "le": 86400.0,
        },
    )

    def __post_init__(self) -> None:
        check_bounds(self, "cvat")
