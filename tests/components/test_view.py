"""The view classifier's rule, and its place in the gate."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from lungsight.components.input_gate import Gate
from lungsight.components.onnx_safety import UnusableNetworkError
from lungsight.components.view import ViewDescription
from lungsight.radiograph import View
from tiny_parts import describe_gate, tiny_gate

STATED = {"low": 0.3, "high": 0.8, "aim": 0.95, "chosen_on": 50, "trained_on": {"somewhere": {"AP": 30, "PA": 40}}}
RAMP = np.tile(np.linspace(0, 1, 128, dtype=np.float32), (128, 1))


@pytest.mark.parametrize(
    ("ap", "view"), [(0.0, View.PA), (0.29, View.PA), (0.3, None), (0.79, None), (0.8, View.AP), (1.0, View.AP)]
)
def test_between_the_thresholds_the_view_is_unknown(ap: float, view: View | None) -> None:
    assert ViewDescription(**STATED).guess(ap) == (ap, view)


def test_equal_thresholds_leave_nothing_unknown() -> None:
    stated = ViewDescription(**STATED | {"low": 0.5, "high": 0.5})
    assert [stated.guess(ap).view for ap in (0.49, 0.5)] == [View.PA, View.AP]


def test_thresholds_the_wrong_way_round_are_refused() -> None:
    with pytest.raises(ValidationError, match="low may not be above high"):
        ViewDescription(**STATED | {"low": 0.9})


@pytest.mark.parametrize(("logit", "view"), [(4.0, View.AP), (-4.0, View.PA), (0.3, None)])
def test_a_gate_gives_the_view_of_what_it_admits(logit: float, view: View | None) -> None:
    gate = Gate(tiny_gate(ap=logit), describe_gate(view=STATED))
    found = gate.ask(RAMP).view
    assert found is not None
    assert found.view is view
    assert found.ap == pytest.approx(1 / (1 + np.exp(-logit)), abs=1e-6)
    assert gate.guess_view(RAMP) == found


def test_an_image_that_is_refused_has_no_view() -> None:
    assert Gate(tiny_gate("lateral", ap=4.0), describe_gate(view=STATED)).ask(RAMP).view is None


def test_a_gate_without_a_view_classifier_works_as_before() -> None:
    gate = Gate(tiny_gate(), describe_gate())
    assert gate.ask(RAMP).view is None
    assert gate.guess_view(RAMP) is None


def test_a_view_classifier_that_is_described_has_to_be_there() -> None:
    with pytest.raises(UnusableNetworkError, match="view"):
        Gate(tiny_gate(), describe_gate(view=STATED))
