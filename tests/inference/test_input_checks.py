from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lungsight.datasets.phantom import Label, draw
from lungsight.inference import refusals
from lungsight.radiograph import Radiograph, View
from lungsight.reading import read_radiograph

Make = Callable[..., Radiograph]


@pytest.mark.parametrize("modality", ["CR", "DX", "RG", "OT", "SC", None])
@pytest.mark.parametrize("body_part", ["CHEST", "THORAX", "PORT CHEST", "PECHO", "T?RAX", "ROUTINE", None])
@pytest.mark.parametrize("view", [View.PA, View.AP, View.AP_SUPINE, View.FRONTAL, None])
def test_frontal_chest_radiographs_are_admitted(
    make_radiograph: Make, modality: str | None, body_part: str | None, view: View | None
) -> None:
    assert refusals(make_radiograph(modality=modality, body_part=body_part, view=view)) == ()


@pytest.mark.parametrize(
    ("known", "reason"),
    [
        ({"modality": "CT"}, "modality CT"),
        ({"modality": "MR"}, "modality MR"),
        ({"modality": "MG"}, "modality MG"),
        ({"body_part": "RIBCAGE"}, "body part RIBCAGE"),
        ({"body_part": "HAND"}, "body part HAND"),
        ({"body_part": "RODILLA"}, "body part RODILLA"),
        ({"body_part": "THORACIC SPINE"}, "body part THORACIC SPINE"),
        ({"view": View.OTHER, "view_stated": "LAO 30"}, "view 'LAO 30'"),
        ({"view": View.LATERAL}, "view lateral"),
        ({"view": View.OTHER}, "view other"),
        ({"pixels": np.full((200, 200), 0.5, np.float32)}, "blank"),
        ({"pixels": np.zeros((200, 200), np.float32)}, "blank"),
        ({"pixels": (np.arange(40000).reshape(200, 200) % 2).astype(np.float32)}, "saturated"),
        ({"pixels": np.linspace(0, 1, 63 * 500, dtype=np.float32).reshape(63, 500)}, "500 x 63"),
    ],
)
def test_all_else_is_refused_with_one_reason(make_radiograph: Make, known: dict[str, object], reason: str) -> None:
    (said,) = refusals(make_radiograph(**known))
    assert reason in said
    assert said.endswith(".")


def test_every_reason_is_given(make_radiograph: Make) -> None:
    pixels = np.zeros((100, 100), np.float32)
    assert len(refusals(make_radiograph(modality="US", body_part="ABDOMEN", view=View.OTHER, pixels=pixels))) == 4


@pytest.mark.parametrize("label", Label)
def test_phantoms_are_admitted(make_radiograph: Make, label: Label) -> None:
    assert refusals(make_radiograph(pixels=draw(3, label, size=128).pixels)) == ()


def test_a_radiograph_with_wide_black_borders_is_admitted(make_radiograph: Make) -> None:
    pixels = np.pad(make_radiograph().pixels, ((0, 0), (80, 80)))
    assert refusals(make_radiograph(pixels=pixels)) == ()


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("nih_1", None),
        ("fuji_cr_mono1_10bit", None),
        ("nih_4", "body part RIBCAGE"),
        ("nih_5", "modality CT"),
    ],
)
def test_real_dicom_files(shared_data: Path, name: str, reason: str | None) -> None:
    said = refusals(read_radiograph(shared_data / "dicom" / f"{name}.dcm"))
    assert [reason in sentence for sentence in said if reason] == ([True] if reason else [])
    assert bool(said) == bool(reason)


@pytest.mark.shared
@pytest.mark.parametrize("collection", ["nih", "kermany", "siim", "shenzhen-montgomery/CXR_png"])
def test_real_radiographs_are_admitted(shared_data: Path, collection: str) -> None:
    files = sorted((shared_data / collection).rglob("*.[jp]*g"))[::40]
    refused = {file.name: said for file in files if (said := refusals(read_radiograph(file)))}
    assert len(files) > 10
    assert refused == {}
