"""From a radiograph and a package to a finding; knows packages, not files or pages."""

from lungsight.inference.detector import Answer, Detector, Prediction
from lungsight.inference.finding import INCONCLUSIVE, REFUSED, Finding, Status
from lungsight.inference.input_checks import refusals
from lungsight.inference.preparation import CheckedImage

__all__ = [
    "INCONCLUSIVE",
    "REFUSED",
    "Answer",
    "CheckedImage",
    "Detector",
    "Finding",
    "Prediction",
    "Status",
    "refusals",
]
