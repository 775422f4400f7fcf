"""How a package calibrates and decides, in sentences for the model card and for `lungsight package describe`."""

from __future__ import annotations

from lungsight.package.calibration import Calibration
from lungsight.package.description import Decision

_METHODS = {
    "temperature": "Temperature {0.temperature:.3f}",
    "platt": "Platt's logistic curve for each class",
    "isotonic": "Isotonic regression for each class",
}


def calibration_in_words(calibration: Calibration) -> str:
    """Method, what it was fitted on, and what the others scored."""
    if not calibration.fitted_on:
        return "Not calibrated."
    of_patients = f" of {calibration.patients:,} patients" if calibration.patients else ""
    said = _METHODS[calibration.method].format(calibration)
    said = f"{said}, fitted on {calibration.fitted_on:,} validation images{of_patients}."
    if calibration.log_loss:
        scores = ", ".join(f"{method} {loss:.4f}" for method, loss in calibration.log_loss.items())
        said += f" Cross-validated log loss: {scores}; the least is used."
    return said


def decision_in_words(decision: Decision, target: str) -> str:
    """From which probability on the target is called, below which it is ruled out, and what for."""
    if decision.low is None or decision.high is None:
        said = f"Below a probability of {decision.inconclusive_below:.2f} the verdict is *inconclusive*."
        return f"{decision.note} {said}".strip()
    basis = f"{decision.chosen_on:,} validation images of {decision.patients:,} patients"
    basis = f"chosen on {basis}, {decision.positives:,} images of {target}, for a sensitivity of at least"
    if decision.high == decision.low:
        said = f"{target} is called from a probability of {decision.low:.3f} on and ruled out below it, "
        return f"{said}{basis} {decision.aim_sensitivity:g}. {decision.note}".strip()
    return (
        f"{target} is ruled out below a probability of {decision.low:.3f} and called from {decision.high:.3f} on; "
        f"between them the verdict is *inconclusive*. The thresholds were {basis} {decision.aim_sensitivity:g} and a "
        f"specificity of at least {decision.aim_specificity:g}. {decision.note}"
    ).strip()
