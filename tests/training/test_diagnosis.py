from __future__ import annotations

import math

import pytest

from lungsight.training.diagnosis import EpochLosses, TrainingProblem, diagnose, is_diverging


def _losses(train: list[float], validation: list[float]) -> list[EpochLosses]:
    return [EpochLosses(t, v) for t, v in zip(train, validation, strict=True)]


def test_a_good_run_shows_no_trouble() -> None:
    falling = [0.6, 0.4, 0.3, 0.25, 0.22, 0.2]
    assert diagnose(_losses(falling, falling), 2) is None
    assert diagnose([], 2) is None


def test_losses_that_part_ways_are_overfitting() -> None:
    found = diagnose(_losses([0.6, 0.4, 0.2, 0.1, 0.05], [0.5, 0.35, 0.45, 0.5, 0.6]), 2)
    assert found is not None
    assert found.problem is TrainingProblem.OVERFITTING
    assert "since epoch 1 validation loss rose from 0.350 to 0.600" in found.evidence


def test_a_single_bad_epoch_is_no_overfitting() -> None:
    assert diagnose(_losses([0.6, 0.4, 0.3, 0.25], [0.5, 0.35, 0.5, 0.34]), 2) is None


def test_a_loss_near_guessing_is_underfitting() -> None:
    found = diagnose(_losses([0.70, 0.69, 0.69, 0.69, 0.69], [0.69] * 5), 2)
    assert found is not None
    assert found.problem is TrainingProblem.UNDERFITTING


def test_training_loss_that_stays_above_validation_loss_is_underfitting() -> None:
    found = diagnose(_losses([0.5, 0.45, 0.42, 0.41, 0.40], [0.3, 0.28, 0.27, 0.26, 0.26]), 2)
    assert found is not None
    assert found.problem is TrainingProblem.UNDERFITTING


@pytest.mark.parametrize("loss", [math.nan, math.inf, 7.0])
def test_exploding_validation_loss_is_divergence(loss: float) -> None:
    found = diagnose(_losses([0.5, 0.4], [0.4, loss]), 2)
    assert found is not None
    assert found.problem is TrainingProblem.DIVERGENCE


def test_batches_tell_divergence_at_once() -> None:
    assert not is_diverging([], 2)
    assert not is_diverging([0.9, 0.8, 1.2, 0.7, 0.6, 0.5, 0.5], 2)
    assert is_diverging([0.7, 0.6, math.nan], 2)
    assert is_diverging([0.7] * 5 + [4.0] * 5, 2)
    assert not is_diverging([0.7] * 9 + [4.0], 2)  # one bad batch
    assert not is_diverging([3.0, 2.5, 2.0, 1.5, 1.3, 1.2, 1.2], 2)  # a high start is no explosion


def test_a_start_below_guessing_is_judged_by_its_own_level() -> None:
    assert is_diverging([0.1] * 5 + [1.6] * 5, 2)
    assert not is_diverging([0.1] * 5 + [1.2] * 5, 2)
