from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lungsight.components.preprocessing import Preprocessing
from lungsight.datasets.manifest import Manifest
from lungsight.errors import UnreadableImageError
from lungsight.reading import read_radiograph
from lungsight.training.image_cache import ImageCache

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
    path = tmp_path / "film.png"
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
