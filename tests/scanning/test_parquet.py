"""Findings as Parquet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from lungsight.errors import LungsightError
from lungsight.inference import Detector, Finding, Status
from lungsight.scanning.parquet import SCHEMA, ParquetFolder


def _record(name: str) -> dict[str, Any]:
    finding = Finding(name, Status.READ, "covid19", {"covid19": 0.75, "other": 0.25}, model="tiny 1")
    return finding.as_json({"overlay": Path("seen.png")})


def _write(folder: Path, names: list[str], earlier: list[str] | None = None) -> None:
    exporter = ParquetFolder(folder, "tiny 1")
    exporter.begin(map(_record, earlier or []))
    for name in names:
        exporter.add(_record(name))
    exporter.close()


def test_the_folder_reads_as_one_table(tmp_path: Path) -> None:
    _write(tmp_path / "f", ["a", "b", "c"])
    table = pq.read_table(tmp_path / "f")
    assert table.schema.equals(SCHEMA)
    assert table["file"].to_pylist() == ["a", "b", "c"]
    assert dict(table["probabilities"].to_pylist()[0]) == {"covid19": 0.75, "other": 0.25}
    assert table["overlay"].to_pylist()[0] == "seen.png"


def test_what_an_earlier_scan_found_is_written_once(tmp_path: Path) -> None:
    _write(tmp_path / "f", ["a", "b"])
    (tmp_path / "f" / "part-00001.parquet.part").write_bytes(b"half")
    _write(tmp_path / "f", ["b", "c"], earlier=["a", "b"])
    assert pq.read_table(sorted((tmp_path / "f").glob("*.parquet")))["file"].to_pylist() == ["a", "b", "b", "c"]
    _write(tmp_path / "f", ["z"])
    assert pq.read_table(sorted((tmp_path / "f").glob("*.parquet")))["file"].to_pylist() == ["z"]


def test_a_folder_gives_back_what_was_written(tmp_path: Path) -> None:
    _write(tmp_path / "f", ["a", "b"])
    assert list(ParquetFolder(tmp_path / "f", "tiny 1").records()) == [_record("a"), _record("b")]


def test_a_folder_of_an_older_version_is_not_gone_on_with(tmp_path: Path) -> None:
    _write(tmp_path / "f", ["a"])
    part = tmp_path / "f" / "part-00000.parquet"
    pq.write_table(pq.read_table(part).drop_columns(["placement"]), part)
    with pytest.raises(LungsightError, match="has other columns than this scan writes"):
        list(ParquetFolder(tmp_path / "f", "tiny 1").records())


def test_rows_are_written_as_they_come(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lungsight.scanning.parquet.ROWS", 2)
    _write(tmp_path / "f", list("abcde"))
    assert [path.name for path in sorted((tmp_path / "f").iterdir())] == [f"part-0000{n}.parquet" for n in range(3)]


def test_what_is_no_table_of_findings_is_said(tmp_path: Path) -> None:
    _write(tmp_path / "f", ["a"])
    with pytest.raises(LungsightError, match="holds findings of tiny 1, not of other"):
        list(ParquetFolder(tmp_path / "f", "other").records())
    (tmp_path / "f" / "part-00000.parquet").write_bytes(b"PAR1")
    with pytest.raises(LungsightError, match="isn't a Parquet file of findings; remove it"):
        list(ParquetFolder(tmp_path / "f", "tiny 1").records())


def test_real_findings_fit(detector: Detector, phantoms: Path, tmp_path: Path) -> None:
    from lungsight.scanning import scan

    records = [finding.as_json() for finding in scan([phantoms], detector)]
    exporter = ParquetFolder(tmp_path / "f", detector.model)
    exporter.begin(records)
    assert list(exporter.records()) == records
