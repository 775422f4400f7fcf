from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.training.segmenter import write_segmenter

from lungsight.components.preprocessing import Preprocessing
from lungsight.datasets.manifest import Manifest
from lungsight.errors import UnreadableImageError
from lungsight.reading import read_radiograph
from lungsight.training.image_cache import ImageCache, LungCache

SMALL = Preprocessing(image_size=48)


def test_an_image_is_decoded_once(phantoms: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = phantoms.table["path"].iloc[0]
    cache = ImageCache.at(SMALL, tmp_path)
    first = cache.load(path)
    assert first.shape == (48, 48)
    assert first.dtype == np.uint8
    expected = SMALL.apply(read_radiograph(path).pixels) * 255
    assert np.abs(first - expected).max() <= 0.5 + 1e-4
    monkeypatch.setattr("lungsight.components.preprocessing.read_radiograph", lambda *_, **__: pytest.fail("again"))
    np.testing.assert_array_equal(cache.load(path), first)


def test_a_changed_file_is_another_image(tmp_path: Path) -> None:
    path = tmp_path / "image.png"
    cache = ImageCache.at(SMALL, tmp_path / "cache")
    for value in (40, 200):
        Image.new("L", (64, 64), value).save(path)
        os.utime(path, ns=(value, value))
        assert (cache.load(str(path)) == value).all()


def test_other_preprocessing_is_kept_apart(phantoms: Manifest, tmp_path: Path) -> None:
    path = phantoms.table["path"].iloc[0]
    stretched = Preprocessing(image_size=48, intensity="percentile")
    assert ImageCache.at(SMALL, tmp_path).folder != ImageCache.at(stretched, tmp_path).folder
    assert ImageCache.at(stretched, tmp_path).load(path).max() == 255


@pytest.mark.parametrize("workers", [1, 2])
def test_unreadable_images_are_reported_and_the_others_made(phantoms: Manifest, tmp_path: Path, workers: int) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"\x89PNG\r\n\x1a\n")
    paths = [*phantoms.table["path"].head(12), str(broken), str(tmp_path / "absent.png")]
    done: list[int] = []
    cache = ImageCache.at(SMALL, tmp_path / f"cache{workers}")
    problems = cache.prepare(paths, workers=workers, advance=done.append)
    assert sorted(Path(path).name for path in problems) == ["absent.png", "broken.png"]
    assert all(isinstance(problem, UnreadableImageError) for problem in problems.values())
    assert sum(done) == len(paths)
    assert len(list(cache.folder.rglob("*.npy"))) == 12
    assert not list(cache.folder.rglob("*.part"))


@pytest.fixture
def image(tmp_path: Path) -> str:
    """Bright, with two dark lungs in its upper half."""
    pixels = np.full((128, 128), 230, dtype=np.uint8)
    pixels[16:64, 16:48] = pixels[16:64, 80:112] = 20
    Image.fromarray(pixels).save(tmp_path / "image.png")
    return str(tmp_path / "image.png")


@pytest.fixture
def lungs(tmp_path: Path) -> LungCache:
    return LungCache.at(write_segmenter(tmp_path / "segmenter"), tmp_path / "cache")


def test_lungs_are_found_once(image: str, lungs: LungCache, monkeypatch: pytest.MonkeyPatch) -> None:
    found = lungs.load(image)
    assert found.box is not None
    assert (found.box.left, found.box.top, found.box.right, found.box.bottom) == pytest.approx(
        (1 / 8, 1 / 8, 7 / 8, 1 / 2), abs=0.02
    )
    monkeypatch.setattr(
        "lungsight.components.lung_segmentation.read_radiograph", lambda *_, **__: pytest.fail("sought again")
    )
    np.testing.assert_array_equal(lungs.load(image).mask, found.mask)


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


def test_an_image_whose_lungs_cant_be_found_is_reported(image: str, lungs: LungCache, tmp_path: Path) -> None:
    problems = lungs.prepare([image, str(tmp_path / "absent.png")])
    assert [Path(path).name for path in problems] == ["absent.png"]
    assert isinstance(next(iter(problems.values())), UnreadableImageError)


def test_the_network_sees_the_lungs_alone(image: str, lungs: LungCache, tmp_path: Path) -> None:
    cropping = Preprocessing(image_size=32, geometry="lungs", margin=0.0)
    seen = ImageCache.at(cropping, tmp_path / "cache", lungs).load(image)
    assert (seen[2:-2, 2:9] < 60).all()
    assert (seen[2:-2, 23:30] < 60).all()
    assert (seen[2:-2, 15:17] > 180).all()
    with pytest.raises(ValueError, match="where the lungs are"):
        ImageCache.at(cropping, tmp_path / "cache")


def test_another_lung_segmentation_makes_other_images(lungs: LungCache, tmp_path: Path) -> None:
    cropping = Preprocessing(image_size=32, geometry="lungs")
    other = LungCache.at(write_segmenter(tmp_path / "other", darker_than=0.3), tmp_path / "cache")
    one, two = (ImageCache.at(cropping, tmp_path, cache) for cache in (lungs, other))
    assert one.folder != two.folder
    whole = Preprocessing(image_size=32)
    assert ImageCache.at(whole, tmp_path, lungs).folder == ImageCache.at(whole, tmp_path).folder
