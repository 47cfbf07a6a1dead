"""Which segmentation network helps with the first draft."""

from __future__ import annotations

from dataclasses import dataclass, field

from annotator.settings.bounds import check_bounds, setting_error

STARTER, OWN, NO_NETWORK = "starter", "study", "none"
FILE_ENDING = ".safetensors"


@dataclass(frozen=True, slots=True)
class NetworkSettings:
    """Whose segmentation network outlines and names the objects together with the colours.

    The default is that of a ``study.toml`` without the table: studies made before there were
    networks go on as they were. ``trephine init`` writes ``starter`` into a new one.

    Raises
    ------
    SettingsError
        When it is none of the three names and no file of a network.
    """

    use: str = field(
        default=NO_NETWORK,
        metadata={
            "doc": "starter: the network that comes with Trephine; study: the study's own, made "
            "by trephine network train; none: colours alone, as where this line is missing; "
            "or the file of a network, NAME.safetensors"
        },
    )

    def __post_init__(self) -> None:
        check_bounds(self, "network")
        if self.use not in (STARTER, OWN, NO_NETWORK) and not self.use.endswith(FILE_ENDING):
            expected = f'one of "{STARTER}", "{OWN}", "{NO_NETWORK}", or a file NAME{FILE_ENDING}'
            raise setting_error("network", "use", expected, self.use)
