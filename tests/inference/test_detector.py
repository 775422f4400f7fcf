from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lungsight.components.calibration import calibrated
from lungsight.components.ood import OODDetector
from lungsight.datasets.phantom import Label, draw
from lungsight.inference import INCONCLUSIVE, NO_SIGN, CheckedImage, Detector, Status
from lungsight.package import Calibration, Decision, Preprocessing
from lungsight.package.storage import FAMILIARITY
from lungsight.radiograph import Radiograph
from tiny_package import CLASSES
from tiny_parts import tiny_familiarity

Make = Callable[..., Radiograph]
MakeDetector = Callable[..., Detector]


@pytest.mark.parametrize("target", CLASSES)
def test_the_evidence_adds_up_to_the_logit_margin(
    make_detector: MakeDetector, make_radiograph: Make, target: str
) -> None:
    detector = make_detector(target=target)
    radiographs = [make_radiograph(seed) for seed in range(3)]
    logits = detector.predict(np.stack([detector.prepare(r) for r in radiographs])).logits
    which = CLASSES.index(target)
    for finding, row in zip(detector.analyse(radiographs), logits, strict=True):
        assert finding.map is not None
        margin = row[which] - np.delete(row, which).mean()
        assert finding.map.margin == pytest.approx(margin, abs=1e-5)
        assert abs(margin) > 0.01


def test_the_bias_is_the_networks_and_the_same_for_every_image(detector: Detector, make_radiograph: Make) -> None:
    biases = np.linspace(-0.4, 0.3, 3)
    for finding in detector.analyse([make_radiograph(seed) for seed in range(3)]):
        assert finding.map.bias == pytest.approx(biases[0] - biases[1:].mean(), abs=1e-5)


def test_probabilities_are_calibrated_by_the_temperature(detector: Detector, make_radiograph: Make) -> None:
    radiograph = make_radiograph()
    logits = detector.predict(detector.prepare(radiograph)[None]).logits[0].astype(float)
    expected = np.exp(logits / 1.5) / np.exp(logits / 1.5).sum()
    (finding,) = detector.analyse([radiograph])
    assert list(finding.probabilities) == list(CLASSES)
    assert list(finding.probabilities.values()) == pytest.approx(expected.tolist())
    assert sum(finding.probabilities.values()) == pytest.approx(1, abs=1e-12)


def test_a_batch_says_the_same_as_one_image_after_the_other(detector: Detector, make_radiograph: Make) -> None:
    radiographs = [make_radiograph(seed, pixels=make_radiograph(seed).pixels[: 70 + seed]) for seed in range(4)]
    together = detector.analyse(radiographs)
    alone = [detector.analyse([radiograph])[0] for radiograph in radiographs]
    for one, other in zip(together, alone, strict=True):
        assert one.probabilities == pytest.approx(other.probabilities, abs=1e-6)
    assert len({tuple(finding.probabilities.values()) for finding in together}) == 4


def test_no_radiograph_is_no_finding(detector: Detector) -> None:
    assert detector.analyse([]) == []


def test_the_verdict_is_the_most_probable_class(detector: Detector, make_radiograph: Make) -> None:
    for finding in detector.analyse([make_radiograph(seed) for seed in range(5)]):
        assert finding.probabilities[finding.decision or ""] == max(finding.probabilities.values()) >= 0.5


def test_a_doubtful_image_is_inconclusive_with_the_reason(make_detector: MakeDetector, make_radiograph: Make) -> None:
    detector = make_detector(decision=Decision(inconclusive_below=0.99))
    (finding,) = detector.analyse([make_radiograph()])
    assert finding.decision == INCONCLUSIVE
    assert finding.status is Status.READ
    assert finding.reasons[0].startswith("The most probable class, other pneumonia, has a probability of ")
    assert "needs 99 %" in finding.reasons[0]


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0.0, 0.0, "covid19"), (0.0, 1.0, INCONCLUSIVE), (1.0, 1.0, NO_SIGN), (0.001, 0.002, "covid19")],
)
def test_the_decision_follows_the_thresholds_of_the_target(
    make_detector: MakeDetector, make_radiograph: Make, low: float, high: float, expected: str
) -> None:
    decision = Decision(low=low, high=high, inconclusive_below=0.99)
    (finding,) = make_detector(decision=decision).analyse([make_radiograph()])
    assert 0.002 < finding.probabilities["covid19"] < finding.probabilities["other_pneumonia"]
    assert finding.decision == expected
    if expected == INCONCLUSIVE:
        p = finding.probabilities["covid19"]
        rule = "the model calls it from 100 % on and sees no sign of it below 0 %"
        words = f"The probability of COVID-19 is {100 * p:.0f} %: {rule}."
        assert finding.reasons == (words,)
    else:
        assert finding.reasons == ()


@pytest.mark.parametrize("method", ["platt", "isotonic"])
def test_probabilities_are_calibrated_by_the_packages_method(
    make_detector: MakeDetector, make_radiograph: Make, method: str
) -> None:
    calibration = Calibration(
        method=method,  # type: ignore[arg-type]
        platt=dict.fromkeys(CLASSES, (0.5, -1.0)),
        isotonic=dict.fromkeys(CLASSES, ((-3.0, 0.05), (0.0, 0.2), (3.0, 0.9))),
    )
    detector = make_detector(calibration=calibration)
    radiograph = make_radiograph()
    logits = detector.predict(detector.prepare(radiograph)[None]).logits
    expected = calibrated(calibration, CLASSES, logits)
    (finding,) = detector.analyse([radiograph])
    assert list(finding.probabilities.values()) == pytest.approx(expected[0].tolist())
    np.testing.assert_array_equal(detector.probabilities(logits), expected)


def test_pixels_that_are_no_numbers_give_an_error_not_a_verdict(detector: Detector, make_radiograph: Make) -> None:
    pixels = make_radiograph().pixels.copy()
    pixels[10:60, 10:60] = np.nan
    (finding,) = detector.analyse([make_radiograph(pixels=pixels)])
    assert finding.status is Status.ERROR
    assert finding.decision is None
    assert finding.probabilities == {}


@pytest.mark.parametrize("geometry", ["squash", "pad", "crop"])
def test_evidence_lies_on_the_radiographs_own_grid(
    make_detector: MakeDetector, make_radiograph: Make, geometry: str
) -> None:
    detector = make_detector(preprocessing=Preprocessing(image_size=32, geometry=geometry))  # type: ignore[arg-type]
    (finding,) = detector.analyse([make_radiograph()])
    evidence = finding.heatmap()
    assert evidence.shape == (90, 120)
    unseen = evidence[:, :15]
    assert bool((unseen == 0).all()) == (geometry == "crop")


def test_a_bright_spot_is_found_where_it_lies(make_detector: MakeDetector, make_radiograph: Make) -> None:
    detector = make_detector(preprocessing=Preprocessing(image_size=128))
    plain = np.full((200, 300), 0.4, np.float32)
    spot = plain.copy()
    spot[30:70, 210:260] = 1.0
    maps = [f.heatmap() for f in detector.analyse([make_radiograph(pixels=p) for p in (plain, spot)])]
    change = np.abs(maps[1] - maps[0])
    assert change[30:70, 210:260].mean() > 20 * change[100:, :150].mean()


def test_the_model_is_named_with_its_cautions(make_detector: MakeDetector, make_radiograph: Make) -> None:
    detector = make_detector(calibration=Calibration())
    (finding,) = detector.analyse([make_radiograph(warnings=("The header was odd.",))])
    assert finding.model == detector.package.id
    assert finding.warnings == (
        "The header was odd.",
        "No evidence report is in the package: nothing here shows how the model does on images it never saw.",
        "The model learned from few images: 30 of COVID-19, 50 of other pneumonia, 30 of no pneumonia.",
        "The model's probabilities were not calibrated.",
    )


@pytest.fixture(scope="module")
def crops(cropping: Path) -> Detector:
    return Detector.load(cropping, threads=1)


def _phantom(make_radiograph: Make, seed: int = 2) -> Radiograph:
    return make_radiograph(pixels=draw(seed, Label.NO_PNEUMONIA, size=160).pixels[:, 10:150].copy())


def test_a_lung_crop_is_what_the_network_sees(crops: Detector, make_radiograph: Make) -> None:
    radiograph = _phantom(make_radiograph)
    (finding,) = crops.analyse([radiograph])
    assert finding.lungs is not None
    assert finding.lungs.problems == ()
    region = crops.description.preprocessing.region(160, 140, finding.lungs.box)
    other = radiograph.pixels.copy()
    other[: region.top] = 0.1  # whatever lies beside the box, the answer is the same
    (again,) = crops.analyse_checked([CheckedImage(replace(radiograph, pixels=other), finding.lungs)])
    assert again.probabilities == finding.probabilities
    np.testing.assert_array_equal(crops.prepare(radiograph), crops.prepare(radiograph, finding.lungs))


def test_evidence_of_a_lung_crop_lies_in_its_box(crops: Detector, make_radiograph: Make) -> None:
    (finding,) = crops.analyse([_phantom(make_radiograph)])
    assert finding.lungs is not None
    region = crops.description.preprocessing.region(160, 140, finding.lungs.box)
    evidence = finding.heatmap()
    inside = np.zeros((160, 140), bool)
    inside[region.top : region.bottom, region.left : region.right] = True
    assert 0.1 < inside.mean() < 0.9
    assert (evidence[~inside] == 0).all()
    assert (evidence[inside] != 0).mean() > 0.9
    assert finding.map is not None
    assert evidence[inside].mean() == pytest.approx(finding.map.mean, rel=0.2)


def test_a_crop_adds_up_like_any_image(crops: Detector, make_radiograph: Make) -> None:
    radiograph = _phantom(make_radiograph)
    logits = crops.predict(crops.prepare(radiograph)[None]).logits[0]
    (finding,) = crops.analyse([radiograph])
    assert finding.map is not None
    assert finding.map.margin == pytest.approx(logits[0] - logits[1:].mean(), abs=1e-5)


@pytest.mark.parametrize("threshold", [1.0, 100.0])
def test_what_is_unlike_training_gets_a_warning_and_the_same_decision(
    make_detector: MakeDetector, make_radiograph: Make, threshold: float
) -> None:
    described, stored = tiny_familiarity()
    described = described.model_copy(update={"threshold": threshold})
    detector = make_detector(familiarity=described, parts={FAMILIARITY: stored})
    (finding,) = detector.analyse([make_radiograph()])
    assert finding.unfamiliarity is not None
    assert (finding.decision, finding.reasons) == ("other_pneumonia", ())
    warned = [one for one in finding.warnings if "than those of 100% of the validation images" in one]
    assert (len(warned) == 1) == (finding.unfamiliarity > 1) == (threshold == 1.0)


def test_familiarity_is_the_distance_of_the_networks_features(
    make_detector: MakeDetector, make_radiograph: Make
) -> None:
    described, stored = tiny_familiarity()
    detector = make_detector(familiarity=described, parts={FAMILIARITY: stored})
    radiographs = [make_radiograph(seed) for seed in range(3)]
    _, features = detector.predict_with_features(np.stack([detector.prepare(r) for r in radiographs]))
    expected = OODDetector(stored, described).distance(features) / described.threshold
    assert [f.unfamiliarity for f in detector.analyse(radiographs)] == pytest.approx(expected.tolist(), rel=1e-4)


def test_pixels_that_are_no_numbers_are_an_error_with_familiarity_too(
    make_detector: MakeDetector, make_radiograph: Make
) -> None:
    described, stored = tiny_familiarity()
    detector = make_detector(familiarity=described, parts={FAMILIARITY: stored})
    pixels = make_radiograph().pixels.copy()
    pixels[10:60, 10:60] = np.nan
    (finding,) = detector.analyse([make_radiograph(pixels=pixels)])
    assert finding.status is Status.ERROR


def test_an_answer_holds_what_its_finding_rests_on(make_detector: MakeDetector, make_radiograph: Make) -> None:
    described, stored = tiny_familiarity()
    detector = make_detector(familiarity=described, parts={FAMILIARITY: stored})
    checked = [detector.check_input(make_radiograph(seed)) for seed in range(3)]
    prediction, features = detector.predict_with_features(np.stack([detector.prepare_checked(c) for c in checked]))
    answers = detector.answer_checked(checked)
    assert [repr(answer.finding) for answer in answers] == list(map(repr, detector.analyse_checked(checked)))
    np.testing.assert_array_equal([answer.logits for answer in answers], prediction.logits)
    np.testing.assert_array_equal([answer.maps for answer in answers], prediction.maps)
    np.testing.assert_array_equal([answer.features for answer in answers], features)
