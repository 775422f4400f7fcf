"""``metadata.json`` with what the test found: MONAI's bundle schema, :mod:`lungsight.package.metadata`."""

from __future__ import annotations

from typing import Any

import pandas as pd

from lungsight.evaluation.evidence import Evidence
from lungsight.evaluation.papers.figures import place, target_figures
from lungsight.package import PackageDescription
from lungsight.package.metadata import bundle_metadata

_METRICS = ("auroc", "sensitivity", "specificity", "ppv", "npv", "brier_score")


def metadata_json(evidence: Evidence, description: PackageDescription) -> str:
    """The file's content, with the target's figures by source; those withheld aren't among them."""
    found: dict[str, dict[str, Any]] = {}
    for row in target_figures(evidence, "metrics", *_METRICS):
        if not pd.isna(row["value"]):
            found.setdefault(place(row), {})[str(row["metric"])] = {
                "value": float(row["value"]),
                "low": _number(row["low"]),
                "high": _number(row["high"]),
                "n": int(row["n"]),
            }
    tested = f"tested {evidence.made:%Y-%m-%d}, verdict: {evidence.verdict.grade}"
    return bundle_metadata(description, tested=tested, metrics=found)


def _number(value: object) -> float | None:
    return None if pd.isna(value) else float(value)  # type: ignore[call-overload, arg-type]
