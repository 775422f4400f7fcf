from collections.abc import Callable

import numpy as np
import pytest

from lungsight.components.preprocessing import Region
from lungsight.inference import INCONCLUSIVE
from lungsight.inference.warnings import image_warnings, location_warning, model_warnings
from lungsight.package import Calibration, TrainingSource
from lungsight.package.stated_grade import FOUND, NOT_FOUND, NOT_LOOKED_FOR, StatedGrade
from lungsight.radiograph import Radiograph
from tiny_package import describe

HOLDS = StatedGrade("holds at several other sources", "It held.", "2026-11-23", NOT_FOUND)
Make = Callable[..., Radiograph]


def source(name: str, **labels: int) -> TrainingSource:
    return TrainingSource(name=name, images=sum(labels.values()), patients=10, labels=labels)


MANY = {"covid19": 200, "other_pneumonia": 200, "no_pneumonia": 200}


@pytest.mark.parametrize(
    ("known", "caution"),
    [
        ({"view": None}, "doesn't say its view"),
        ({"age": 4.0}, "a child (4 years)"),
        ({"burned_in_annotation": True}, "writing in the image"),
        ({"modality": "SC"}, "secondary capture (SC)"),
        ({"pixels": np.ones((100, 400), np.float32)}, "400 x 100 pixels, less than half"),
    ],
)
def test_what_weakens_a_finding_is_said(make_radiograph: Make, known: dict[str, object], caution: str) -> None:
    plain = {"pixels": np.ones((300, 300), np.float32)}
    (said,) = image_warnings(make_radiograph(**(plain | known)), 256)
    assert caution in said


def test_a_small_part_of_a_large_image_is_too_small(make_radiograph: Make) -> None:
    radiograph = make_radiograph(pixels=np.ones((900, 900), np.float32))
    (said,) = image_warnings(radiograph, 256, Region(100, 100, 220, 500))
    assert said.startswith("The part of the image with the lungs has 120 x 400 pixels")
    assert image_warnings(radiograph, 256, Region(100, 100, 500, 500)) == ()


@pytest.mark.parametrize(
    ("decision", "inside", "said"),
    [
        ("covid19", 0.49, True),
        (INCONCLUSIVE, 0.0, True),
        ("covid19", 0.5, False),
        ("no_pneumonia", 0.1, False),
        ("covid19", None, False),
    ],
)
def test_evidence_beside_the_lungs_is_a_caution_where_it_counts(
    decision: str, inside: float | None, said: bool
) -> None:
    assert (location_warning("covid19", decision, inside) is not None) == said


def test_an_adults_large_frontal_image_has_no_caution(make_radiograph: Make) -> None:
    radiograph = make_radiograph(age=16.0, burned_in_annotation=False, modality="DX")
    assert image_warnings(radiograph, 128) == ()


@pytest.mark.parametrize(
    ("sources", "caution"),
    [
        ((source("a", covid19=20, other_pneumonia=200), source("b", no_pneumonia=200)), "few images: 20 of COVID-19"),
        ((source("a", **MANY),), "one source only (a)"),
        ((source("a", covid19=200), source("b", other_pneumonia=200, no_pneumonia=200)), "tell sources apart"),
    ],
)
def test_what_a_model_has_not_seen_is_said(sources: tuple[TrainingSource, ...], caution: str) -> None:
    (said,) = model_warnings(describe(sources=sources), HOLDS)
    assert caution in said


def test_a_model_of_many_mixed_sources_that_holds_elsewhere_has_no_caution() -> None:
    assert model_warnings(describe(sources=(source("a", **MANY), source("b", **MANY))), HOLDS) == ()


def test_what_the_evidence_says_comes_first() -> None:
    stated = describe(sources=(source("a", **MANY),))
    failing = StatedGrade("fails elsewhere", "It fails at two sites.", "2026-11-23", FOUND)
    shortcut, performance, *_ = model_warnings(stated, failing)
    assert "found a shortcut" in shortcut
    assert performance.startswith("The test of this model (2026-11-23) ended in the grade “fails elsewhere”.")
    assert performance.endswith("It fails at two sites.")
    first, *_ = model_warnings(stated, HOLDS._replace(shortcut=FOUND))
    assert "found a shortcut" in first
    first, *_ = model_warnings(stated, HOLDS._replace(shortcut=NOT_LOOKED_FOR))
    assert "didn't look for shortcuts" in first
    first, *_ = model_warnings(stated, None)
    assert "No evidence report is in the package" in first


def test_a_model_that_was_not_calibrated_says_so() -> None:
    stated = describe(sources=(source("a", **MANY), source("b", **MANY)), calibration=Calibration())
    assert model_warnings(stated, HOLDS) == ("The model's probabilities were not calibrated.",)
