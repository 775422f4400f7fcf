"""Fits against scikit-learn's, the choice among them, and thresholds that hold on new patients."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import log_loss as sklearn_log_loss

from lungsight.components.calibration import Calibration, calibrated, log_odds, softmax
from lungsight.statistics.thresholds import SHARES_LEFT_OPEN, Aim
from lungsight.training import fit_calibration as module
from lungsight.training.fit_calibration import (
    ValidationLogits,
    choose_thresholds,
    fit_calibration,
    fit_isotonic,
    fit_platt,
    fit_temperature,
    largest_classes,
    log_loss,
)

CLASSES = ("sick", "coughing", "well")


def drawn(patients: int = 300, seed: int = 0, distort: float = 2.5, classes: int = 3) -> ValidationLogits:
    """Two images a patient; the logits are ``distort`` times as extreme as is true."""
    rng = np.random.default_rng(seed)
    true = np.repeat(rng.normal(0, 1.5, (patients, classes)), 2, axis=0)
    targets = np.repeat(np.array([rng.choice(classes, p=p) for p in softmax(true[::2])]), 2)
    patient = np.repeat(np.arange(patients), 2)
    return ValidationLogits(CLASSES[:classes], distort * true, targets, patient)


class _Scores(ClassifierMixin, BaseEstimator):
    """Gives the log-odds it is handed back as its decision function."""

    def fit(self, x: np.ndarray, y: np.ndarray) -> _Scores:
        self.classes_ = np.unique(y)
        self.n_features_in_ = x.shape[1]
        return self

    def decision_function(self, x: np.ndarray) -> np.ndarray:
        return x[:, 0] if len(self.classes_) == 2 else x

    def predict(self, x: np.ndarray) -> np.ndarray:
        scores = self.decision_function(x)
        return (scores > 0).astype(int) if scores.ndim == 1 else scores.argmax(axis=1)


def by_scikit_learn(validation: ValidationLogits, method: str) -> np.ndarray:
    """scikit-learn's own calibration of the same log-odds, one against rest, normalised."""
    odds = log_odds(validation.logits)
    scores = odds[:, 1:2] if len(validation.classes) == 2 else odds
    frozen = FrozenEstimator(_Scores().fit(scores, validation.targets))
    fitted = CalibratedClassifierCV(frozen, method=method).fit(scores, validation.targets)
    return np.asarray(fitted.predict_proba(scores))


def test_the_temperature_undoes_overconfidence() -> None:
    truth = np.log(3.0) * 5.0  # right three times in four, and five times too sure of it
    signs = np.array([1.0, 1, 1, 1, -1, -1, -1, -1])
    targets = np.array([0, 0, 0, 1, 1, 1, 1, 0])
    logits = np.stack([signs * truth, np.zeros(8)], axis=1)
    assert fit_temperature(ValidationLogits(("a", "b"), logits, targets, np.arange(8))) == pytest.approx(
        5.0, rel=1e-6
    )


@pytest.mark.parametrize("classes", [2, 3])
def test_platts_line_agrees_with_scikit_learn(classes: int) -> None:
    validation = drawn(classes=classes)
    calibration = Calibration(method="platt", platt=fit_platt(validation))
    found = calibrated(calibration, validation.classes, validation.logits)
    np.testing.assert_allclose(found, by_scikit_learn(validation, "sigmoid"), atol=1e-6)


@pytest.mark.parametrize("classes", [2, 3])
def test_isotonic_steps_agree_with_scikit_learn(classes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    validation = drawn(classes=classes)
    unbounded = module.IsotonicRegression
    monkeypatch.setattr(module, "IsotonicRegression", lambda **_: unbounded(y_min=0, y_max=1))
    calibration = Calibration(method="isotonic", isotonic=fit_isotonic(validation))
    found = calibrated(calibration, validation.classes, validation.logits)
    np.testing.assert_allclose(found, by_scikit_learn(validation, "isotonic"), atol=1e-6)


def test_isotonic_steps_are_never_surer_than_so_many_images_allow() -> None:
    validation = drawn(patients=40, distort=20)
    for corners in fit_isotonic(validation).values():
        p = [probability for _, probability in corners]
        assert min(p) >= 1 / 82
        assert max(p) <= 81 / 82 + 1e-12


def test_log_loss_is_scikit_learns() -> None:
    validation = drawn()
    p = softmax(validation.logits)
    assert log_loss(p, validation.targets) == pytest.approx(sklearn_log_loss(validation.targets, p))


def test_each_distortion_finds_its_own_remedy() -> None:
    hot = drawn(distort=2.5)
    assert fit_calibration(hot).calibration.temperature == pytest.approx(2.5, rel=0.2)
    shifted = drawn(patients=600, distort=1.0)
    off = ValidationLogits(CLASSES, shifted.logits + np.array([2.5, 0, 0]), shifted.targets, shifted.patients)
    losses = fit_calibration(off).calibration.log_loss
    assert losses["platt"] < losses["temperature"] - 0.1
    assert fit_calibration(_bent(3000)).calibration.method == "isotonic"


def _bent(patients: int) -> ValidationLogits:
    bent = drawn(patients=patients, distort=1.0, classes=2)
    margin = bent.logits[:, 0] - bent.logits[:, 1]
    steps = np.where(np.abs(margin) < 2, 0.05 * margin, 8 * margin)  # a line can't undo this
    return ValidationLogits(bent.classes, np.stack([steps, 0 * steps], axis=1), bent.targets, bent.patients)


def test_everything_is_stored_with_what_it_scored() -> None:
    found = fit_calibration(drawn(patients=500)).calibration
    assert set(found.log_loss) == {"temperature", "platt", "isotonic"}
    assert set(found.platt) == set(found.isotonic) == set(CLASSES)
    assert (found.fitted_on, found.patients) == (1000, 500)
    assert found.problem(CLASSES) is None


def test_isotonic_steps_need_a_thousand_images() -> None:
    """Even where they would score best: two images a patient, and a bend that no line undoes."""
    for patients, allowed in ((499, False), (500, True)):
        found = fit_calibration(_bent(patients)).calibration
        assert (found.method == "isotonic") == ("isotonic" in found.log_loss) == bool(found.isotonic) == allowed


def test_the_simplest_method_within_a_standard_error_of_the_least_is_used() -> None:
    rng, patients = np.random.default_rng(5), np.repeat(np.arange(200), 2)
    temperature = rng.exponential(1, 400)
    noise = np.repeat(rng.normal(0, 0.3, 200), 2)
    error = noise.std(ddof=1) / np.sqrt(200)
    for lead, expected in ((0.7, "temperature"), (1.4, "platt")):
        platt = temperature - lead * error + noise - noise.mean()
        assert module._simplest({"temperature": temperature, "platt": platt}, patients) == expected
        assert module._simplest({"temperature": platt, "platt": temperature}, patients) == "temperature"


def test_calibrated_by_any_method_already_only_the_temperature_is_used() -> None:
    methods = [fit_calibration(drawn(seed=seed, distort=2.5)).calibration.method for seed in range(10)]
    assert methods.count("temperature") >= 7


def test_probabilities_for_thresholds_never_come_from_the_patients_own_truth() -> None:
    """Whatever a patient's truth, his out-of-fold probabilities stay; of the stored calibration they don't."""
    validation = drawn()
    folds = list(module._folds(validation))
    assert all(not set(validation.patients[a]) & set(validation.patients[b]) for a, b in folds)
    out_of_fold = module._out_of_fold(validation)["platt"]
    others, fold = folds[0]
    alone = Calibration(method="platt", platt=fit_platt(validation.of(others)))
    np.testing.assert_allclose(out_of_fold[fold], calibrated(alone, CLASSES, validation.logits[fold]))


def test_too_few_patients_get_a_temperature_and_nothing_else() -> None:
    validation = drawn(patients=24)
    found = fit_calibration(validation)
    alone = Calibration(temperature=fit_temperature(validation), fitted_on=48, patients=24)
    assert found.calibration.model_copy(update={"prevalence": {}, "largest": ()}) == alone
    np.testing.assert_array_equal(found.probabilities, calibrated(found.calibration, CLASSES, validation.logits))


def test_a_model_that_is_upside_down_keeps_a_temperature_that_packages_accept() -> None:
    upside_down = drawn(distort=-1.0)
    found = fit_calibration(upside_down).calibration
    assert module.failed_fit(found) is None
    assert found.platt == {}


def test_thresholds_keep_their_aims_on_new_patients() -> None:
    missed, called = [], []
    for seed in range(12):
        validation = drawn(patients=300, seed=seed, distort=2.0)
        fitted = fit_calibration(validation)
        decision = choose_thresholds(validation, fitted.probabilities, "sick", Aim(most_inconclusive=1), 0.5)
        fresh = drawn(patients=300, seed=1000 + seed, distort=2.0)
        p = calibrated(fitted.calibration, CLASSES, fresh.logits)[:, 0]
        missed.append((p[fresh.targets == 0] < decision.low).mean())
        called.append((p[fresh.targets != 0] >= decision.high).mean())
    assert np.mean(missed) == pytest.approx(0.05, abs=0.02)
    assert np.mean(called) == pytest.approx(0.05, abs=0.02)
    assert decision.chosen_on == 600
    assert decision.aim_sensitivity == decision.aim_specificity == 0.95


def test_too_few_patients_of_the_target_choose_no_threshold_and_say_why() -> None:
    validation = drawn(patients=30)
    decision = choose_thresholds(validation, softmax(validation.logits), "sick", Aim(), 0.6)
    assert decision.low is None
    assert decision.inconclusive_below == 0.6
    assert decision.note.startswith("No threshold: ")
    assert "can't show a sensitivity of 0.95" in decision.note


def test_the_expit_of_a_line_is_what_platt_means() -> None:
    validation = drawn(classes=2)
    slope, intercept = fit_platt(validation)["sick"]
    odds = log_odds(validation.logits)[:, 0]
    found = calibrated(
        Calibration(method="platt", platt=fit_platt(validation)), validation.classes, validation.logits
    )
    np.testing.assert_allclose(found[:, 0], expit(slope * odds + intercept), atol=1e-7)


def _two_sources(large: int = 500, small: int = 100) -> ValidationLogits:
    """In the small source, in which the first class is rare, the logits of the first class are too high."""
    one, other = drawn(large, seed=1, distort=1), drawn(small, seed=2, distort=1)
    rare = other.logits + np.array([2.0, 0, 0])
    return ValidationLogits(
        CLASSES,
        np.concatenate([one.logits, rare]),
        np.concatenate([one.targets, other.targets]),
        np.concatenate([one.patients, 1000 + other.patients]),
        np.array(["large"] * 2 * large + ["small"] * 2 * small),
    )


def test_every_source_counts_the_same() -> None:
    """As many images again of the large source change neither the fit nor the prevalence that it states."""
    once = _two_sources()
    large = np.flatnonzero(once.sources == "large")
    often = once.of(np.concatenate([large, large, large, np.flatnonzero(once.sources == "small")]))
    for fit in (fit_temperature, lambda v: fit_platt(v)["sick"][1]):
        assert fit(often) == pytest.approx(fit(once), abs=0.01)
    pooled = ValidationLogits(CLASSES, often.logits, often.targets, often.patients)
    assert fit_platt(pooled)["sick"][1] - fit_platt(once)["sick"][1] > 0.2
    shares = fit_calibration(once).calibration.prevalence
    assert sum(shares.values()) == pytest.approx(1)
    wanted = np.mean([(once.targets[once.sources == s] == 0).mean() for s in ("large", "small")])
    assert shares["sick"] == pytest.approx(wanted)


def test_the_most_probable_class_is_counted_by_source_before_and_after() -> None:
    validation = _two_sources()
    before, after = softmax(validation.logits), softmax(validation.logits - np.array([2.0, 0, 0]))
    large, small = largest_classes(validation, before, after)
    assert (large.source, large.images, small.images) == ("large", 1000, 200)
    here = validation.sources == "small"
    assert small.truth["sick"] == pytest.approx((validation.targets[here] == 0).mean(), abs=1e-4)
    assert small.before["sick"] > small.after["sick"]
    assert all(sum(each.values()) == pytest.approx(1, abs=1e-3) for each in (small.truth, small.before, small.after))
    assert {each.source for each in fit_calibration(validation).calibration.largest} == {"large", "small"}


def test_thresholds_say_what_they_do_within_each_source_and_what_others_would_cost() -> None:
    validation = _two_sources()
    p = fit_calibration(validation).probabilities
    decision = choose_thresholds(validation, p, "sick", Aim(most_inconclusive=0.1), 0.5)
    assert [each.source for each in decision.by_source] == ["large", "small"]
    assert all((each.inconclusive.value or 0) <= 0.1 for each in decision.by_source)
    assert decision.by_source[0].sensitivity.low is not None
    assert [each.most_inconclusive for each in decision.costs] == list(SHARES_LEFT_OPEN)
    same = next(each for each in decision.costs if each.most_inconclusive == 0.1)
    assert (same.low, same.high) == decision.thresholds
