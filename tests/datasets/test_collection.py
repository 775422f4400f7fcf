from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lungsight.datasets.collection import build_of, images_under, read_csv, root_holding, years
from lungsight.datasets.registry import COLLECTIONS, collection_named
from lungsight.errors import CollectionError, ManifestError


def test_an_unknown_name_lists_the_known() -> None:
    with pytest.raises(CollectionError, match="choose one of ieee8023, kermany"):
        collection_named("kermani")


def test_a_root_is_found_below_an_archives_own_folder(tmp_path: Path) -> None:
    root = tmp_path / "unpacked" / "repository-master"
    root.mkdir(parents=True)
    (root / "metadata.csv").touch()
    assert root_holding(tmp_path, "metadata.csv", "ieee8023") == root
    assert root_holding(root, "metadata.csv", "ieee8023") == root


def test_images_come_in_order_and_what_is_no_image_is_passed_over(tmp_path: Path) -> None:
    for name in ("b/2.PNG", "b/1.jpeg", "a.dcm", ".hidden.png", ".git/x.png", "__MACOSX/y.png", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert [p.relative_to(tmp_path).as_posix() for p in images_under(tmp_path)] == ["a.dcm", "b/1.jpeg", "b/2.PNG"]


@pytest.mark.parametrize(
    "content", [b"", b"a,b\n1,2\n", b"patientid,\xff\n1,2\n", b'a,patientid\n"1,2\n', b"patientid\n1,2\n"]
)
def test_a_broken_table_gets_one_sentence(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "metadata.csv"
    path.write_bytes(content)
    with pytest.raises(CollectionError, match=r"metadata\.csv: .*get the file again"):
        read_csv(path, ("patientid",))


def test_no_image_left_says_why(tmp_path: Path) -> None:
    with pytest.raises(CollectionError, match="2 left out: torn"):
        build_of(["torn", "torn"], "nih", tmp_path)


@pytest.mark.parametrize(
    ("text", "age"), [("45", 45.0), ("0.5", 0.5), ("", ""), ("unknown", ""), ("414", ""), ("-1", ""), ("nan", "")]
)
def test_an_age_is_believed_only_where_it_can_be_one(text: str, age: float | str) -> None:
    assert years(text) == age


_TABLES = {
    "ieee8023": (
        "metadata.csv",
        "patientid,sex,age,finding,view,modality,filename,url\n1,M,5,todo,PA,X-ray,a.png,http://x\n",
    ),
    "nih": ("Data_Entry_2017.csv", "Image Index,Finding Labels,Patient Age,View Position\na.png,No Finding,5,PA\n"),
    "siim": ("train_meta.csv", "imageid,patientid,studyid,height,width\na,p,s,10,20\n"),
    "siim-boxes": ("train_image_level.csv", "id,label\na_image,opacity 1 0 0 5 5\n"),
    "table": ("mine.csv", "path,label,age,sex\nimages/a.png,covid19,5,M\n"),
}


@pytest.mark.parametrize("case", _TABLES)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_table_of_any_bytes_is_read_or_refused(case: str, data: st.DataObject, tmp_path: Path) -> None:
    """A few bytes of a good table are changed; what comes is a manifest or a sentence, never another error."""
    name, text = _TABLES[case]
    (tmp_path / "images").mkdir(exist_ok=True)
    (tmp_path / "images/a.png").touch()
    (tmp_path / "train").mkdir(exist_ok=True)
    (tmp_path / "train/a.png").touch()
    (tmp_path / "train_image_level.csv").write_text("id,label\na_image,none 1 0 0 1 1\n")
    header = "id,Negative for Pneumonia,Typical Appearance,Indeterminate Appearance,Atypical Appearance\n"
    (tmp_path / "train_study_level.csv").write_text(header + "s_study,0,1,0,0\n")
    content = bytearray(text.encode())
    for _ in range(data.draw(st.integers(0, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.sampled_from(b'",\n\r\0 0-9.aM\xff\xef/'))
    (tmp_path / name).write_bytes(content)
    target = tmp_path / name if case == "table" else tmp_path
    try:
        build = COLLECTIONS[case.removesuffix("-boxes")].build(target)
    except (CollectionError, ManifestError):
        return
    assert len(build.manifest) >= 1
