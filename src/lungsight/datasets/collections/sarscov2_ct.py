"""CT slices of patients with and without COVID-19 from hospitals in São Paulo (Soares et al. 2020)."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from lungsight.datasets.collection import Build, BuildOptions, Collection, build_of, images_under, root_holding
from lungsight.radiograph import View

_LABELS = {"COVID": "covid19", "non-COVID": "unlabelled"}


def _read(folder: Path, options: BuildOptions) -> Build:
    root = root_holding(folder, "non-COVID", "sarscov2-ct")
    rows: list[dict[str, object]] = []
    left_out: Counter[str] = Counter()
    for path in images_under(root):
        label = _LABELS.get(path.parent.name)
        if label is None:
            left_out["in a folder other than COVID and non-COVID"] += 1
            continue
        rows.append(
            {
                "path": str(path),
                "label": label,
                "site": "São Paulo",
                "finding": path.parent.name,
                "reference_standard": "patient's SARS-CoV-2 infection as the hospitals stated it",
                "view": View.OTHER,
                "modality": "CT",
            }
        )
    return build_of(rows, left_out, "sarscov2-ct", root)


SARSCOV2_CT = Collection(
    name="sarscov2-ct",
    title="SARS-CoV-2 CT-scan dataset (Soares, Angelov and others)",
    home="https://www.kaggle.com/datasets/plameneduardo/sarscov2-ctscan-dataset",
    licence="CC BY-NC-SA 4.0",
    labels_rest_on="by patient: every slice carries its patient's label; without COVID-19 means other lung disease, "
    "whose name isn't given (unlabelled)",
    traps=(
        "CT slices, no radiographs: detectors are trained without them; gates learn from them what to refuse",
        "several slices of each patient, and no file says whose: any split of it leaks, so test on other CT",
        "slices without any lesion are labelled COVID-19, since the label is the patient's",
    ),
    how_to_get="download the archive from Kaggle (log-in needed) and unpack it",
    layout="COVID/ and non-COVID/",
    read=_read,
)
