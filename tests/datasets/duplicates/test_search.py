from __future__ import annotations

import io

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageDraw, ImageOps

from lungsight.datasets.duplicates import search
from lungsight.datasets.duplicates.fingerprints import fingerprint_manifest
from lungsight.datasets.duplicates.search import Kind, find_duplicates
from lungsight.datasets.manifest import Manifest


def _jpeg(image: Image.Image) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=60)
    return Image.open(io.BytesIO(buffer.getvalue()))


def _cropped(image: Image.Image, *shares: float) -> Image.Image:
    left, top, right, bottom = shares
    width, height = image.size
    return image.crop((int(left * width), int(top * height), int((1 - right) * width), int((1 - bottom) * height)))


def _lettered(image: Image.Image) -> Image.Image:
    ImageDraw.Draw(image).text((20, 20), "R  PORTABLE", fill=255, font_size=24)
    return image


COPIES = {
    "re-encoded": (_jpeg, Kind.REENCODED),
    "resized": (lambda image: image.resize((200, 200)), Kind.REENCODED),
    "darker": (lambda image: image.point(lambda grey: 255 * (grey / 255) ** 1.6), Kind.REENCODED),
    "framed": (lambda image: ImageOps.expand(image, 30, 255), Kind.REENCODED),
    "lettered": (_lettered, Kind.REENCODED),
    "mirrored": (lambda image: _jpeg(ImageOps.mirror(image)), Kind.MIRRORED),
    "cropped 10%": (lambda image: _jpeg(_cropped(image, 0.1, 0.1, 0.1, 0.1)), Kind.CROPPED),
    "cropped 20%": (lambda image: _jpeg(_cropped(image, 0.2, 0.2, 0.2, 0.2)), Kind.CROPPED),
    "cropped unevenly": (lambda image: _cropped(image, 0.22, 0.03, 0.07, 0.15), Kind.CROPPED),
    "mirrored, cropped": (lambda image: ImageOps.mirror(_cropped(image, 0.2, 0, 0, 0.1)), Kind.MIRRORED_CROPPED),
}


@pytest.mark.parametrize("change", COPIES)
def test_copy_is_found_and_nothing_else(change, films, collection, tmp_path):
    make, kind = COPIES[change]
    copy = np.asarray(make(Image.fromarray(films[3])).convert("L"))
    found = find_duplicates(fingerprint_manifest(collection([*films[:14], copy]), cache=tmp_path / "cache"))
    assert [(pair.first, pair.second, pair.kind) for pair in found] == [(3, 14, kind)]
    assert found[0].similarity > 0.75


@pytest.mark.shared
def test_serial_films_of_a_patient_are_not_one(shared_data, tmp_path):
    """Three days of one patient, in the collection's own names."""
    folder = shared_data / "ieee8023" / "images"
    films = sorted(folder.glob("auntminnie-[abcd]-2020_01_28_23_51_6665_2020_01_28_Vietnam_coronavirus.*"))
    assert len(films) >= 3
    manifest = Manifest.of(pd.DataFrame({"path": [str(film) for film in films], "label": "covid19"}), "serial")
    assert find_duplicates(fingerprint_manifest(manifest, cache=tmp_path / "cache")) == []


def test_identical_files_and_pixels(films, collection, tmp_path):
    manifest = collection([films[0], films[1], films[0], films[1]])
    Image.fromarray(films[1]).save(manifest.table["path"][3], compress_level=1)
    pairs = find_duplicates(fingerprint_manifest(manifest, cache=tmp_path / "cache"))
    assert [(p.first, p.second, p.kind, p.similarity) for p in pairs] == [
        (0, 2, Kind.IDENTICAL_FILE, 1.0),
        (1, 3, Kind.IDENTICAL_PIXELS, 1.0),
    ]


def test_plain_images_are_not_copies_of_each_other(collection, tmp_path):
    plain = [np.full((60, 50 + grey), grey, dtype=np.uint8) for grey in (0, 90, 255)]
    assert find_duplicates(fingerprint_manifest(collection(plain), cache=tmp_path / "cache")) == []


@pytest.mark.parametrize("images", [0, 1, 2])
def test_few_readable_images(images, films, collection, tmp_path):
    manifest = collection(films[:3])
    for path in manifest.table["path"][images:]:
        open(path, "wb").close()
    found = fingerprint_manifest(manifest, cache=tmp_path / "cache")
    assert len(found.problems) == 3 - images
    assert find_duplicates(found) == []


def test_two_phantoms_must_be_more_alike(films, collection, tmp_path, monkeypatch):
    copy = np.asarray(_jpeg(Image.fromarray(films[1])))
    found = fingerprint_manifest(collection([*films[:3], copy]), cache=tmp_path / "cache")
    monkeypatch.setattr(search, "SIMILAR_PHANTOMS", 1.01)
    assert not find_duplicates(found, simulated=[True] * 4)
    assert len(find_duplicates(found, simulated=[True, True, True, False])) == 1  # a real image among them
    monkeypatch.setattr(search, "SIMILAR_PHANTOMS", 0.9)
    assert len(find_duplicates(found, simulated=[True] * 4)) == 1
