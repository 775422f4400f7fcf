"""The table of images a model has seen, with and without perceptual hashes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lungsight.package.trained_on import TrainedImage, from_csv, to_csv

_HEX = st.text("0123456789abcdef", min_size=64, max_size=64)
_TEXT = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0\r"), min_size=1)
_IMAGES = st.builds(TrainedImage, _HEX, _HEX, _TEXT, st.sampled_from(["train", "validation"]), st.just("") | _HEX)


@given(st.lists(_IMAGES))
def test_what_is_written_is_read(images: list[TrainedImage]) -> None:
    assert from_csv(to_csv(images)) == tuple(images)


def test_packages_from_before_perceptual_hashes_stay_readable() -> None:
    (image,) = from_csv(b"sha256,patient,source,split\nab,cd,north,train\n")
    assert image == TrainedImage("ab", "cd", "north", "train", "")


@pytest.mark.parametrize("digits", ["0" * 63, "x" * 64, "A" * 64, "0" * 65])
def test_a_perceptual_hash_that_is_none_is_refused(digits: str) -> None:
    with pytest.raises(ValueError, match="line 2: perceptual_hash"):
        from_csv(to_csv([TrainedImage("ab", "cd", "north", "train", digits)]))
