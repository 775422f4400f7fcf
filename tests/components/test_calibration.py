from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy.special import expit, log_softmax

from lungsight.components.calibration import calibrated, log_odds, softmax
from lungsight.package import Calibration, Decision, ModelPackage
from tiny_package import CLASSES, describe, write_tiny

METHODS = (
    Calibration(temperature=1.7),
    Calibration(method="platt", platt=dict.fromkeys(CLASSES, (0.8, 0.3))),
    Calibration(method="isotonic", isotonic=dict.fromkeys(CLASSES, ((-2.0, 0.02), (0.5, 0.3), (4.0, 0.95)))),
)


@settings(max_examples=100, deadline=None)
@given(
    logits=st.lists(st.lists(st.floats(-1e4, 1e4), min_size=3, max_size=3), min_size=1, max_size=8),
    which=st.sampled_from(METHODS),
)
def test_probabilities_are_probabilities_whatever_the_logits(logits: list[list[float]], which: Calibration) -> None:
    found = calibrated(which, CLASSES, np.array(logits))
    assert found.shape == (len(logits), 3)
    assert (found >= 0).all()
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-12)


@pytest.mark.parametrize("which", METHODS)
def test_logits_that_are_no_numbers_give_none(which: Calibration) -> None:
    found = calibrated(which, CLASSES, np.array([[np.nan, 0.0, 1.0], [0.0, 0.0, 1.0]]))
    assert np.isnan(found[0]).all()
    assert np.isfinite(found[1]).all()


def test_softmax_of_enormous_logits_is_still_a_probability() -> None:
    assert softmax(np.array([[1e4, -1e4, 0]], np.float32)).tolist() == [[1, 0, 0]]


def test_log_odds_are_those_of_the_softmax() -> None:
    logits = np.random.default_rng(0).normal(0, 3, (50, 4))
    p = np.exp(log_softmax(logits, axis=1))
    np.testing.assert_allclose(log_odds(logits), np.log(p) - np.log1p(-p), atol=1e-9)


def test_two_classes_need_no_normalising() -> None:
    logits = np.random.default_rng(0).normal(0, 3, (50, 2))
    mirrored = Calibration(method="platt", platt={"sick": (0.7, -0.4), "well": (0.7, 0.4)})
    expected = expit(0.7 * (logits[:, 0] - logits[:, 1]) - 0.4)
    np.testing.assert_allclose(calibrated(mirrored, ("sick", "well"), logits)[:, 0], expected, atol=1e-12)


def test_the_order_of_the_classes_is_the_networks_not_the_files() -> None:
    logits = np.array([[2.0, 0.0, -1.0]])
    lines = {"covid19": (1.0, 0.5), "other_pneumonia": (0.5, 0.0), "no_pneumonia": (2.0, -1.0)}
    forwards = calibrated(Calibration(method="platt", platt=lines), CLASSES, logits)
    backwards = calibrated(Calibration(method="platt", platt=dict(reversed(lines.items()))), CLASSES, logits)
    np.testing.assert_array_equal(forwards, backwards)


@pytest.mark.parametrize(
    ("stated", "problem"),
    [
        ({"method": "platt"}, "platt names the classes none"),
        ({"method": "isotonic", "isotonic": {"covid19": [[0, 0.5]]}}, "isotonic names the classes covid19, not"),
        ({"isotonic": {name: [[1, 0.5], [0, 0.6]] for name in CLASSES}}, "is no rising line"),
        ({"isotonic": {name: [[0, 0.5], [1, 0.4]] for name in CLASSES}}, "is no rising line"),
        ({"isotonic": {name: [[0, 0.5], [1, 1.4]] for name in CLASSES}}, "is no rising line"),
        ({"isotonic": {name: [] for name in CLASSES}}, "is no rising line"),
        ({"platt": {name: [float("nan"), 0] for name in CLASSES}}, "finite number"),
        ({"method": "beta"}, "temperature"),
    ],
)
def test_a_calibration_that_does_not_hang_together_is_refused(stated: dict[str, object], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        describe(calibration=stated)


@pytest.mark.parametrize(
    "stated", [{"low": 0.3}, {"high": 0.3}, {"low": 0.6, "high": 0.5}, {"low": -0.1, "high": 0.5}]
)
def test_thresholds_that_do_not_hang_together_are_refused(stated: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Decision.model_validate(stated)


def test_a_package_of_before_is_read_as_it_was_and_keeps_its_id(tmp_path: Path) -> None:
    path = write_tiny(tmp_path / "tiny")
    before = ModelPackage.open(path)
    description = json.loads((path / "package.json").read_text("utf-8"))
    description["calibration"] = {"temperature": 1.5, "fitted_on": 30}
    description["decision"] = {"inconclusive_below": 0.5}
    (path / "package.json").write_text(json.dumps(description), "utf-8")
    old = ModelPackage.open(path)
    assert old.description.calibration == Calibration(temperature=1.5, fitted_on=30)
    assert old.description.decision.threshold is None
    assert old.id == before.id
    old.verify()


@pytest.mark.parametrize("which", METHODS)
def test_what_is_written_is_read_back(tmp_path: Path, which: Calibration) -> None:
    decision = Decision(low=0.12, high=0.61, aim_sensitivity=0.95, aim_specificity=0.9, chosen_on=90, patients=70)
    opened = ModelPackage.open(write_tiny(tmp_path / "tiny", calibration=which, decision=decision))
    opened.verify()
    assert opened.description.calibration == which
    assert opened.description.decision == decision
