from __future__ import annotations

from pathlib import Path

import pytest

from lungsight.datasets.collection import build_of, images_under, read_csv, root_holding, years
from lungsight.datasets.registry import COLLECTIONS, collection_named
from lungsight.faults import InvalidCollection


@pytest.mark.parametrize("collection", COLLECTIONS.values(), ids=lambda c: c.name)
def test_each_collection_says_what_a_user_must_know(collection) -> None:
    assert collection.title
    assert collection.licence
    assert collection.labels_rest_on
    assert collection.traps
    assert collection.layout
    assert collection.how_to_get
    assert not collection.home or collection.home.startswith("https://")
    assert all(remote.url.startswith("https://") and remote.name.endswith(".zip") for remote in collection.downloads)


@pytest.mark.parametrize("collection", COLLECTIONS.values(), ids=lambda c: c.name)
def test_a_folder_that_is_not_there_or_not_the_collection_gets_one_sentence(collection, tmp_path: Path) -> None:
    with pytest.raises(InvalidCollection, match="there is no such folder"):
        collection.build(tmp_path / "nowhere")
    (tmp_path / "holiday.txt").write_text("no images here")
    with pytest.raises(InvalidCollection) as caught:
        collection.build(tmp_path)
    assert str(caught.value).startswith(str(tmp_path))
    assert "\n" not in str(caught.value)


def test_an_unknown_name_lists_the_known() -> None:
    with pytest.raises(InvalidCollection, match="choose one of ieee8023, kermany"):
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


@pytest.mark.parametrize("content", [b"", b"a,b\n1,2\n", b"patientid,\xff\n1,2\n", b'a,patientid\n"1,2\n'])
def test_a_broken_table_gets_one_sentence(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "metadata.csv"
    path.write_bytes(content)
    with pytest.raises(InvalidCollection, match=r"metadata\.csv: .*get the file again"):
        read_csv(path, ("patientid",))


def test_no_image_left_says_why(tmp_path: Path) -> None:
    with pytest.raises(InvalidCollection, match="2 left out: torn"):
        build_of([], {"torn": 2}, "nih", tmp_path)


@pytest.mark.parametrize(
    ("text", "age"), [("45", 45.0), ("0.5", 0.5), ("", ""), ("unknown", ""), ("414", ""), ("-1", ""), ("nan", "")]
)
def test_an_age_is_believed_only_where_it_can_be_one(text: str, age: float | str) -> None:
    assert years(text) == age
