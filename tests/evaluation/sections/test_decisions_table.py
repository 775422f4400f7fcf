"""The shares of each verdict add up, in the order in which scanning decides."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lungsight.components.classifier import Outputs
from lungsight.evaluation.sections.decisions_table import decisions_of, verdicts
from lungsight.evaluation.testset.testset import TestSet
from lungsight.inference import CheckedImage, Detector
from lungsight.package import Decision, ModelPackage
from lungsight.radiograph import Radiograph, View
from lungsight.reporting.tables import frame
from lungsight.scanning.scan import scan_radiograph
from lungsight.statistics.bootstrap import Resampling
from tiny_package import write_tiny
from tiny_parts import tiny_familiarity

FEW = Resampling(replicates=100)
CLASSES = ("covid19", "other_pneumonia", "no_pneumonia")
RULE = Decision(low=0.2, high=0.6)


def a_test(probabilities: list[tuple[float, float, float]], truth: list[str], **columns: object) -> TestSet:
    p = np.array(probabilities)
    table = pd.DataFrame({"source": "north", "patient": [str(i) for i in range(len(p))], "truth": truth})
    table = table.assign(fault="", kind="external", **{f"probability_{c}": p[:, i] for i, c in enumerate(CLASSES)})
    return TestSet(table.assign(**columns), CLASSES, "covid19", pd.DataFrame(index=table.index))


def test_the_thresholds_decide_and_below_them_there_is_no_sign() -> None:
    rows = [(0.7, 0.3, 0.0), (0.4, 0.6, 0.0), (0.1, 0.5, 0.4), (0.1, 0.2, 0.7), (0.6, 0.2, 0.2), (0.2, 0.8, 0.0)]
    testset = a_test(rows, ["no_pneumonia"] * 6)
    expected = ["covid19", "inconclusive", "no_sign", "no_sign", "covid19", "inconclusive"]
    assert decisions_of(testset, RULE, "covid19").tolist() == expected
    most_probable = ["covid19", "other_pneumonia", "other_pneumonia", "no_pneumonia", "covid19", "other_pneumonia"]
    assert decisions_of(testset, Decision(inconclusive_below=0), "covid19").tolist() == most_probable


def test_the_gate_comes_first_and_the_unfamiliar_get_their_decision() -> None:
    columns = {"refused": ["A drawing.", "", "A drawing."], "unfamiliar": [True, True, False]}
    testset = a_test([(0.9, 0.1, 0.0)] * 3, ["covid19"] * 3, **columns)
    assert decisions_of(testset, RULE, "covid19").tolist() == ["refused", "covid19", "refused"]
    found = frame(verdicts(testset, RULE, "covid19", FEW)).set_index("metric")["value"]
    assert found["verdict_refused"] == pytest.approx(2 / 3)
    assert found["verdict_covid19"] == pytest.approx(1 / 3)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(st.sampled_from(CLASSES), st.integers(1, 9), st.integers(1, 9)), min_size=1, max_size=20))
def test_every_image_gets_one_verdict(images: list[tuple[str, int, int]]) -> None:
    shares = [(a / (a + b + 5), b / (a + b + 5), 5 / (a + b + 5)) for _, a, b in images]
    images_of = a_test(shares, [truth for truth, _, _ in images])
    table = frame(verdicts(images_of, RULE, "covid19", Resampling(replicates=10)))
    assert set(table["truth"]) == {truth for truth, _, _ in images}
    assert table.groupby("truth")["value"].sum().to_numpy() == pytest.approx(1)
    assert table.groupby("truth")["n"].max().sum() == len(images)


DECISIONS = st.one_of(
    st.floats(0, 1).map(lambda below: Decision(inconclusive_below=below)),
    st.tuples(st.floats(0, 1), st.floats(0, 1)).map(lambda pair: Decision(low=min(pair), high=max(pair))),
    st.floats(0, 1).map(lambda both: Decision(low=both, high=both)),
)


@dataclass
class Scripted:
    """Network, examiner and measure of familiarity at once, whose answers are given beforehand."""

    logits: tuple[float, ...]
    far: bool
    refused: bool
    threshold: float = 1.0
    takes_batches: bool = False

    def run_with_features(self, pixels: np.ndarray) -> tuple[Outputs, np.ndarray]:
        logits = np.array([self.logits], dtype=np.float32)
        return Outputs(logits, np.repeat(logits, 4).reshape(1, 3, 2, 2)), np.zeros((1, 4), np.float32)

    def distance(self, features: np.ndarray) -> np.ndarray:
        return np.array([2.0 if self.far else 0.5])

    @property
    def description(self) -> object:
        return tiny_familiarity()[0]

    def check_input(self, radiograph: Radiograph) -> CheckedImage:
        return CheckedImage(radiograph, refusals=("A drawing.",) if self.refused else ())


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> ModelPackage:
    return ModelPackage.open(write_tiny(tmp_path_factory.mktemp("package") / "tiny"))


@settings(deadline=None, max_examples=150)
@given(st.tuples(*[st.floats(-6, 6)] * 3), DECISIONS, st.booleans(), st.booleans(), st.sampled_from(CLASSES))
def test_evaluation_says_of_an_image_what_scanning_says(
    package: ModelPackage, logits: tuple[float, ...], decision: Decision, far: bool, refused: bool, target: str
) -> None:
    """Whatever the model answers, and whatever its package says of decisions."""
    asked = copy(package)
    asked.description = package.description.model_copy(update={"decision": decision, "target": target})
    scripted = Scripted(logits, far, refused)
    detector = Detector(asked, scripted, scripted, scripted)  # type: ignore[arg-type]
    noise = np.random.default_rng(0).uniform(0.2, 0.8, (64, 64)).astype(np.float32)
    finding = scan_radiograph(Radiograph(noise, "film.png", "0" * 64, view=View.PA), detector)

    (probabilities,) = detector.probabilities(np.array([logits], dtype=np.float32))
    columns = {"refused": "A drawing." if refused else "", "unfamiliar": far}
    images = replace(a_test([tuple(probabilities)], ["covid19"], **columns), target="no_pneumonia")
    assert decisions_of(images, decision, target).tolist() == [finding.decision]
