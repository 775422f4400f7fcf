import numpy as np
import pytest

from lungsight.components.lungs import Lungs, crop_of
from lungsight.inference.finding import ClassMap
from lungsight.inference.lung_overlap import grid_of, share_in_lungs
from lungsight.package import Preprocessing


def half(side: int = 64) -> Lungs:
    """The left half of the image's middle rows."""
    mask = np.zeros((side, side), bool)
    mask[side // 4 : 3 * side // 4, : side // 2] = True
    return Lungs(mask)


def evenly(preprocessing: Preprocessing, lungs: Lungs | None = None) -> ClassMap:
    return ClassMap(np.ones((8, 8), np.float32), 0, preprocessing, crop_of(lungs))


@pytest.mark.parametrize(("shape", "grid"), [((1000, 500), (128, 64)), ((50, 3000), (2, 128)), ((1, 9000), (1, 128))])
def test_the_grid_has_the_images_shape(shape: tuple[int, int], grid: tuple[int, int]) -> None:
    assert grid_of(*shape) == grid


@pytest.mark.parametrize("geometry", ["squash", "pad", "crop"])
@pytest.mark.parametrize("shape", [(300, 300), (300, 500), (500, 300)])
def test_even_evidence_lies_in_the_lungs_by_their_area(geometry: str, shape: tuple[int, int]) -> None:
    stated = Preprocessing(image_size=32, geometry=geometry)  # type: ignore[arg-type]
    seen = stated.restore(np.ones((8, 8), np.float32), *shape) > 0
    expected = (half().on(*shape) & seen).sum() / seen.sum()
    found = share_in_lungs(evenly(stated), half(), *shape)
    assert found == pytest.approx(expected, abs=0.02)


def test_in_a_lung_crop_the_share_is_of_what_was_seen() -> None:
    stated = Preprocessing(image_size=32, geometry="lungs", margin=0)
    assert share_in_lungs(evenly(stated, half()), half(), 300, 400) == pytest.approx(1, abs=0.01)
    implausible = Lungs(half().mask, ("One lung.",))  # then the whole image is seen, a quarter of which is lung
    assert share_in_lungs(evenly(stated, implausible), implausible, 300, 400) == pytest.approx(0.25, abs=0.02)


def test_what_speaks_against_is_not_counted() -> None:
    evidence = np.full((8, 8), -5, np.float32)
    stated = Preprocessing(image_size=32)
    assert share_in_lungs(ClassMap(evidence, 0, stated), half(), 200, 200) is None
    evidence[4, 6] = 3  # beside the lungs
    assert share_in_lungs(ClassMap(evidence, 0, stated), half(), 200, 200) == 0
    evidence[4, 1] = 3
    assert share_in_lungs(ClassMap(evidence, 0, stated), half(), 200, 200) == pytest.approx(0.5, abs=0.01)
