"""What is learnt from some images, on figures whose truth is known."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from lungsight.adaptation.learn import BIAS_ALONE, Plan, Step, cross_validate, folds_of, learn, refit
from lungsight.adaptation.local_images import LocalImages
from lungsight.components.calibration import Calibration
from lungsight.statistics.ranking import auroc
from lungsight.statistics.thresholds import Aim
from tiny_package import CLASSES, describe


def images(n: int = 120, *, signal: float = 2.0, images_per_patient: int = 1, seed: int = 0) -> LocalImages:
    """Half of them of the target (class 0). The network's logits are noise; feature 0 tells the target, 1 class 1."""
    draw = np.random.default_rng(seed)
    labels = np.arange(n) % 4
    labels = np.where(labels < 2, 0, labels - 1)
    features = draw.normal(0, 1, (n, 6)) / math.sqrt(6)
    features[:, 0] += signal * (labels == 0)
    features[:, 1] += signal * (labels == 1)
    return LocalImages(
        CLASSES, 0, draw.normal(0, 1, (n, 3)), features, labels, np.ones(n, dtype=bool),
        np.arange(n) // images_per_patient, np.full(n, "here"),
    )  # fmt: skip


def plan(step: Step = Step.LAST_LAYER, *, all_classes: bool = False, temperature: float = 1.0) -> Plan:
    return Plan(step, all_classes, temperature, Aim(0.9, 0.9), 0.5)


def ranked(data: LocalImages, logits: np.ndarray) -> float:
    margin = logits[:, 0] - np.logaddexp(logits[:, 1], logits[:, 2])
    return float(auroc(margin, data.positive)(np.ones((1, len(data))))[0])


def test_the_last_layer_learns_what_the_features_show() -> None:
    data, unseen = images(), images(400, seed=1)
    learned = learn(data, plan())
    assert learned.strength != BIAS_ALONE
    assert ranked(unseen, unseen.logits) < 0.6
    assert ranked(unseen, learned.change.logits(unseen)) > 0.9
    assert np.allclose(learned.probabilities(unseen).sum(axis=1), 1)


def test_features_that_show_nothing_are_not_learnt_from() -> None:
    unseen = images(400, signal=0, seed=1)
    data = images(signal=0)
    learned = learn(data, plan())
    assert abs(ranked(unseen, learned.change.logits(unseen)) - ranked(unseen, unseen.logits)) < 0.06
    crossed = cross_validate(data, plan())
    assert ranked(data, crossed.logits) < 0.65  # fitted to these images themselves it would be far higher


def test_the_other_classes_stand_to_each_other_as_before() -> None:
    data = images()
    change = refit(data, plan(), 0.1)
    assert (change.weights[1:] == 0).all()
    assert (change.bias[1:] == 0).all()
    assert np.abs(change.weights[0]).max() > 0.1


def test_with_enough_of_every_class_each_is_learnt() -> None:
    data, unseen = images(240), images(400, seed=1)
    change = learn(data, plan(all_classes=True)).change
    right = change.logits(unseen).argmax(axis=1) == unseen.labels
    alone = learn(data, plan()).change.logits(unseen).argmax(axis=1) == unseen.labels
    assert right.mean() > alone.mean() + 0.1


@pytest.mark.parametrize("all_classes", [False, True])
def test_a_stronger_penalty_keeps_the_layer_nearer_to_the_package(all_classes: bool) -> None:
    how = plan(all_classes=all_classes)
    sizes = [np.linalg.norm(refit(images(), how, strength).weights) for strength in (0.01, 0.1, 1, 10, BIAS_ALONE)]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] == 0


def test_the_bias_alone_brings_the_mean_probability_to_the_frequency_there() -> None:
    data = images()
    shifted = replace(data, logits=data.logits + np.array([4.0, 0, 0]))
    change = refit(shifted, plan(Step.CALIBRATION), BIAS_ALONE)
    logits = change.logits(shifted)
    probability = np.exp(logits[:, 0]) / np.exp(logits).sum(axis=1)
    assert probability.mean() == pytest.approx(data.positive.mean(), abs=1e-3)
    assert ranked(data, logits) == ranked(data, shifted.logits)


def test_the_penalty_is_of_calibrated_logits() -> None:
    data = images()
    hot = replace(data, logits=3 * data.logits)
    plain, scaled = refit(data, plan(), 0.1), refit(hot, plan(temperature=3.0), 0.1)
    assert np.allclose(3 * plain.weights, scaled.weights, atol=1e-3)


def test_no_patient_is_in_two_folds_and_every_image_is_in_one() -> None:
    data = images(images_per_patient=3)
    folds = list(folds_of(data))
    assert sorted(np.concatenate([fold for _, fold in folds])) == list(range(len(data)))
    for others, fold in folds:
        assert not set(data.patients[others]) & set(data.patients[fold])


def test_what_is_said_of_a_patient_rests_on_the_others_alone() -> None:
    """With other labels in one fold, what is predicted for that fold stays."""
    data = images()
    rows = next(iter(folds_of(data)))[1]
    turned = data.labels.copy()
    turned[rows] = np.where(turned[rows] == 0, 2, 0)[::-1]
    changed = replace(data, labels=turned)
    same = [fold for _, fold in folds_of(changed) if set(fold) == set(rows)]
    before = cross_validate(data, plan())
    if same:  # the deal looks at labels, too: the fold may be another
        assert np.array_equal(before.logits[rows], cross_validate(changed, plan()).logits[rows])
    learned = learn(data.of(np.setdiff1d(np.arange(len(data)), rows)), plan())
    assert np.array_equal(before.logits[rows], learned.change.logits(data.of(rows)))
    assert np.array_equal(before.probabilities[rows], learned.probabilities(data.of(rows)))


def test_the_same_images_give_the_same_layer() -> None:
    one, other = learn(images(), plan()), learn(images(), plan())
    assert np.array_equal(one.change.weights, other.change.weights)
    assert one.decision == other.decision


@pytest.mark.parametrize(
    ("n", "step", "all_classes"),
    [(79, Step.CALIBRATION, False), (80, Step.LAST_LAYER, False), (160, Step.LAST_LAYER, True)],
)
def test_how_much_is_learnt_depends_on_how_much_there_is(n: int, step: Step, all_classes: bool) -> None:
    stated = describe(calibration=Calibration(temperature=2.0))
    found = Plan.of(images(n), stated)
    assert (found.step, found.all_classes, found.temperature) == (step, all_classes, 2.0)
    assert (found.strengths == (BIAS_ALONE,)) is (step is Step.CALIBRATION)


def test_a_hundred_images_are_enough_where_one_side_is_smaller() -> None:
    data = images(140)
    few = np.flatnonzero(data.positive)[:25]
    kept = np.sort(np.concatenate([few, np.flatnonzero(~data.positive)]))
    assert Plan.of(data.of(kept), describe()).step is Step.CALIBRATION  # 95
    more = images(160)
    kept = np.sort(np.concatenate([np.flatnonzero(more.positive)[:25], np.flatnonzero(~more.positive)]))
    assert Plan.of(more.of(kept), describe()).step is Step.LAST_LAYER  # 105


def test_where_some_classes_are_unknown_only_the_target_is_learnt() -> None:
    data = images(160)
    assert not Plan.of(replace(data, certain=np.arange(160) > 0), describe()).all_classes
