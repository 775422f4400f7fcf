"""The surest mistakes, each beside what the model looked at."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from lungsight.evaluation.outcomes import PREDICTION, TRUTH, probability_column
from lungsight.evaluation.page import embedded, write_page
from lungsight.package import ModelPackage
from lungsight.radiograph import Radiograph
from lungsight.reading import read_radiograph

AT_MOST = 24
_SIDE = 420


def surest_mistakes(predictions: pd.DataFrame, at_most: int = AT_MOST) -> pd.DataFrame:
    """The misjudged images, highest probability of the wrong class first, that probability in ``probability``."""
    wrong = misjudged(predictions)
    sure = [row[probability_column(str(row[PREDICTION]))] for _, row in wrong.iterrows()]
    return wrong.assign(probability=sure).sort_values("probability", ascending=False, kind="stable").head(at_most)


def misjudged(predictions: pd.DataFrame) -> pd.DataFrame:
    """The judged images whose most probable class isn't the true one."""
    judged = predictions[(predictions[TRUTH] != "") & (predictions[PREDICTION] != "")]
    return judged[judged[TRUTH] != judged[PREDICTION]]


def write_gallery(path: Path, package: ModelPackage, predictions: pd.DataFrame) -> int:
    """Write the page of the surest mistakes; returns how many it shows."""
    cases = [_case(row, package) for _, row in surest_mistakes(predictions).iterrows()]
    write_page(
        path,
        "mistakes.html.j2",
        cases=cases,
        total=len(misjudged(predictions)),
        judged=int(((predictions[TRUTH] != "") & (predictions[PREDICTION] != "")).sum()),
        target=package.description.target,
    )
    return len(cases)


def _case(row: pd.Series, package: ModelPackage) -> dict[str, object]:
    radiograph = read_radiograph(Path(row["path"]))
    return {
        "image": embedded(_jpeg(radiograph), "image/jpeg"),
        "overlay": embedded(_jpeg(radiograph), "image/jpeg"),
        **{name: row[name] for name in (TRUTH, PREDICTION, "probability", "split", "source", "patient", "path")},
    }


def _jpeg(radiograph: Radiograph) -> bytes:
    picture = Image.fromarray(np.round(radiograph.pixels * 255).astype(np.uint8))
    picture.thumbnail((_SIDE, _SIDE), Image.Resampling.BILINEAR)
    buffer = io.BytesIO()
    picture.save(buffer, format="JPEG", quality=85)
    return buffer.getvalue()
