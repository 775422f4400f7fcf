"""Paths, URLs and Parquet lists of them to images."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from lungsight.errors import UnreadableImageError
from lungsight.scanning.sources import find_images, name_of


@pytest.fixture
def films(tmp_path: Path) -> Path:
    (tmp_path / "films").mkdir()
    for name in ("a.png", "b.png"):
        Image.new("L", (64, 64)).save(tmp_path / "films" / name)
    return tmp_path / "films"


def test_paths_urls_and_lists_in_one_go(films: Path, tmp_path: Path) -> None:
    url = (films / "b.png").as_uri()
    pq.write_table(pa.table({"path": ["films/a.png", url, None, str(films / "gone.png")]}), tmp_path / "l.parquet")
    found = list(find_images([films / "a.png", films.as_uri(), str(tmp_path / "l.parquet"), films]))
    assert [name_of(one) for one in found] == [
        str(films / "a.png"),
        (films / "a.png").as_uri(), url,
        str(tmp_path / "films/a.png"), url, f"{tmp_path / 'l.parquet'}, row 3", str(films / "gone.png"),
        str(films / "a.png"), str(films / "b.png"),
    ]  # fmt: skip
    assert [isinstance(one, UnreadableImageError) for one in found].count(True) == 1


def test_a_list_behind_a_url_names_what_lies_beside_it(films: Path, tmp_path: Path) -> None:
    pq.write_table(pa.table({"file": ["films/a.png"]}), tmp_path / "l.parquet")
    (found,) = find_images([(tmp_path / "l.parquet").as_uri()])
    assert name_of(found) == (films / "a.png").as_uri()


def test_a_folder_of_parquet_is_one_list(films: Path, tmp_path: Path) -> None:
    folder = tmp_path / "list.parquet"
    folder.mkdir()
    for part in range(3):
        pq.write_table(pa.table({"url": [f"https://host/{part}.png"]}), folder / f"{part}.parquet")
    assert [name_of(one) for one in find_images([folder])] == [f"https://host/{part}.png" for part in range(3)]


@pytest.mark.parametrize(
    ("content", "said"), [(b"no parquet", "isn't a readable"), (None, "has no column path, file or url")]
)
def test_what_is_no_list_is_a_fault(tmp_path: Path, content: bytes | None, said: str) -> None:
    place = tmp_path / "l.parquet"
    if content is None:
        pq.write_table(pa.table({"image": ["a.png"]}), place)
    else:
        place.write_bytes(content)
    (problem,) = find_images([place])
    assert isinstance(problem, UnreadableImageError)
    assert said in str(problem)


def test_a_list_that_isnt_there_is_a_fault(tmp_path: Path) -> None:
    (problem,) = find_images([tmp_path / "l.parquet"])
    assert "isn't a readable" in str(problem)


def test_what_is_no_image_in_a_list_is_a_fault_in_its_place(films: Path, tmp_path: Path) -> None:
    pq.write_table(
        pa.table({"path": ["films/a.png", "a\0b", "", "s3://b/x.png", "films/b.png"]}), tmp_path / "l.parquet"
    )
    found = list(find_images(tmp_path / "l.parquet"))
    assert [isinstance(one, UnreadableImageError) for one in found] == [False, True, True, False, False]


def test_an_empty_list_is_said_to_be_so(tmp_path: Path) -> None:
    pq.write_table(pa.table({"path": pa.array([], pa.string())}), tmp_path / "l.parquet")
    (problem,) = find_images(str(tmp_path / "l.parquet"))
    assert "names no image" in str(problem)


def test_a_store_that_cant_be_reached_doesnt_stop_the_others(films: Path) -> None:
    found = list(find_images(["s3://bucket/l.parquet", "s3://bucket/films", str(films / "a.png")]))
    assert [isinstance(one, UnreadableImageError) for one in found] == [True, True, False]
