"""Tables as CSV files."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from lungsight._files import atomic_write


def write_table(table: pd.DataFrame, path: Path) -> None:
    """Write a CSV file, whole or not at all. Bytes of a file's name that aren't UTF-8 are written as ``\\udcff``."""
    with atomic_write(path, "w") as file:
        table.to_csv(file, index=False, lineterminator="\n")
