"""The images that the decision rule got most wrong, to be looked at: the missed ones and the false alarms."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from lungsight.components.decision import INCONCLUSIVE
from lungsight.components.decision import REFUSED as REFUSED_DECISION
from lungsight.errors import UnreadableImageError
from lungsight.evaluation.testset.testset import DECISION, KIND, TestSet
from lungsight.inference import Model
from lungsight.inference.finding import Finding, Status
from lungsight.reading import read_radiograph
from lungsight.statistics.outcomes import PREDICTION, TRUTH, Mask

#: As many of each sort are shown.
AT_MOST = 3


@dataclass(frozen=True, eq=False)
class Failure:
    """One image.

    Attributes:
        finding: as scanning gives it, with its pixels; without a model the pixels are all there is.
        kind: how the model stands to its source.
        source: where it is from.
        truth: its class.
        score: probability of the target.
    """

    finding: Finding
    kind: str
    source: str
    truth: str
    score: float


@dataclass(frozen=True, eq=False)
class Failures:
    """The worst failures of one sort, one image a patient, the worst first.

    Attributes:
        shown: those whose files could be read.
        total: how many images of this sort there are.
        of: of how many images of these classes.
        unreadable: files that can't be read any more, among those that would have been shown.
    """

    shown: tuple[Failure, ...] = ()
    total: int = 0
    of: int = 0
    unreadable: tuple[str, ...] = ()


def failures(testset: TestSet, model: Model | None, at_most: int = AT_MOST) -> tuple[Failures, Failures]:
    """What was missed, lowest probability of the target first, and the false alarms, highest first.

    An image is missed if it is of the target class and the decision of scanning is no sign of it, or another class;
    neither an inconclusive nor a refused image is. Without a model the most probable class stands for the decision.
    """
    images = testset.scored
    decision = images.table[DECISION if DECISION in images.table else PREDICTION].to_numpy(dtype=str)
    positive, called = images.positive, decision == images.target
    other = ~called & ~np.isin(decision, (INCONCLUSIVE, REFUSED_DECISION))
    missed = _worst(images, positive & other, images.score, model, at_most)
    alarms = _worst(images, ~positive & called, -images.score, model, at_most)
    return replace(missed, of=int(positive.sum())), replace(alarms, of=int((~positive).sum()))


def _worst(images: TestSet, failed: Mask, order: np.ndarray, model: Model | None, at_most: int) -> Failures:
    shown: list[Failure] = []
    unreadable: list[str] = []
    for row in _one_a_patient(images, failed, order):
        if len(shown) + len(unreadable) == at_most:
            break
        stated = images.table.iloc[row]
        try:
            finding = _seen(str(stated["path"]), model)
        except UnreadableImageError as error:
            unreadable.append(str(error))
            continue
        score = float(images.score[row])
        shown.append(Failure(finding, str(stated[KIND]), str(stated["source"]), str(stated[TRUTH]), score))
    return Failures(tuple(shown), int(failed.sum()), unreadable=tuple(unreadable))


def _one_a_patient(images: TestSet, failed: Mask, order: np.ndarray) -> Iterator[int]:
    known: set[int] = set()
    patients = images.patient
    for row in np.flatnonzero(failed)[np.argsort(order[failed], kind="stable")].tolist():
        if patients[row] not in known:
            known.add(patients[row])
            yield row


def _seen(path: str, model: Model | None) -> Finding:
    """The image with all that the model finds on it. Raises UnreadableImageError."""
    if model is None:
        radiograph = read_radiograph(Path(path))
        return Finding(radiograph.file, Status.READ, None, radiograph=radiograph)
    checked = model.check_input(model.read(Path(path)))
    (answer,) = model.answer_checked([checked])
    return answer.finding
