"""What a run knows of one item of a checklist."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from lungsight.evaluation.evidence import Evidence


@dataclass(frozen=True)
class ItemAnswer:
    """What the run says to an item.

    Attributes:
        text: the answer, with its values.
        source: the file and the part of it that the answer comes from.
        rest: what the item asks besides and only the authors know; empty where the answer is whole.
    """

    text: str
    source: str
    rest: str = ""


#: Reads an answer off the evidence; None where the run knows nothing of it.
Answering = Callable[[Evidence], ItemAnswer | None]
