"""The alterations themselves: what they do to a phantom."""

from __future__ import annotations

import numpy as np
import pytest

from lungsight.alterations.corruptions import AS_IT_IS, STRESSES, Stress, alterations
from lungsight.alterations.image import AuditedImage
from lungsight.datasets.phantom import Label, PhantomPatient, draw


@pytest.fixture(scope="module")
def exam() -> AuditedImage:
    phantom = draw(PhantomPatient.from_seed(3), Label.COVID19, size=256)
    pixels = phantom.pixels.copy()
    pixels.flags.writeable = False
    return AuditedImage(pixels, phantom.lung_mask, 12345)


@pytest.mark.parametrize("stress", STRESSES, ids=lambda stress: stress.name)
def test_each_strength_changes_more_than_the_one_before(stress: Stress, exam: AuditedImage) -> None:
    distances = []
    for strength in stress.strengths:
        altered = stress.alter(exam, strength)
        assert altered.dtype == np.float32
        assert altered.shape == exam.pixels.shape
        assert 0 <= altered.min() <= altered.max() <= 1
        distances.append(float(np.abs(altered - exam.pixels).mean()))
    assert distances[0] > 0 or stress.name == "inversion"  # a phantom may have no white at all
    assert distances[-1] > 0.002
    assert distances == sorted(distances)


@pytest.mark.parametrize("stress", STRESSES, ids=lambda stress: stress.name)
def test_the_same_image_is_altered_the_same_way_again(stress: Stress, exam: AuditedImage) -> None:
    for strength in stress.strengths:
        np.testing.assert_array_equal(stress.alter(exam, strength), stress.alter(exam, strength))


@pytest.mark.parametrize("stress", STRESSES, ids=lambda stress: stress.name)
@pytest.mark.parametrize("shape", [(1, 1), (3, 200), (200, 3)])
def test_no_shape_is_too_strange(stress: Stress, shape: tuple[int, int]) -> None:
    exam = AuditedImage(np.random.default_rng(0).random(shape, dtype=np.float32), None, 1)
    for strength in stress.strengths:
        altered = stress.alter(exam, strength)
        assert altered.shape == shape
        assert np.isfinite(altered).all()


def test_full_inversion_is_a_negative(exam: AuditedImage) -> None:
    inversion = next(stress for stress in STRESSES if stress.name == "inversion")
    np.testing.assert_allclose(inversion.alter(exam, 100), 1 - exam.pixels)


def test_noise_and_blur_are_as_strong_as_they_say() -> None:
    grey = AuditedImage(np.full((300, 400), 0.5, np.float32), None, 7)
    by_name = {stress.name: stress for stress in STRESSES}
    assert by_name["noise"].alter(grey, 0.05).std() == pytest.approx(0.05, rel=0.02)
    point = np.zeros((301, 401), np.float32)
    point[150, 200] = 1
    spread = by_name["blur"].alter(AuditedImage(point, None, 7), 2).sum(axis=0)
    sd = np.sqrt((spread * (np.arange(401) - 200) ** 2).sum() / spread.sum())
    assert sd == pytest.approx(6.02, rel=0.02)


def test_a_mark_stays_in_its_corner_and_leaves_the_rest() -> None:
    for stress in STRESSES:
        if stress.name.startswith("letter"):
            for seed in range(8):
                exam = AuditedImage(np.full((200, 300), 0.3, np.float32), None, seed)
                rows, columns = np.nonzero(stress.alter(exam, 8) != exam.pixels)
                assert len(rows) > 20
                assert rows.max() < 60 if stress.name == "letter above" else rows.min() > 140
                assert columns.max() < 60 or columns.min() > 240


def test_every_alteration_has_its_own_name() -> None:
    assert len(alterations()) == 1 + sum(len(stress.strengths) for stress in STRESSES)
    assert AS_IT_IS in alterations()
    assert all(4 <= len(stress.strengths) <= 5 for stress in STRESSES)
