"""A comparison's files: its page, every figure as JSON, and a CSV per table."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lungsight import RESEARCH_ONLY, __version__
from lungsight._files import write_whole
from lungsight._text import as_words
from lungsight.evaluation.compare import METRICS, Comparison
from lungsight.evaluation.rows import Row
from lungsight.reporting.html import write_page
from lungsight.reporting.tables import frame, records, write_table


def _figures(comparison: Comparison) -> pd.DataFrame:
    """Each model's figures, source by source."""
    return frame(
        Row({"model": k, "kind": source.kinds[k], "source": source.source}, estimate)
        for source in comparison.sources
        for k, estimates in source.figures.items()
        for estimate in estimates
    )


def _differences(comparison: Comparison) -> pd.DataFrame:
    """Every difference with both figures, its interval and p-values."""
    found = [(s, d) for s in comparison.sources for d in s.differences]
    table = frame(
        Row(
            {"source": s.source, "first": d.first, "second": d.second, "figure": d.metric, "test": d.test}
            | {"kind_first": s.kinds[d.first], "kind_second": s.kinds[d.second], "a": d.a, "b": d.b},
            d.estimate,
        )
        for s, d in found
    )
    p_values = {"p": [d.p for _, d in found], "p_holm": [d.p_holm for _, d in found]}
    return table.join(pd.DataFrame(p_values, dtype=np.float64))


def _mcnemar(comparison: Comparison) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "source": s.source,
            "first": v.first,
            "second": v.second,
            "images": v.n,
            "only_first_right": v.test.only_a,
            "only_second_right": v.test.only_b,
            "p": v.test.p,
            "p_holm": v.p_holm,
        }
        for s in comparison.sources
        for v in s.verdicts
    )


def write_comparison(comparison: Comparison, out: Path) -> None:
    """Write the page, ``compare.json`` and a CSV file per table into ``out``."""
    out.mkdir(parents=True, exist_ok=True)
    tables = {
        "figures": _figures(comparison),
        "differences": _differences(comparison),
        "mcnemar": _mcnemar(comparison),
        "images": comparison.images,
    }
    for name, table in tables.items():
        write_table(table, out / f"{name}.csv")
    write_whole(out / "compare.json", json.dumps(_as_json(comparison, tables), indent=1, allow_nan=False))
    write_page(
        out / "index.html",
        "comparison.html.j2",
        c=comparison,
        target=as_words(comparison.target),
        metrics=METRICS,
        files=[f"{name}.csv" for name in tables],
    )


def _as_json(comparison: Comparison, tables: dict[str, pd.DataFrame]) -> dict[str, Any]:
    return {
        "schema": "lungsight comparison",
        "schema_version": 1,
        "notice": RESEARCH_ONLY,
        "lungsight": __version__,
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "target": comparison.target,
        "images_compared": comparison.shared,
        "replicates": comparison.resampling.replicates,
        "models": [
            {"letter": k, "model": t.model, "folder": str(t.folder), "grade": t.grade, "shortcut": t.shortcut}
            | {"claim": t.claim}
            for k, t in comparison.models.items()
        ],
        "notices": list(comparison.notices),
        "sentences": list(comparison.sentences),
        "tables": {name: records(table) for name, table in tables.items()},
    }
