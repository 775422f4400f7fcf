"""The images of the highest loss, each beside what the model looked at."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from lungsight.components.lungs import crop_of
from lungsight.inference import Detector
from lungsight.inference.finding import ClassMap
from lungsight.rendering import AGAINST, FOR
from lungsight.reporting.html import write_page
from lungsight.scanning.card import SmallImage, full_scale
from lungsight.statistics.outcomes import PREDICTION, TRUTH, probability_column

AT_MOST = 24


@dataclass(frozen=True, eq=False)
class Loss:
    """One image: its row among the predictions, with its ``loss`` and the ``probability`` of its true class, its
    image, and the two classes (``evidence_for``, ``against``) that the image's map sets against each other."""

    row: pd.Series
    image: SmallImage
    evidence_for: str
    against: str


def wrong_predictions(predictions: pd.DataFrame) -> pd.DataFrame:
    """The judged images whose most probable class isn't the true one."""
    testset = _judged(predictions)
    return testset[testset[TRUTH] != testset[PREDICTION]]


def top_losses(predictions: pd.DataFrame, at_most: int = AT_MOST) -> pd.DataFrame:
    """The judged images, highest loss first: the negative log of the true class's ``probability``, in ``loss``."""
    testset = _judged(predictions)
    true = np.array([row[probability_column(str(row[TRUTH]))] for _, row in testset.iterrows()], dtype=np.float64)
    lost = testset.assign(probability=true, loss=-np.log(np.maximum(true, 1e-300)))
    return lost.sort_values("loss", ascending=False, kind="stable").head(at_most)


def write_gallery(path: Path, detector: Detector, predictions: pd.DataFrame) -> int:
    """Write the page of the top losses among ``predictions`` (which need a column ``split``); returns how many it
    shows."""
    losses = [_loss(row, detector) for _, row in top_losses(predictions).iterrows()]
    write_page(
        path,
        "mistakes.html.j2",
        losses=losses,
        wrong=sum(one.row[TRUTH] != one.row[PREDICTION] for one in losses),
        total=len(wrong_predictions(predictions)),
        testset=len(_judged(predictions)),
        full=full_scale(one.image.map for one in losses if one.image.map is not None),
        colour_for=FOR,
        colour_against=AGAINST,
    )
    return len(losses)


def _judged(predictions: pd.DataFrame) -> pd.DataFrame:
    return predictions[(predictions[TRUTH] != "") & (predictions[PREDICTION] != "")]


def _loss(row: pd.Series, detector: Detector) -> Loss:
    """Where a wrong class was called its map less the true class's: why this and not that. Otherwise the true class's
    less that of the most probable other class."""
    checked = detector.check_with_networks(detector.read(row["path"]))
    said = detector.predict(detector.prepare_checked(checked)[None])
    classes = list(detector.description.classes)
    called, true = str(row[PREDICTION]), str(row[TRUTH])
    if called == true:
        others = np.where(np.array(classes) == true, -np.inf, said.logits[0])
        one, other = true, classes[int(others.argmax())]
    else:
        one, other = called, true
    i, j = classes.index(one), classes.index(other)
    values = said.maps[0, i] - said.maps[0, j]
    bias = float(said.logits[0, i] - said.logits[0, j] - values.mean(dtype=np.float64))
    (finding,) = detector.analyse_checked([checked])
    evidence = ClassMap(values, bias, detector.description.preprocessing, crop_of(checked.lungs))
    image = SmallImage.of(replace(finding, radiograph=checked.radiograph, map=evidence))
    assert image is not None  # it holds the radiograph
    return Loss(row, image, one, other)
