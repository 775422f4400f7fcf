from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.training.segmenter import write_segmenter

from lungsight.components.preprocessing import Preprocessing
from lungsight.errors import UnreadableImageError
from lungsight.training.image_cache import ImageCache
from lungsight.training.lung_cache import LungCache


@pytest.fixture
def film(tmp_path: Path) -> str:
    """Bright, with two dark lungs in its upper half."""
    pixels = np.full((128, 128), 230, dtype=np.uint8)
    pixels[16:64, 16:48] = pixels[16:64, 80:112] = 20
    Image.fromarray(pixels).save(tmp_path / "film.png")
    return str(tmp_path / "film.png")


@pytest.fixture
def lungs(tmp_path: Path) -> LungCache:
    return LungCache.at(write_segmenter(tmp_path / "segmenter"), tmp_path / "cache")


def test_lungs_are_found_once(film: str, lungs: LungCache, monkeypatch: pytest.MonkeyPatch) -> None:
    found = lungs.load(film)
    assert found.box is not None
    assert (found.box.left, found.box.top, found.box.right, found.box.bottom) == pytest.approx(
        (1 / 8, 1 / 8, 7 / 8, 1 / 2), abs=0.02
    )
    monkeypatch.setattr(
        "lungsight.components.lung_segmentation.read_radiograph", lambda *_, **__: pytest.fail("sought again")
    )
    np.testing.assert_array_equal(lungs.load(film).mask, found.mask)


def test_one_lung_is_kept_with_what_is_wrong_and_not_cropped_to(lungs: LungCache, tmp_path: Path) -> None:
    pixels = np.full((128, 128), 230, dtype=np.uint8)
    pixels[16:64, 16:48] = 20
    Image.fromarray(pixels).save(tmp_path / "one.png")
    once, again = (lungs.load(str(tmp_path / "one.png")) for _ in range(2))
    assert once.problems == again.problems != ()
    cropping = Preprocessing(image_size=32, geometry="lungs", margin=0.0)
    seen = ImageCache.at(cropping, tmp_path / "cache", lungs).load(str(tmp_path / "one.png"))
    assert (seen[:, 20:] > 180).all()  # a crop would hide the side where the other lung must be


def test_another_segmenter_is_kept_apart(lungs: LungCache, tmp_path: Path) -> None:
    other = LungCache.at(write_segmenter(tmp_path / "other", darker_than=0.3), tmp_path / "cache")
    assert other.folder != lungs.folder


def test_an_unreadable_image_is_reported(film: str, lungs: LungCache, tmp_path: Path) -> None:
    problems = lungs.prepare([film, str(tmp_path / "absent.png")])
    assert [Path(path).name for path in problems] == ["absent.png"]
    assert isinstance(next(iter(problems.values())), UnreadableImageError)


def test_the_network_sees_the_lungs_alone(film: str, lungs: LungCache, tmp_path: Path) -> None:
    cropping = Preprocessing(image_size=32, geometry="lungs", margin=0.0)
    seen = ImageCache.at(cropping, tmp_path / "cache", lungs).load(film)
    assert (seen[2:-2, 2:9] < 60).all()
    assert (seen[2:-2, 23:30] < 60).all()
    assert (seen[2:-2, 15:17] > 180).all()
    with pytest.raises(ValueError, match="where the lungs are"):
        ImageCache.at(cropping, tmp_path / "cache")


def test_other_lungs_are_other_images(lungs: LungCache, tmp_path: Path) -> None:
    cropping = Preprocessing(image_size=32, geometry="lungs")
    other = LungCache.at(write_segmenter(tmp_path / "other", darker_than=0.3), tmp_path / "cache")
    one, two = (ImageCache.at(cropping, tmp_path, cache) for cache in (lungs, other))
    assert one.folder != two.folder
    whole = Preprocessing(image_size=32)
    assert ImageCache.at(whole, tmp_path, lungs).folder == ImageCache.at(whole, tmp_path).folder
