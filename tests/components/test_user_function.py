"""A function of the user's as a model: what it is given, what it may give, and what is said otherwise."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lungsight.components.predictor import FEATURES, MAPS, WEIGHTS
from lungsight.components.user_function import FunctionError, UserFunction

CLASSES = ("covid19", "pneumonia", "normal")


def images(n: int = 3) -> list[np.ndarray]:
    return list(np.random.default_rng(0).uniform(0, 1, (n, 40, 50)).astype(np.float32))


def probabilities(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits.astype(np.float64))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def test_probabilities_of_all_classes_or_of_the_target_alone() -> None:
    of_all = UserFunction(lambda seen: np.tile([0.2, 0.3, 0.5], (len(seen), 1)), "f", CLASSES, "covid19")
    assert probabilities(of_all.run(images()).logits) == pytest.approx(np.tile([0.2, 0.3, 0.5], (3, 1)))
    score = UserFunction(lambda seen: [x.mean() for x in seen], "f", ("normal", "covid19"), "covid19")
    given = probabilities(score.run(images()).logits)
    assert given[:, 1] == pytest.approx([x.mean() for x in images()], abs=1e-6)
    assert given.sum(axis=1) == pytest.approx(1)


def test_large_images_are_reduced_and_small_ones_left() -> None:
    one = UserFunction(len, "f", CLASSES, "covid19", image_size=100)
    assert one.prepare(np.zeros((300, 200), np.float32)).shape == (100, 67)
    small = images()[0]
    assert np.array_equal(one.prepare(small), small)
    assert one.prepare(np.full((300, 200), 0.25, np.float32)) == pytest.approx(0.25)


def test_maps_and_features_are_asked_for_only_where_there_are_functions_for_them() -> None:
    def predict(seen: list[np.ndarray]) -> np.ndarray:
        return np.full((len(seen), 3), 1 / 3)

    plain = UserFunction(predict, "f", CLASSES, "pneumonia")
    assert set(plain.lacks) == {MAPS, FEATURES, WEIGHTS}
    assert plain.run(images()).maps is None
    both = UserFunction(
        predict, "f", CLASSES, "pneumonia",
        explain=lambda seen: np.ones((len(seen), 4, 5)), features=lambda seen: np.ones((len(seen), 7)),
    )  # fmt: skip
    assert set(both.lacks) == {WEIGHTS}
    found = both.run(images())
    assert found.maps is not None
    assert found.maps.shape == (3, 3, 4, 5)
    assert [found.maps[:, i].all() for i in range(3)] == [False, True, False]
    assert found.features is not None
    assert found.features.shape == (3, 7)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (np.ones((3, 2)), "shape [3, 2]; give one of shape [3, 3] for 3 images and 3 classes"),
        (np.ones((2, 3)) / 3, "shape [2, 3]; give one of shape [n, 3]"),
        (np.array([[3.0, -1.0, 2.0]] * 3), "aren't probabilities (3, -1, 2)"),
        (np.array([[0.9, 0.9, 0.9]] * 3), "aren't probabilities (0.9, 0.9, 0.9)"),
        ("nothing", "fails for 3 images (ValueError"),
    ],
)
def test_what_isnt_probabilities_is_one_sentence(given: Any, said: str) -> None:
    with pytest.raises(FunctionError) as caught:
        UserFunction(lambda _: given, "mine.py:predict", CLASSES, "covid19").run(images())
    assert said in str(caught.value)
    assert str(caught.value).startswith("mine.py:predict: ")


def test_an_image_without_a_number_is_left_to_the_caller() -> None:
    def predict(seen: list[np.ndarray]) -> np.ndarray:
        return np.array([[0.1, 0.2, 0.7]] * 2 + [[np.nan] * 3])

    assert np.isnan(UserFunction(predict, "f", CLASSES, "covid19").run(images()).logits).any(axis=1).tolist() == [
        False, False, True,
    ]  # fmt: skip


def test_another_version_is_another_model() -> None:
    ids = {UserFunction(len, "f", CLASSES, "covid19", version=version).model for version in ("1", "2")}
    ids |= {UserFunction(len, "f", CLASSES, "covid19", version="1", image_size=512).model}
    assert len(ids) == 3
