"""An image may be stored in eight ways, and with pixels that aren't square: it reads the same."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lungsight.datasets.phantom import Label, draw
from lungsight.errors import UnreadableImageError
from lungsight.radiograph import Radiograph
from lungsight.reading import read_radiograph

DicomWriter = Callable[..., Path]
ROWS, COLUMNS = np.mgrid[0:48, 0:64]
IMAGE = (ROWS * 64 + COLUMNS).astype(np.uint16)  # every value another
OPPOSITE = {"L": "R", "F": "H"}


def stored(mirrored: bool, upended: bool, across: bool) -> tuple[np.ndarray, str]:
    """The image as it may be stored, and the PatientOrientation that says so."""
    pixels, row, column = IMAGE, "L", "F"
    if mirrored:
        pixels, row = pixels[:, ::-1], "R"
    if upended:
        pixels, column = pixels[::-1], "H"
    return (pixels.T, rf"{column}\{row}") if across else (pixels, rf"{row}\{column}")


@pytest.fixture
def read(write_dicom: DicomWriter) -> Callable[..., Radiograph]:
    def read(pixels: np.ndarray, **elements: Any) -> Radiograph:
        return read_radiograph(write_dicom(np.ascontiguousarray(pixels), bits=12, **elements))

    return read


def orientation_warnings(radiograph: Radiograph) -> str:
    return " ".join(warning for warning in radiograph.warnings if "Orientation" in warning)


@pytest.mark.parametrize(("mirrored", "upended", "across"), list(product((False, True), repeat=3)))
@pytest.mark.parametrize("view", ["PA", "AP", None])
def test_each_of_the_eight_arrangements_reads_as_the_same_image(
    read: Callable[..., Radiograph], mirrored: bool, upended: bool, across: bool, view: str | None
) -> None:
    upright = read(IMAGE, ViewPosition=view, PatientOrientation=["L", "F"], PixelSpacing=[0.2, 0.201])
    pixels, orientation = stored(mirrored, upended, across)
    spacing = [0.201, 0.2] if across else [0.2, 0.201]
    image = read(pixels, ViewPosition=view, PatientOrientation=orientation, PixelSpacing=spacing)
    np.testing.assert_array_equal(image.pixels, upright.pixels)
    assert image.pixel_spacing == upright.pixel_spacing == (0.2, 0.201)
    assert (image.height, image.width) == (48, 64)
    again = Radiograph(np.ascontiguousarray(pixels).astype(np.float32), "a", "0")
    again = again.placed(mirrored=image.mirrored, turned=image.turned)
    np.testing.assert_array_equal(again.pixels, IMAGE)  # so what is stated was done, and can be undone
    said = orientation_warnings(image)
    assert upright.warnings == ()
    assert bool(said) is (mirrored or upended or across)
    assert ("mirrored" in said) is ((mirrored + upended + across) % 2 == 1)
    assert not said or f"'{orientation}'" in said


@pytest.mark.filterwarnings("ignore")  # lower case is against the standard
@pytest.mark.parametrize("orientation", ["LH\\FR", "l\\f", " L \\F "])
def test_directions_may_be_refined(read: Callable[..., Radiograph], orientation: str) -> None:
    assert read(IMAGE, PatientOrientation=orientation).warnings == ()


@pytest.mark.filterwarnings("ignore")  # written defective on purpose
@pytest.mark.parametrize(
    "orientation", [r"A\F", r"P\F", r"L\R", r"LE\CD", r"RT\D", "L", r"L\F\A", r"\F", "X\\Y", r"L\P"]
)
@pytest.mark.parametrize("view", ["PA", None])
def test_nonsense_is_left_out_with_a_warning(
    read: Callable[..., Radiograph], orientation: str, view: str | None
) -> None:
    image = read(IMAGE, PatientOrientation=orientation, ViewPosition=view)
    np.testing.assert_array_equal(image.pixels, read(IMAGE).pixels)
    assert f"'{orientation}' is not that of a frontal image" in orientation_warnings(image)
    assert ("the view PA is believed instead" in orientation_warnings(image)) is (view is not None)


def test_a_lateral_image_stays_as_it_is(read: Callable[..., Radiograph]) -> None:
    image = read(IMAGE, PatientOrientation=r"P\F", ViewPosition="LATERAL")
    np.testing.assert_array_equal(image.pixels, read(IMAGE).pixels)
    assert not orientation_warnings(image)


def test_of_two_statements_the_orientation_is_believed(read: Callable[..., Radiograph]) -> None:
    flipped = {"FieldOfViewHorizontalFlip": "YES", "FieldOfViewRotation": "180"}
    image = read(IMAGE[:, ::-1], PatientOrientation=r"R\F", **flipped)
    np.testing.assert_array_equal(image.pixels, read(IMAGE).pixels)
    assert "FieldOfViewHorizontalFlip says that it had been mirrored: PatientOrientation is believed" in " ".join(
        image.warnings
    )
    turned = " ".join(read(IMAGE[::-1, ::-1], PatientOrientation=r"R\H", **flipped).warnings)
    assert "FieldOfViewRotation says that it had been turned by 180 degrees" in turned
    assert "HorizontalFlip" not in turned
    assert read(IMAGE, PatientOrientation=r"L\F", **flipped).warnings == ()


@pytest.mark.parametrize(("high", "wide"), [(1, 2), (2, 1), (1, 1.5), (3, 2), (1, 1.02), (1, 3.5)])
@pytest.mark.parametrize(
    "keyword", ["PixelAspectRatio", "PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing"]
)
def test_pixels_that_are_not_square_are_stretched(
    read: Callable[..., Radiograph], high: float, wide: float, keyword: str
) -> None:
    """``high`` and ``wide``: the pixel's sides."""
    image = draw(4, Label.NO_PNEUMONIA, size=256).pixels
    height, width = round(256 * min(wide / high, 1)), round(256 * min(high / wide, 1))
    squeezed = np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BOX))
    stated = [round(100 * high), round(100 * wide)] if keyword == "PixelAspectRatio" else [high / 10, wide / 10]
    known = read((squeezed * 4095).astype(np.uint16), **{keyword: stated})
    assert abs(known.height - 256) <= 2
    assert abs(known.width - 256) <= 2
    assert "the image was stretched" in known.warnings[-1]
    back = np.asarray(Image.fromarray(known.pixels).resize((256, 256)))
    assert np.corrcoef(back.ravel(), image.ravel())[0, 1] > 0.99
    assert 0 <= known.pixels.min() <= known.pixels.max() <= 1
    if keyword != "PixelAspectRatio":
        assert known.pixel_spacing == pytest.approx((min(high, wide) / 10,) * 2)


@pytest.mark.parametrize(
    ("elements", "warning"),
    [
        ({"PixelAspectRatio": ["1", "1"]}, None),
        ({"PixelSpacing": [0.1435, 0.1436]}, None),
        (
            {"PixelSpacing": [0.1, 0.1], "PixelAspectRatio": ["1", "2"]},
            r"'1\2' is not the ratio of the pixel spacing",
        ),
        ({"PixelSpacing": [0.1, 5]}, "which can't be: they are taken as square"),
        ({"PixelAspectRatio": ["0", "1"]}, "PixelAspectRatio is not two positive numbers"),
    ],
)
def test_pixels_that_stay_as_they_are(
    read: Callable[..., Radiograph], elements: dict[str, Any], warning: str | None
) -> None:
    known = read(IMAGE, **elements)
    assert (known.height, known.width) == IMAGE.shape
    assert len(known.warnings) == (warning is not None)
    assert warning is None or warning in known.warnings[0]


def test_stretched_images_have_a_limit(read: Callable[..., Radiograph], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lungsight.reading.limits.MAX_PIXELS", 5000)
    with pytest.raises(UnreadableImageError, match="64 × 96 pixels are more than any radiograph has"):
        read(IMAGE, PixelSpacing=[0.2, 0.1])


def test_first_stretched_and_then_turned(read: Callable[..., Radiograph]) -> None:
    known = read(IMAGE, PixelAspectRatio=["2", "1"], PatientOrientation=r"F\R")
    assert (known.height, known.width) == (64, 96)
    assert known.turned == 90
