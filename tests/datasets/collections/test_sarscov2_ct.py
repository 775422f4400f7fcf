from __future__ import annotations

from pathlib import Path

import pytest

from lungsight.datasets.collections.sarscov2_ct import SARSCOV2_CT
from lungsight.errors import CollectionError


def test_slices_are_ct_of_no_frontal_view(tmp_path: Path) -> None:
    for name in ("a/COVID/Covid (1).png", "a/non-COVID/Non-Covid (1).png", "a/other/x.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    build = SARSCOV2_CT.build(tmp_path)
    table = build.manifest.table
    assert list(table["label"]) == ["covid19", "unlabelled"]
    assert set(table["modality"]) == {"CT"}
    assert not build.manifest.is_projection.any()
    assert not build.manifest.is_frontal.any()
    assert build.left_out == {"in a folder other than COVID and non-COVID": 1}


def test_another_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CollectionError, match="isn't the collection sarscov2-ct"):
        SARSCOV2_CT.build(tmp_path)


@pytest.mark.shared
def test_the_real_collection_counts(shared_data: Path) -> None:
    build = SARSCOV2_CT.build(shared_data / "sarscov2-ct")
    assert build.manifest.table["label"].value_counts().to_dict() == {"covid19": 600, "unlabelled": 600}
    assert build.left_out == {}
