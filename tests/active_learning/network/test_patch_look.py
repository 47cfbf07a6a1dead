"""Patches: what is varied of their look, and what is not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from support.known_fields import known_field

from active_learning.network.patches import PatchSettings, TruthField, draw_patch

SETTINGS = PatchSettings(side=64, finest_um=1.0, coarsest_um=1.0)


def _flat_field() -> TruthField:
    field = known_field(0)
    colours = np.array([[245, 245, 245], [230, 225, 230], [120, 60, 150], [225, 130, 170]])
    return replace(field, pixels=colours[field.codes].astype(np.uint8))


def test_a_patch_to_judge_on_has_the_colours_of_its_field() -> None:
    field = _flat_field()
    settings = replace(SETTINGS, variation="none")
    rng = np.random.default_rng(0)
    for _ in range(5):
        patch = draw_patch(field, settings, rng)
        colours = {tuple(colour) for colour in patch.pixels.reshape(-1, 3).tolist()}
        known = {tuple(colour) for colour in field.pixels.reshape(-1, 3).tolist()}
        assert colours <= known, "turned by quarters, nothing is mixed"


def test_brightness_changes_light_alone() -> None:
    patch = draw_patch(
        _flat_field(), replace(SETTINGS, variation="brightness"), np.random.default_rng(3)
    )
    assert len(np.unique(patch.pixels.reshape(-1, 3), axis=0)) <= 4


def test_stain_varies_more_than_light() -> None:
    patch = draw_patch(_flat_field(), SETTINGS, np.random.default_rng(3))
    assert len(np.unique(patch.pixels.reshape(-1, 3), axis=0)) > 4
