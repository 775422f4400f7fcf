"""The images of the highest loss, each beside its map."""

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
    """One image of the page.

    Attributes:
        row: of the predictions, with its ``loss`` and the ``probability`` of its true class.
        evidence_for, against: the two classes that the image's map sets against each other.
    """

    row: pd.Series
    image: SmallImage
    evidence_for: str
    against: str


def wrong_predictions(predictions: pd.DataFrame) -> pd.DataFrame:
    """The analysed images whose most probable class isn't the true one."""
    known = _analysed(predictions)
    return known[known[TRUTH] != known[PREDICTION]]


def top_losses(predictions: pd.DataFrame, at_most: int = AT_MOST) -> pd.DataFrame:
    """The analysed images, highest loss first: the negative log of the true class's ``probability``, in ``loss``."""
    known = _analysed(predictions)
    true = np.array([row[probability_column(str(row[TRUTH]))] for _, row in known.iterrows()], dtype=np.float64)
    lost = known.assign(probability=true, loss=-np.log(np.maximum(true, 1e-300)))
    return lost.sort_values("loss", ascending=False, kind="stable").head(at_most)


def write_gallery(path: Path, detector: Detector, predictions: pd.DataFrame) -> int:
    """Write the page of the top losses among ``predictions``, which need a column ``split``.

    Returns:
        How many images it shows.
    """
    losses = [_loss(row, detector) for _, row in top_losses(predictions).iterrows()]
    write_page(
        path,
        "mistakes.html.j2",
        losses=losses,
        wrong=sum(one.row[TRUTH] != one.row[PREDICTION] for one in losses),
        total=len(wrong_predictions(predictions)),
        analysed=len(_analysed(predictions)),
        full=full_scale(one.image.map for one in losses if one.image.map is not None),
        colour_for=FOR,
        colour_against=AGAINST,
    )
    return len(losses)


def _analysed(predictions: pd.DataFrame) -> pd.DataFrame:
    return predictions[(predictions[TRUTH] != "") & (predictions[PREDICTION] != "")]


def _loss(row: pd.Series, detector: Detector) -> Loss:
    """With the map of a wrong prediction less the true class's, or of a right one less the next most probable's."""
    checked = detector.check_with_networks(detector.read(row["path"]))
    predicted = detector.predict(detector.prepare_checked(checked)[None])
    classes = list(detector.description.classes)
    first, other = str(row[PREDICTION]), str(row[TRUTH])
    if first == other:
        others = np.where(np.array(classes) == first, -np.inf, predicted.logits[0])
        other = classes[int(others.argmax())]
    i, j = classes.index(first), classes.index(other)
    values = predicted.maps[0, i] - predicted.maps[0, j]
    bias = float(predicted.logits[0, i] - predicted.logits[0, j] - values.mean(dtype=np.float64))
    (finding,) = detector.analyse_checked([checked])
    evidence = ClassMap(values, bias, detector.description.preprocessing, crop_of(checked.lungs))
    image = SmallImage.of(replace(finding, radiograph=checked.radiograph, map=evidence))
    assert image is not None  # it holds the radiograph
    return Loss(row, image, first, other)
