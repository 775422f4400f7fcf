"""Radiographs and a model package to findings, without torch.

>>> detector = Detector.load("detector.zip")               # doctest: +SKIP
>>> for finding in scan(["study.zip", "wards/"], detector):
...     print(finding.file, finding.verdict, finding.probabilities)
"""

from lungsight.scanning.admission import refusals
from lungsight.scanning.detector import Detector, Prediction
from lungsight.scanning.examination import Examined
from lungsight.scanning.finding import INCONCLUSIVE, REFUSED, Finding, Status
from lungsight.scanning.scan import scan

__all__ = ["INCONCLUSIVE", "REFUSED", "Detector", "Examined", "Finding", "Prediction", "Status", "refusals", "scan"]
