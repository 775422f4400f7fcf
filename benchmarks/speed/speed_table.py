"""The measurement as CSV, and as a table in Markdown for the page that explains it."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from measuring import Measured

MIB = 2**20


def rows(group: str, measured: Sequence[Measured]) -> list[dict[str, object]]:
    """One row a contender; the ratios are to the first."""
    return [_row(group, one, measured[0]) for one in measured]


def _row(group: str, one: Measured, first: Measured) -> dict[str, object]:
    ratio, lowest, highest = one.ratio_to(first)
    return {
        "group": group,
        "contender": one.contender.name,
        "batch_size": one.contender.batch_size,
        "rounds": len(one.seconds_per_image),
        "images": one.images,
        "seconds_per_image": round(one.median, 5),
        "fastest_round": round(min(one.seconds_per_image), 5),
        "slowest_round": round(max(one.seconds_per_image), 5),
        "times_the_first": round(ratio, 3),
        "times_lowest": round(lowest, 3),
        "times_highest": round(highest, 3),
        "startup_seconds": round(one.startup, 2),
        "peak_mib": round(one.peak_bytes / MIB),
    }


def write_csv(path: Path, table: Sequence[Mapping[str, object]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(table[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(table)


def markdown(table: Sequence[Mapping[str, object]]) -> str:
    """One table a group."""
    parts = []
    for group in dict.fromkeys(str(row["group"]) for row in table):
        lines = [
            f"| {group} | batch | ms per image (rounds) | times the first (rounds) | images | start, s | peak, MiB |",
            "|---|--:|--:|--:|--:|--:|--:|",
        ]
        lines += [_line(row) for row in table if row["group"] == group]
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def _line(row: Mapping[str, object]) -> str:
    median, fastest, slowest = (
        f"{float(str(row[key])) * 1000:.1f}" for key in ("seconds_per_image", "fastest_round", "slowest_round")
    )
    times, lowest, highest = (
        f"{float(str(row[key])):.2f}" for key in ("times_the_first", "times_lowest", "times_highest")
    )
    cells = (
        row["contender"], row["batch_size"], f"{median} ({fastest}–{slowest})", f"{times} ({lowest}–{highest})",
        row["images"], row["startup_seconds"], row["peak_mib"],
    )  # fmt: skip
    return f"| {' | '.join(str(cell) for cell in cells)} |"
