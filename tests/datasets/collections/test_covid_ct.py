from __future__ import annotations

from pathlib import Path

import pytest

from lungsight.datasets.collections.covid_ct import COVID_CT, origin_of


@pytest.mark.parametrize(
    ("stem", "origin"),
    [
        ("2020.02.25.20021568-p23-108%11", "2020.02.25.20021568"),
        ("2020.03.01.20029769-p21-73_1%0", "2020.03.01.20029769"),
        ("med-9780198814924-chapter-17-p10-515", "med-9780198814924-chapter-17"),
        ("PIIS0140673620301549_2", "PIIS0140673620301549_2"),
        ("10%0", "10"),
        ("1029", "1029"),
    ],
)
def test_a_name_tells_the_paper_or_figure(stem: str, origin: str) -> None:
    assert origin_of(stem) == origin


def test_slices_of_one_paper_are_one_patient(tmp_path: Path) -> None:
    for name in ("CT_COVID/2020.1-p1-2%0.png", "CT_COVID/2020.1-p3-4%1.png", "CT_NonCOVID/2020.1.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    build = COVID_CT.build(tmp_path)
    table = build.manifest.table
    assert list(table["patient"]) == ["CT_COVID/2020.1", "CT_COVID/2020.1", "CT_NonCOVID/2020.1"]
    assert list(table["label"]) == ["covid19", "covid19", "unlabelled"]
    assert not build.manifest.is_projection.any()


@pytest.mark.shared
def test_the_real_collection_counts(shared_data: Path) -> None:
    table = COVID_CT.build(shared_data / "covid-ct").manifest.table
    assert table["label"].value_counts().to_dict() == {"unlabelled": 198, "covid19": 181}
