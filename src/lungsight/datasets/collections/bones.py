"""Radiographs that don't show a chest: hands, arms, legs and pelves, from which input gates learn to refuse them."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import pandas as pd

from lungsight.datasets.collection import BuildOptions, Row, images_under

#: What each image shows, as people saw it, and images of one patient or figure, by the image's name.
_TABLE = "bones.csv"


def rows(folder: Path, options: BuildOptions) -> Iterator[Row | str]:
    """Yield the rows of ``bones``."""
    with resources.files(__package__).joinpath(_TABLE).open("rb") as file:
        known = pd.read_csv(file, dtype=str, keep_default_na=False).set_index("image")
    for path in images_under(folder):
        if path.stem in known.index:
            shown = {str(column): value for column, value in known.loc[path.stem].items()}
            yield {"path": str(path), "label": "unlabelled", **shown}
        else:
            yield "not an image whose part of the body is known"
