"""The surest mistakes, each beside what the model looked at."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from lungsight.evaluation.report.page import write_page
from lungsight.scanning import Detector
from lungsight.scanning.card import Card, card_of, full_scale
from lungsight.scanning.pictures import AGAINST, FOR
from lungsight.statistics.outcomes import PREDICTION, TRUTH, probability_column

AT_MOST = 24


@dataclass(frozen=True, eq=False)
class Mistake:
    """One misjudged image: its row among the predictions, with the probability of its wrong class, and its card."""

    row: pd.Series
    card: Card


def misjudged(predictions: pd.DataFrame) -> pd.DataFrame:
    """The judged images whose most probable class isn't the true one."""
    judged = _judged(predictions)
    return judged[judged[TRUTH] != judged[PREDICTION]]


def surest_mistakes(predictions: pd.DataFrame, at_most: int = AT_MOST) -> pd.DataFrame:
    """The misjudged images, highest probability of the wrong class first, that probability in ``probability``."""
    wrong = misjudged(predictions)
    sure = [row[probability_column(str(row[PREDICTION]))] for _, row in wrong.iterrows()]
    return wrong.assign(probability=sure).sort_values("probability", ascending=False, kind="stable").head(at_most)


def write_gallery(path: Path, detector: Detector, predictions: pd.DataFrame) -> int:
    """Write the page of the surest mistakes of ``predictions`` (which need a column ``split``); returns how many it
    shows."""
    mistakes = [Mistake(row, _card(row, detector)) for _, row in surest_mistakes(predictions).iterrows()]
    write_page(
        path,
        "mistakes.html.j2",
        mistakes=mistakes,
        total=len(misjudged(predictions)),
        judged=len(_judged(predictions)),
        target=detector.description.target,
        preprocessing=detector.description.preprocessing,
        full=full_scale(m.card.evidence for m in mistakes if m.card.evidence is not None),
        colour_for=FOR,
        colour_against=AGAINST,
    )
    return len(mistakes)


def _judged(predictions: pd.DataFrame) -> pd.DataFrame:
    return predictions[(predictions[TRUTH] != "") & (predictions[PREDICTION] != "")]


def _card(row: pd.Series, detector: Detector) -> Card:
    finding = detector.judge([detector.read(row["path"])])[0]
    return card_of(finding, detector.description.target, detector.cautions)
