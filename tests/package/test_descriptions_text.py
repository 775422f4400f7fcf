import pytest

from lungsight.package import Calibration, Decision
from lungsight.package.descriptions_text import calibration_in_words, decision_in_words


def test_the_method_is_named_with_what_the_others_scored() -> None:
    losses = {"temperature": 0.41234, "platt": 0.4, "isotonic": 0.45}
    platt = Calibration(method="platt", fitted_on=1200, patients=900, log_loss=losses)
    assert calibration_in_words(platt) == (
        "Platt's logistic curve for each class, fitted on 1,200 validation images of 900 patients. Cross-validated "
        "log loss: temperature 0.4123, platt 0.4000, isotonic 0.4500; the least is used."
    )
    simpler = platt.model_copy(update={"method": "temperature"})
    assert "isotonic 0.4500; the simplest within one standard error of the least is used." in calibration_in_words(
        simpler
    )
    assert calibration_in_words(Calibration()) == "Not calibrated."


def test_the_thresholds_are_told_with_their_aims() -> None:
    aims = {"aim_sensitivity": 0.95, "aim_specificity": 0.9, "chosen_on": 300, "patients": 250, "positives": 80}
    band = decision_in_words(Decision(low=0.1, high=0.6, **aims), "covid19")  # type: ignore[arg-type]
    assert band == (
        "From a probability of 0.600 on the decision is *covid19*, below 0.100 *no sign of covid19*, between them "
        "*inconclusive*. The thresholds were chosen on 300 validation images of 250 patients, 80 images of covid19, "
        "for a sensitivity of at least 0.95 and a specificity of at least 0.9."
    )
    one = decision_in_words(Decision(low=0.4, high=0.4, note="No band.", **aims), "covid19")  # type: ignore[arg-type]
    assert one.startswith("From a probability of 0.400 on the decision is *covid19*, below it *no sign of covid19*.")
    assert one.endswith("for a sensitivity of at least 0.95. No band.")
    none = Decision(inconclusive_below=0.6, note="No threshold: 3 validation patients are too few.")
    assert decision_in_words(none, "covid19") == (
        "No threshold: 3 validation patients are too few. Below a probability of 0.60 the decision is *inconclusive*."
    )


@pytest.mark.parametrize("low", [0.2, 0.6])
def test_thresholds_without_aims_are_told_without_them(low: float) -> None:
    said = decision_in_words(Decision(low=low, high=0.6), "covid19")
    assert "None" not in said
    assert "at least" not in said
    assert "0.600 on" in said
