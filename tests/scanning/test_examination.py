from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pytest

from lungsight.package.gate import Admission
from lungsight.package.lung_fields import Lungs
from lungsight.radiograph import Radiograph
from lungsight.scanning.examination import Examiner

Make = Callable[..., Radiograph]
WHOLE = np.ones((8, 8), bool)


@dataclass
class Fields:
    """Stands in for the lung fields: every image has the lungs given; those it was shown are kept."""

    lungs: Lungs = field(default_factory=lambda: Lungs(WHOLE))
    shown: list[np.ndarray] = field(default_factory=list)

    def find(self, pixels: np.ndarray) -> Lungs:
        self.shown.append(pixels)
        return self.lungs


@dataclass
class Asked:
    """Stands in for the gate: says always the same; what it was asked about is kept."""

    admission: Admission
    about: list[tuple[np.ndarray, Lungs | None]] = field(default_factory=list)

    def ask(self, pixels: np.ndarray, lungs: Lungs | None) -> Admission:
        self.about.append((pixels, lungs))
        return self.admission


def says(refusals: tuple[str, ...] = (), warnings: tuple[str, ...] = (), inverted: bool = False) -> Asked:
    return Asked(Admission(refusals, warnings, 0.9, inverted))


def examiner(fields: object = None, gate: object = None) -> Examiner:
    return Examiner(fields, gate)  # type: ignore[arg-type]


def test_a_package_without_parts_finds_nothing_out(make_radiograph: Make) -> None:
    radiograph = make_radiograph()
    examined = examiner().admit(radiograph)
    assert examined.radiograph is radiograph
    assert (examined.lungs, examined.refusals, examined.warnings) == (None, (), ())


def test_what_the_header_refuses_no_network_is_asked_about(make_radiograph: Make) -> None:
    fields, gate = Fields(), says()
    examined = examiner(fields, gate).admit(make_radiograph(modality="CT"))
    assert "modality CT" in examined.refusals[0]
    assert not fields.shown
    assert not gate.about
    assert examiner(fields, gate).examine(make_radiograph(modality="CT")).lungs is fields.lungs


def test_the_gate_is_asked_about_the_lungs_that_were_found(make_radiograph: Make) -> None:
    fields, gate, radiograph = Fields(), says(("It is a hand.",)), make_radiograph()
    examined = examiner(fields, gate).admit(radiograph)
    assert examined.refusals == ("It is a hand.",)
    assert gate.about == [(radiograph.pixels, fields.lungs)]


def test_without_lung_fields_the_gate_is_asked_all_the_same(make_radiograph: Make) -> None:
    gate = says(warnings=("It is a child.",))
    examined = examiner(gate=gate).admit(make_radiograph())
    assert gate.about[0][1] is None
    assert examined.warnings == ("It is a child.",)


def test_an_inverted_image_is_put_right_and_its_lungs_are_sought_again(make_radiograph: Make) -> None:
    fields, radiograph = Fields(), make_radiograph()
    examined = examiner(fields, says(warnings=("Swapped.",), inverted=True)).admit(radiograph)
    np.testing.assert_allclose(examined.radiograph.pixels, 1 - radiograph.pixels)
    assert examined.radiograph.pixels.dtype == np.float32
    assert not examined.radiograph.pixels.flags.writeable
    assert fields.shown[0] is radiograph.pixels
    np.testing.assert_array_equal(fields.shown[1], examined.radiograph.pixels)
    assert examined.warnings == ("Swapped.",)
    assert examined.radiograph.sha256 == radiograph.sha256


@pytest.mark.parametrize("gate", [None, says(), says(warnings=("One lung.",))])
def test_implausible_lungs_are_a_warning_said_once(make_radiograph: Make, gate: Asked | None) -> None:
    fields = Fields(Lungs(WHOLE, ("One lung.",)))
    assert examiner(fields, gate).admit(make_radiograph()).warnings == ("One lung.",)
