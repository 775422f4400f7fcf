from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pytest

from lungsight.components.input_gate import GateResult
from lungsight.components.lungs import Lungs
from lungsight.components.view import ViewGuess
from lungsight.inference.preparation import NO_LUNGS, ImageChecker
from lungsight.radiograph import Radiograph, View

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

    admission: GateResult
    about: list[np.ndarray] = field(default_factory=list)

    def ask(self, pixels: np.ndarray) -> GateResult:
        self.about.append(pixels)
        return self.admission


def says(
    refusals: tuple[str, ...] = (), warnings: tuple[str, ...] = (), inverted: bool = False, turn: int = 0
) -> Asked:
    return Asked(GateResult(refusals, warnings, 0.9, inverted, turn))


def examiner(fields: object = None, gate: object = None) -> ImageChecker:
    return ImageChecker(fields, gate)  # type: ignore[arg-type]


def test_a_package_without_parts_finds_nothing_out(make_radiograph: Make) -> None:
    radiograph = make_radiograph()
    checked = examiner().check_input(radiograph)
    assert checked.radiograph is radiograph
    assert (checked.lungs, checked.refusals, checked.warnings) == (None, (), ())


def test_what_the_header_refuses_no_network_is_asked_about(make_radiograph: Make) -> None:
    fields, gate = Fields(), says()
    checked = examiner(fields, gate).check_input(make_radiograph(modality="CT"))
    assert "modality CT" in checked.refusals[0]
    assert checked.refused_by == "header"
    blank = make_radiograph(pixels=np.zeros((90, 90), np.float32))
    assert examiner(fields, gate).check_input(blank).refused_by == "pixels"
    assert not fields.shown
    assert not gate.about
    assert examiner(fields, gate).check_with_networks(make_radiograph(modality="CT")).lungs is fields.lungs


def test_what_the_gate_refuses_is_refused_in_its_words_alone(make_radiograph: Make) -> None:
    fields, gate, radiograph = Fields(Lungs(WHOLE, ("One lung.",))), says(("It is a hand.",)), make_radiograph()
    checked = examiner(fields, gate).check_input(radiograph)
    assert checked.refusals == ("It is a hand.",)
    assert checked.refused_by == "gate"
    assert gate.about == [radiograph.pixels]


def test_without_lung_fields_the_gate_is_asked_all_the_same(make_radiograph: Make) -> None:
    gate = says(warnings=("It is a child.",))
    checked = examiner(gate=gate).check_input(make_radiograph())
    assert checked.warnings == ("It is a child.",)
    assert checked.lungs is None


def test_an_inverted_image_is_put_right_and_its_lungs_are_sought_there(make_radiograph: Make) -> None:
    fields, radiograph = Fields(), make_radiograph()
    checked = examiner(fields, says(warnings=("Swapped.",), inverted=True)).check_input(radiograph)
    np.testing.assert_allclose(checked.radiograph.pixels, 1 - radiograph.pixels)
    assert checked.radiograph.pixels.dtype == np.float32
    assert not checked.radiograph.pixels.flags.writeable
    np.testing.assert_array_equal(fields.shown[0], checked.radiograph.pixels)
    assert checked.warnings == ("Swapped.",)
    assert checked.radiograph.sha256 == radiograph.sha256


@pytest.mark.parametrize("quarters", [1, 2, 3])
@pytest.mark.parametrize("inverted", [False, True])
def test_a_turned_image_is_turned_upright_and_its_lungs_are_sought_there(
    make_radiograph: Make, quarters: int, inverted: bool
) -> None:
    fields, radiograph = Fields(), make_radiograph(file_shape=(900, 1200))
    says_so = says(warnings=("It lay turned.",), turn=90 * quarters, inverted=inverted)
    checked = examiner(fields, says_so).check_input(radiograph)
    upright = np.rot90(1 - radiograph.pixels if inverted else radiograph.pixels, -quarters)
    np.testing.assert_array_equal(checked.radiograph.pixels, upright)
    np.testing.assert_array_equal(fields.shown[0], upright)
    assert checked.lungs is fields.lungs
    assert (checked.radiograph.turned, checked.inverted) == (90 * quarters, inverted)
    assert (checked.radiograph.height, checked.radiograph.width) == ((900, 1200) if quarters == 2 else (1200, 900))
    assert checked.warnings == ("It lay turned.",)


@pytest.mark.parametrize("gate", [None, says(), says(warnings=("A child.",)), says(inverted=True), says(turn=90)])
def test_an_image_without_two_plausible_lungs_is_refused_and_told_why(
    make_radiograph: Make, gate: Asked | None
) -> None:
    fields = Fields(Lungs(WHOLE, ("One lung lies above the other.", "A lung is too flat.")))
    checked = examiner(fields, gate).check_input(make_radiograph())
    assert checked.refusals == (NO_LUNGS, "One lung lies above the other.", "A lung is too flat.")
    assert checked.warnings == ()


@dataclass
class Sees(Asked):
    """A gate with a view classifier."""

    view: ViewGuess | None = None

    def guess_view(self, pixels: np.ndarray) -> ViewGuess | None:
        self.about.append(pixels)
        return self.view


def test_another_package_is_asked_for_the_view_that_the_gate_doesn_t_give(make_radiograph: Make) -> None:
    own, other = ViewGuess(0.1, View.PA), ViewGuess(0.9, View.AP)
    views_by = Sees(GateResult((), (), 0.9, False), view=other)

    def seen(**admission: object) -> ViewGuess | None:
        stated: dict[str, object] = {"refusals": (), "warnings": (), "probability": 0.9, "inverted": False}
        gate = Asked(GateResult(**stated | admission))  # type: ignore[arg-type]
        checker = ImageChecker(None, gate, views_by)  # type: ignore[arg-type]
        return checker.check_with_networks(make_radiograph()).view

    assert seen(view=own) is own
    assert not views_by.about
    assert seen(refusals=("A hand.",)) is None
    assert not views_by.about
    assert seen(inverted=True) is other
    np.testing.assert_array_equal(views_by.about[0], 1 - make_radiograph().pixels)
    assert ImageChecker(None, None, views_by).check_with_networks(make_radiograph()).view is other  # type: ignore[arg-type]
    assert says().ask(np.zeros((2, 2))).view is None
