"""Findings in order of urgency, by a stated rule, each rank explained in words.

>>> rule = load_rule()                                     # doctest: +SKIP
>>> for place in worklist(read_cases("findings.jsonl"), rule, now=datetime.now(UTC)):
...     print(place.rank, place.case.file, place.why)
"""

from lungsight.triage.cases import Case, read_cases
from lungsight.triage.rule import Rule, load_rule
from lungsight.triage.worklist import WorklistEntry, worklist

__all__ = ["Case", "Rule", "WorklistEntry", "load_rule", "read_cases", "worklist"]
