"""From a radiograph and a package to a finding; knows packages, not files or pages."""

from lungsight.inference.detector import Detector, Prediction
from lungsight.inference.finding import INCONCLUSIVE, NO_SIGN, REFUSED, Finding, Status
from lungsight.inference.input_checks import refusals
from lungsight.inference.model import Answer, Model
from lungsight.inference.preparation import CheckedImage, ImageChecker

__all__ = [
    "INCONCLUSIVE",
    "NO_SIGN",
    "REFUSED",
    "Answer",
    "CheckedImage",
    "Detector",
    "Finding",
    "ImageChecker",
    "Model",
    "Prediction",
    "Status",
    "refusals",
]
