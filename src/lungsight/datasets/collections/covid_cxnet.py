"""COVID-CXNet (Haghanifar et al. 2022): COVID-19 from case sites, papers and social media, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from lungsight.datasets.collection import BuildOptions, Row, read_csv
from lungsight.radiograph import View

_COLUMNS = ("filename", "no_abnormality_seen", "paediatric")


def rows(root: Path, options: BuildOptions) -> Iterator[Row | str]:
    """Yield the rows of ``covid-cxnet``, without patients: the search for duplicates groups its look-alikes."""
    for _, entry in read_csv(root / "metadata.csv", _COLUMNS).iterrows():
        path = root / "images" / entry["filename"]
        yield _row(path, entry) if path.is_file() else "listed in metadata.csv, but the file is not there"


def _row(path: Path, entry: pd.Series) -> Row:
    clear = entry["no_abnormality_seen"] == "1"
    return {
        "path": str(path),
        "label": "covid19_without_sign" if clear else "covid19",
        "finding": "no abnormality seen" if clear else "COVID-19",
        "reference_standard": "publication",
        "view": View.FRONTAL,
        "modality": "X-ray",
        "paediatric": "yes" if entry["paediatric"] == "1" else "",
    }
