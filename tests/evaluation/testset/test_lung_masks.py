"""Lung fields, kept small: what comes back from disk is what was found."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from lungsight.components.lungs import Box, Lungs
from lungsight.evaluation.answer_store import AnswerStore
from lungsight.evaluation.testset.lung_masks import SIDE, LungMask

TWO = np.zeros((256, 256), dtype=bool)
TWO[60:200, 40:110] = TWO[60:200, 150:220] = True


@settings(deadline=None, max_examples=30)
@given(arrays(bool, (SIDE, SIDE)), st.lists(st.text(max_size=20), max_size=2), st.booleans())
def test_what_was_kept_is_what_was_found(mask: np.ndarray, problems: list[str], cropped: bool) -> None:
    found = LungMask(mask, tuple(problems), Box(0.1, 1 / 3, 0.9, 0.95) if cropped else None)
    store = AnswerStore.in_memory()
    store.add({("lungs",): asdict(found)})
    again = LungMask.restored(store.get([("lungs",)])[("lungs",)])
    np.testing.assert_array_equal(again.mask, mask)
    assert (again.problems, again.crop, again.digest) == (found.problems, found.crop, found.digest)


def test_two_lungs_take_less_room_than_a_line_of_text() -> None:
    store = AnswerStore.in_memory()
    store.add({("lungs",): asdict(LungMask.of(Lungs(TWO)))})
    assert store.database.execute("SELECT length(answer) FROM answers").fetchone()[0] < 300


def test_on_the_radiographs_grid_they_lie_where_the_network_found_them() -> None:
    lungs = Lungs(TWO)
    found = LungMask.of(lungs, lungs.box)
    for height, width in ((256, 256), (300, 500), (90, 60)):
        mine, theirs = found.on(height, width), lungs.on(height, width)
        assert mine.shape == (height, width)
        assert 2 * (mine & theirs).sum() / (mine.sum() + theirs.sum()) > 0.98
    assert found.crop == Box(40 / 256, 60 / 256, 220 / 256, 200 / 256)


@pytest.mark.parametrize(
    ("found", "plausible"),
    [
        (LungMask.of(Lungs(TWO)), True),
        (LungMask.of(Lungs(TWO, ("Only one lung was found.",))), False),
        (LungMask.of(Lungs(np.zeros((64, 64), dtype=bool))), False),
    ],
)
def test_only_two_plausible_lungs_are_hidden(found: LungMask, plausible: bool) -> None:
    assert found.plausible is plausible


def test_another_mask_or_crop_is_another_answer() -> None:
    one = LungMask.of(Lungs(TWO))
    moved = LungMask.of(Lungs(np.roll(TWO, 4)))
    cropped = LungMask.of(Lungs(TWO), Box(0.1, 0.1, 0.9, 0.9))
    assert len({one.digest, moved.digest, cropped.digest}) == 3
