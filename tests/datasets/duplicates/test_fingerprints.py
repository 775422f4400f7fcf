from __future__ import annotations

import os
from pathlib import Path

import imagehash
import numpy as np
import pytest
from PIL import Image

from lungsight.datasets.duplicates import fingerprints as module
from lungsight.datasets.duplicates.fingerprint import THUMBNAIL_SIDE, thumbnail_of, without_borders
from lungsight.datasets.duplicates.fingerprints import fingerprint_manifest
from lungsight.datasets.duplicates.windows import reduced, spectrum


def test_borders_of_any_grey_are_left_off(films):
    inside = films[0].astype(np.float32) / 255
    framed = np.pad(np.pad(inside, 20, constant_values=0.0), ((9, 4), (0, 7)), constant_values=1.0)
    assert without_borders(framed).shape == without_borders(inside).shape
    assert np.abs(thumbnail_of(framed).astype(int) - thumbnail_of(inside)).max() <= 1


def test_a_plain_image_has_a_thumbnail():
    assert thumbnail_of(np.full((40, 30), 0.3, dtype=np.float32)).shape == (THUMBNAIL_SIDE, THUMBNAIL_SIDE)


def test_hash_is_a_phash_in_real_numbers(films):
    thumbnails = np.stack([thumbnail_of(film.astype(np.float32) / 255) for film in films])
    for thumbnail, frequencies in zip(thumbnails, spectrum(reduced(thumbnails)), strict=True):
        low = frequencies[:8, :8]
        expected = imagehash.phash(Image.fromarray(thumbnail)).hash
        assert np.count_nonzero((low > np.median(low)) != expected) <= 4


def test_unreadable_files_are_faults_not_the_end(films, collection):
    manifest = collection(films[:3])
    Path(manifest.table["path"][1]).write_bytes(b"not an image")
    found = fingerprint_manifest(manifest, cache=Path(manifest.table["path"][0]).parent / "cache")
    assert list(found.problems) == [1]
    assert "001.png" in str(found.problems[1])
    assert found.files[0]
    assert found.files[1] == ""


def test_known_images_are_not_read_again_but_changed_ones_are(films, collection, tmp_path, monkeypatch):
    manifest = collection(films[:3])
    before = fingerprint_manifest(manifest, cache=tmp_path / "cache")
    read = []
    original = module.read_radiograph
    monkeypatch.setattr(module, "read_radiograph", lambda path: read.append(path) or original(path))
    again = fingerprint_manifest(manifest, cache=tmp_path / "cache")
    assert not read
    assert again.files == before.files
    assert np.array_equal(again.thumbnails, before.thumbnails)
    changed = manifest.table["path"][2]
    Image.fromarray(films[4]).save(changed)
    os.utime(changed, ns=(1, 1))
    assert fingerprint_manifest(manifest, cache=tmp_path / "cache").files[2] != before.files[2]
    assert read == [changed]


def test_progress_reaches_the_end(films, collection, tmp_path):
    seen = []
    fingerprint_manifest(collection(films[:3]), cache=tmp_path / "cache", progress=lambda *now: seen.append(now))
    assert seen[0] == (0, 3)
    assert seen[-1] == (3, 3)


@pytest.mark.parametrize("workers", [1, 2])
def test_several_processes_find_the_same(films, collection, tmp_path, workers, monkeypatch):
    monkeypatch.setattr(module, "_WORTH_PROCESSES", 1)
    manifest = collection(films[:5])
    found = fingerprint_manifest(manifest, cache=tmp_path / "cache", workers=workers)
    assert found.files == fingerprint_manifest(manifest, cache=tmp_path / "other", workers=1).files
