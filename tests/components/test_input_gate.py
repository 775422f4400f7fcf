"""The gate's rule, with a network whose answers are written into it."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from lungsight.components.input_gate import FRONTAL, INVERTED, MARKED, REFUSALS, UNLIKE, Gate
from lungsight.components.onnx_safety import UnusableNetworkError
from tiny_parts import KINDS, describe_gate, tiny_gate

RAMP = np.tile(np.linspace(0, 1, 128, dtype=np.float32), (128, 1))  # brighter to the right


def test_a_frontal_radiograph_is_admitted_without_a_word() -> None:
    answer = Gate(tiny_gate(), describe_gate()).ask(RAMP)
    assert (answer.refusals, answer.warnings, answer.inverted) == ((), (), False)
    assert answer.probability > 0.99


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != FRONTAL])
def test_every_other_kind_is_refused_in_its_words(kind: str) -> None:
    answer = Gate(tiny_gate(kind), describe_gate()).ask(RAMP)
    assert answer.refusals == (REFUSALS[kind],)
    assert answer.warnings == ()
    assert answer.probability < 0.01


def test_what_lies_far_from_real_radiographs_is_refused_though_it_seems_one() -> None:
    assert Gate(tiny_gate(distance=2.5), describe_gate()).ask(RAMP).refusals == (UNLIKE,)


def test_an_inverted_image_is_put_right_and_looked_at_again() -> None:
    answer = Gate(tiny_gate(), describe_gate()).ask(1 - RAMP)
    assert answer.inverted
    assert answer.warnings == (INVERTED,)
    assert answer.refusals == ()
    np.testing.assert_allclose(answer.righted(1 - RAMP), RAMP, atol=1e-6)


@pytest.mark.parametrize("quarters", [1, 3])
def test_a_turned_image_is_told_by_the_angle_that_rights_it(quarters: int) -> None:
    answer = Gate(tiny_gate(), describe_gate()).ask(np.ascontiguousarray(np.rot90(RAMP, quarters)))
    assert answer.warnings == (
        f"The image seems to lie turned; it was judged upright, turned clockwise by {90 * quarters} degrees.",
    )
    assert not answer.inverted
    np.testing.assert_array_equal(answer.righted(np.rot90(RAMP, quarters)), RAMP)


def test_pixels_that_are_no_numbers_have_an_answer() -> None:
    assert Gate(tiny_gate(), describe_gate()).ask(np.full((70, 90), np.nan, np.float32)) is not None


def test_every_kind_has_words() -> None:
    assert set(REFUSALS) == set(KINDS) - {FRONTAL}


def test_another_network_is_refused() -> None:
    with pytest.raises(UnusableNetworkError, match="isn't an ONNX file"):
        Gate(b"no network", describe_gate())
    model = onnx.load_model_from_string(tiny_gate())
    model.graph.output.pop()
    with pytest.raises(UnusableNetworkError, match="must give kinds, turns, signs and distance"):
        Gate(model.SerializeToString(), describe_gate())
    with pytest.raises(UnusableNetworkError, match="first kind must be 'frontal'"):
        Gate(tiny_gate(), describe_gate(kinds=KINDS[::-1]))


def test_heavy_marks_excuse_a_distance_where_the_network_is_sure() -> None:
    """The fake network calls every image marked once its bias says so."""
    far = tiny_gate(sure=20.0, distance=2.5, marked=9.0)
    answer = Gate(far, describe_gate()).ask(RAMP)
    assert (answer.refusals, answer.warnings) == ((), (MARKED,))
    unsure = tiny_gate(sure=4.0, distance=2.5, marked=9.0)
    assert Gate(unsure, describe_gate()).ask(RAMP).refusals == (UNLIKE,)
