"""CT slices cut from papers on COVID-19, and others without it (Yang, He and others 2020)."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from lungsight.datasets.collection import Build, BuildOptions, Collection, build_of, images_under, root_holding
from lungsight.radiograph import View

_LABELS = {"CT_COVID": "covid19", "CT_NonCOVID": "unlabelled"}
#: ``2020.02.25.20021568-p23-108%11``: paper, page, figure, slice. ``10%0``: figure, slice.
_PAPER = re.compile(r"(?P<paper>.+?)-p\d+-.*")


def _read(folder: Path, options: BuildOptions) -> Build:
    root = root_holding(folder, "CT_NonCOVID", "covid-ct")
    rows: list[dict[str, object]] = []
    left_out: Counter[str] = Counter()
    for path in images_under(root):
        label = _LABELS.get(path.parent.name)
        if label is None:
            left_out["in a folder other than CT_COVID and CT_NonCOVID"] += 1
            continue
        rows.append(
            {
                "path": str(path),
                "label": label,
                "patient": f"{path.parent.name}/{origin_of(path.stem)}",
                "finding": path.parent.name.removeprefix("CT_"),
                "reference_standard": "publication",
                "view": View.OTHER,
                "modality": "CT",
            }
        )
    return build_of(rows, left_out, "covid-ct", root)


def origin_of(stem: str) -> str:
    """The paper, or else the figure, that a slice was cut from: slices of one origin may show one patient."""
    match = _PAPER.fullmatch(stem)
    return match["paper"] if match else stem.partition("%")[0]


COVID_CT = Collection(
    name="covid-ct",
    title="COVID-CT (Yang, He, Zhao and others)",
    home="https://github.com/UCSD-AI4H/COVID-CT",
    licence="not stated for the figures, which belong to their papers",
    labels_rest_on="what the caption of the figure says; the slices without COVID-19 come from other sources, whose "
    "disease isn't given (unlabelled)",
    traps=(
        "CT slices, no radiographs: detectors are trained without them; gates learn from them what to refuse",
        "figures cut from papers: letters, arrows and the journal's scaling stand in the pixels",
        "slices with and without COVID-19 come from other places, which an image's look gives away",
    ),
    how_to_get="get CT_COVID.zip and CT_NonCOVID.zip from the repository's folder Images-processed and unpack them",
    layout="CT_COVID/ and CT_NonCOVID/",
    read=_read,
)
