"""Order findings by urgency, by a stated rule, with the reasons for each rank.

>>> rule = load_rule()                                     # doctest: +SKIP
>>> for entry in worklist(read_cases("findings.jsonl"), rule, now=datetime.now(UTC)):
...     print(entry.rank, entry.case.file, entry.why)
"""

from lungsight.triage.cases import Case, read_cases
from lungsight.triage.rule import Rule, load_rule
from lungsight.triage.worklist import WorklistEntry, worklist

__all__ = ["Case", "Rule", "WorklistEntry", "load_rule", "read_cases", "worklist"]
