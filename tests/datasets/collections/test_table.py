from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from lungsight.datasets.collections.table import TABLE
from lungsight.errors import CollectionError, ManifestError


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_rows_whose_image_is_missing_are_left_out(tmp_path: Path, ending: str) -> None:
    (tmp_path / "a.png").touch()
    rows = pd.DataFrame({"path": ["a.png", "b.png"], "label": ["covid19", "mine"], "age": ["40", ""]})
    path = tmp_path / f"mine{ending}"
    rows.to_parquet(path) if ending == ".parquet" else rows.to_csv(path, index=False)
    build = TABLE.build(path)
    assert list(build.manifest.table["path"]) == [str(tmp_path / "a.png")]
    assert list(build.manifest.table["source"]) == ["mine"]
    assert build.left_out == {"listed in the table, but the file is not there": 1}


def test_a_table_whose_images_are_all_missing_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text("path,label\nx.png,covid19\n")
    with pytest.raises(CollectionError, match=r"none of its 1 images is there .*x\.png"):
        TABLE.build(tmp_path / "mine.csv")


def test_faults_name_the_row(tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text("path,label,age\na.png,covid19,40\nb.png,covid19,old\n")
    with pytest.raises(ManifestError, match="row 3: age is not a number"):
        TABLE.build(tmp_path / "mine.csv")


def test_a_folder_is_no_table(tmp_path: Path) -> None:
    with pytest.raises(CollectionError, match="a folder, not a table"):
        TABLE.build(tmp_path)
