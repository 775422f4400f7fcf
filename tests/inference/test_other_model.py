"""A model that isn't a package answers evaluation as a detector does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lungsight.components.decision import Decision
from lungsight.components.onnx_predictor import OnnxPredictor
from lungsight.components.user_function import UserFunction
from lungsight.inference import Detector, Model, Status
from lungsight.inference.other_model import OtherModel
from lungsight.radiograph import Radiograph
from other_onnx import convolutional, described_as
from tiny_package import CLASSES, SIDE, tiny_network

TWO = ("covid19", "other")


def bright(decision: Decision | None = None, **functions: Callable) -> OtherModel:
    def predict(seen: list[np.ndarray]) -> list[float]:
        return [float(image.mean()) for image in seen]

    return OtherModel(UserFunction(predict, "bright", TWO, "covid19", **functions), TWO, "covid19", decision=decision)


def test_a_finding_has_probabilities_and_no_decision_without_a_rule(
    make_radiograph: Callable[..., Radiograph],
) -> None:
    model = bright()
    checked = [model.check_input(make_radiograph(seed)) for seed in (0, 1)]
    answers = model.answer_checked(checked)
    for one, answer in zip(checked, answers, strict=True):
        assert answer.finding.status is Status.READ
        assert answer.finding.decision is None
        assert answer.finding.probabilities["covid19"] == pytest.approx(one.radiograph.pixels.mean(), abs=1e-5)
        assert sum(answer.finding.probabilities.values()) == pytest.approx(1)
        assert answer.finding.map is None
    logits = model.logits([model.prepare_checked(one) for one in checked])
    assert model.probabilities(logits)[:, 0] == pytest.approx(
        [answer.finding.probabilities["covid19"] for answer in answers]
    )
    assert model.answer_checked([]) == []


def test_stated_thresholds_decide(make_radiograph: Callable[..., Radiograph]) -> None:
    dark, light = make_radiograph(0), make_radiograph(0, pixels=np.full((90, 120), 0.9, np.float32))
    model = bright(Decision(low=0.4, high=0.8))
    found = [
        one.finding.decision for one in model.answer_checked([model.check_with_networks(r) for r in (dark, light)])
    ]
    assert found == ["inconclusive", "covid19"]


def test_an_image_without_a_number_is_an_error_with_its_file(make_radiograph: Callable[..., Radiograph]) -> None:
    nothing = UserFunction(lambda seen: np.full((len(seen), 2), np.nan), "nothing", TWO, "covid19")
    model = OtherModel(nothing, TWO, "covid19")
    (answer,) = model.answer_checked([model.check_with_networks(make_radiograph(3))])
    assert answer.finding.status is Status.ERROR
    assert answer.finding.probabilities == {}
    assert answer.finding.reasons[0].startswith("film-3.png: ")


def test_a_packages_network_taken_for_anybodys_gives_the_logits_and_the_map_that_the_package_gives(
    detector: Detector, make_radiograph: Callable[..., Radiograph]
) -> None:
    """The same weights, as an ONNX file from elsewhere: mean of maps, then a linear layer that changes nothing."""
    network = tiny_network()
    network.graph.output.pop(1)
    stated = described_as(output={"classes": CLASSES, "name": "logits"}, input={"size": SIDE})
    other: Model = OtherModel(
        OnnxPredictor(network.SerializeToString(), stated, "tiny.onnx", threads=1), CLASSES, "covid19"
    )
    radiographs = [make_radiograph(seed) for seed in range(3)]
    ours = detector.answer_checked([detector.check_with_networks(one) for one in radiographs])
    theirs = other.answer_checked([other.check_with_networks(one) for one in radiographs])
    for one, another in zip(ours, theirs, strict=True):
        assert another.logits == pytest.approx(one.logits, abs=1e-5)
    assert other.lacks.keys() == {"maps", "features", "weights"}  # it ends in a pool of maps, not in a linear layer


def test_the_heatmap_of_a_finding_is_the_targets_map_against_the_others(
    make_radiograph: Callable[..., Radiograph], tmp_path: Path
) -> None:
    stated = described_as(output={"classes": ("covid19", "a", "b")})
    model = OtherModel(
        OnnxPredictor(convolutional().SerializeToString(), stated, "m.onnx", threads=1), stated.classes, "covid19"
    )
    (answer,) = model.answer_checked([model.check_with_networks(make_radiograph(0))])
    assert answer.finding.map is not None
    assert answer.maps is not None
    against = answer.logits[0] - answer.logits[1:].mean()
    assert answer.finding.map.margin == pytest.approx(against, abs=1e-4)
    assert answer.finding.map.values == pytest.approx(answer.maps[0] - answer.maps[1:].mean(axis=0), abs=1e-5)
    assert answer.finding.heatmap().shape == (90, 120)
