"""Radiographs and a model package to findings, without torch.

>>> scanner = Scanner()                                    # doctest: +SKIP
>>> for finding in scanner.scan_many(["study.zip", "wards/"]):
...     print(finding.file, finding.verdict, finding.probabilities)
"""

from lungsight.inference.detector import Detector, Prediction
from lungsight.inference.finding import INCONCLUSIVE, REFUSED, Finding, Status
from lungsight.inference.input_checks import refusals
from lungsight.inference.preparation import Examined
from lungsight.scanning.scan import scan
from lungsight.scanning.scanner import Scanner

__all__ = [
    "INCONCLUSIVE",
    "REFUSED",
    "Detector",
    "Examined",
    "Finding",
    "Prediction",
    "Scanner",
    "Status",
    "refusals",
    "scan",
]
