"""Image files and a model package to findings, without torch.

>>> scanner = Scanner()                                    # doctest: +SKIP
>>> for finding in scanner.scan_many(["study.zip", "wards/"]):
...     print(finding.file, finding.decision, finding.probabilities)
"""

from lungsight.scanning.scan import scan
from lungsight.scanning.scanner import Scanner

__all__ = ["Scanner", "scan"]
