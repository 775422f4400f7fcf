"""CT slices: of hospitals in São Paulo (Soares et al. 2020), and cut from papers (Yang, He and others 2020)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from lungsight.datasets.collection import BuildOptions, Row, images_under, rows_by_folder
from lungsight.radiograph import View

_CT: Row = {"view": View.OTHER, "modality": "CT"}
#: ``2020.02.25.20021568-p23-108%11``: paper, page, figure, slice. ``10%0``: figure, slice.
_PAPER = re.compile(r"(?P<paper>.+?)-p\d+-.*")


def sarscov2_rows(root: Path, options: BuildOptions) -> Iterator[Row | str]:
    """Yield the rows of ``sarscov2-ct``."""
    infection = "patient's SARS-CoV-2 infection as the hospitals stated it"
    site: Row = {"site": "São Paulo", "reference_standard": infection, **_CT}
    labels = {"COVID": "covid19", "non-COVID": "unlabelled"}
    return rows_by_folder(images_under(root), labels, lambda path: {"finding": path.parent.name, **site})


def covid_ct_rows(root: Path, options: BuildOptions) -> Iterator[Row | str]:
    """Yield the rows of ``covid-ct``."""

    def row(path: Path) -> Row:
        folder = path.parent.name
        patient = f"{folder}/{origin_of(path.stem)}"
        finding = folder.removeprefix("CT_")
        return {"patient": patient, "finding": finding, "reference_standard": "publication", **_CT}

    return rows_by_folder(images_under(root), {"CT_COVID": "covid19", "CT_NonCOVID": "unlabelled"}, row)


def origin_of(stem: str) -> str:
    """Return the paper, or else the figure, that a slice was cut from: its slices may show one patient."""
    match = _PAPER.fullmatch(stem)
    return match["paper"] if match else stem.partition("%")[0]
