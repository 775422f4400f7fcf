"""Folders and zips: everything that is an image is found once, and what can't be read is said in its place."""

from __future__ import annotations

import os
import pickle
import zipfile
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from lungsight.errors import UnreadableImageError
from lungsight.reading import ImageFile, archives, read_radiograph, walk_images


def png(level: int = 100) -> bytes:
    file = BytesIO()
    Image.fromarray(np.full((40, 40), level, dtype=np.uint8)).save(file, "PNG")
    return file.getvalue()


def plant(root: Path, files: Iterable[str], data: bytes | None = None) -> None:
    for name in files:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png() if data is None else data)


def packed(path: Path, members: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def names(found: Iterable[ImageFile | UnreadableImageError]) -> list[str]:
    files = list(found)
    assert not [str(one) for one in files if isinstance(one, UnreadableImageError)]
    return [one.name for one in files if isinstance(one, ImageFile)]


def only_fault(found: Iterable[ImageFile | UnreadableImageError]) -> str:
    (problem,) = [one for one in found if isinstance(one, UnreadableImageError)]
    assert "\n" not in str(problem)
    return str(problem)


def test_a_folder_is_walked_in_order(tmp_path: Path) -> None:
    plant(tmp_path, ["b.png", "a/2.png", "a/10.png", "c/d/e/image_without_ending"])
    expected = ["a/10.png", "a/2.png", "b.png", "c/d/e/image_without_ending"]
    assert names(walk_images([tmp_path])) == [str(tmp_path / name) for name in expected]


def test_what_is_plainly_no_image_is_passed_over(tmp_path: Path) -> None:
    plant(tmp_path, ["a.png"])
    plant(tmp_path, ["labels.csv", "notes.txt", ".DS_Store", "._a.png", "LICENSE", "__MACOSX/x"], b"some text")
    plant(tmp_path, ["DICOMDIR"], bytes(128) + b"DICM" + b"1.2.840.10008.1.3.10")
    (tmp_path / "link_to_nothing").symlink_to("gone")
    os.mkfifo(tmp_path / "pipe")
    assert names(walk_images([tmp_path])) == [str(tmp_path / "a.png")]


def test_an_image_ending_without_an_image_is_an_error(tmp_path: Path) -> None:
    plant(tmp_path, ["a.png", "b.jpg"], b"some text")
    for file in walk_images([tmp_path]):
        assert isinstance(file, ImageFile)
        with pytest.raises(UnreadableImageError, match="not an image"):
            read_radiograph(file)


def test_a_named_file_is_always_yielded(tmp_path: Path) -> None:
    plant(tmp_path, ["notes.txt"], b"some text")
    assert names(walk_images([tmp_path / "notes.txt"])) == [str(tmp_path / "notes.txt")]


def test_errors_do_not_stop_the_walk(tmp_path: Path) -> None:
    plant(tmp_path, ["a.png"])
    missing, found = walk_images([tmp_path / "gone", tmp_path / "a.png"])
    assert "there is no such file" in str(missing)
    assert isinstance(found, ImageFile)


def test_an_empty_folder_is_an_error(tmp_path: Path) -> None:
    assert "there is no image in it" in only_fault(walk_images([tmp_path]))


def test_a_folder_that_links_back_to_itself(tmp_path: Path) -> None:
    plant(tmp_path, ["a/b/image.png"])
    (tmp_path / "a/b/loop").symlink_to(tmp_path / "a")
    found = list(walk_images([tmp_path]))
    assert [one.name for one in found if isinstance(one, ImageFile)] == [str(tmp_path / "a/b/image.png")]
    assert "leads back to a folder around it; remove the link" in only_fault(found)


def test_a_linked_folder_is_followed_once(tmp_path: Path) -> None:
    plant(tmp_path, ["elsewhere/image.png"])
    for name in ("one", "two"):
        (tmp_path / "root" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "root" / name).symlink_to(tmp_path / "elsewhere")
    assert names(walk_images([tmp_path / "root"])) == [str(tmp_path / "root/one/image.png")]


def test_a_very_deep_tree(tmp_path: Path) -> None:
    here, before = tmp_path, Path.cwd()
    try:
        for _ in range(700):  # longer than the longest path that the system takes
            os.chdir(here)
            here = Path("folder")
            here.mkdir()
    finally:
        os.chdir(before)
    plant(tmp_path, ["image.png"])
    found = list(walk_images([tmp_path]))
    assert [one.name for one in found if isinstance(one, ImageFile)] == [str(tmp_path / "image.png")]
    assert "the system can't open it" in only_fault(found)


def test_a_folder_without_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(_path: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "scandir", denied)
    assert "no permission" in only_fault(walk_images([tmp_path]))


@settings(max_examples=30, deadline=None)
@given(given_paths=st.lists(st.sampled_from([".", "a", "a/1.png", "link", "a.zip", "copy.png"]), min_size=1))
def test_nothing_is_yielded_twice(tmp_path_factory: pytest.TempPathFactory, given_paths: list[str]) -> None:
    root = tmp_path_factory.getbasetemp() / "tangle"
    if not root.exists():
        plant(root, ["a/1.png", "a/2.png"])
        packed(root / "a.zip", {"1.png": png(), "2.png": png()})
        (root / "link").symlink_to(root / "a")
        (root / "copy.png").symlink_to(root / "a/1.png")
    found = list(walk_images(root / path for path in given_paths))
    files = [one for one in found if isinstance(one, ImageFile)]
    assert files == found, "what was met before is no fault"
    real = [(os.path.realpath(file.path), file.member) for file in files]
    assert len(set(real)) == len(real)
    if "." in given_paths:
        assert len(real) == 4


@pytest.mark.parametrize(
    "compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
)
def test_a_zip_is_read_in_place(tmp_path: Path, compression: int) -> None:
    members = {"b/2.png": png(51), "a/1.png": png(255), "notes.txt": b"text", "__MACOSX/._1.png": b"junk"}
    path = packed(tmp_path / "study.zip", members, compression)
    before = sorted(tmp_path.iterdir())
    files = [pickle.loads(pickle.dumps(file)) for file in walk_images([path])]
    assert [file.name for file in files] == [f"{path}!/a/1.png", f"{path}!/b/2.png"]
    assert [read_radiograph(file).pixels[0, 0] for file in files] == [1.0, np.float32(0.2)]
    assert read_radiograph(files[0]).file == f"{path}!/a/1.png"
    assert sorted(tmp_path.iterdir()) == before


def test_a_zip_in_a_folder_is_read_and_one_without_ending_too(tmp_path: Path) -> None:
    path = packed(tmp_path / "study.zip", {"1.png": png()})
    assert names(walk_images([tmp_path])) == [f"{path}!/1.png"]
    bare = path.rename(tmp_path / "study")
    assert names(walk_images([bare])) == [f"{bare}!/1.png"]


def test_a_zip_within_a_zip_is_refused(tmp_path: Path) -> None:
    inner = packed(tmp_path / "inner.zip", {"1.png": png()}).read_bytes()
    outer = packed(tmp_path / "outer.zip", {"inner.zip": inner})
    assert "an archive inside an archive is not read" in only_fault(walk_images([outer]))


def test_an_encrypted_member(tmp_path: Path) -> None:
    path = packed(tmp_path / "a.zip", {"1.png": png()})
    data = bytearray(path.read_bytes())
    data[6] |= 1  # the flag, in the member's own header and in the archive's directory
    data[data.find(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    assert only_fault(walk_images([path])) == (
        f"{path}!/1.png: this member is encrypted; unpack the archive with its password and give the files."
    )


def test_a_damaged_zip(tmp_path: Path) -> None:
    path = packed(tmp_path / "a.zip", {"1.png": np.random.default_rng(1).bytes(5000)})
    whole = path.read_bytes()
    path.write_bytes(whole[:3000])
    assert "not a whole zip archive" in only_fault(walk_images([path]))
    path.write_bytes(whole[:1000] + bytes(500) + whole[1500:])
    (file,) = walk_images([path])
    with pytest.raises(UnreadableImageError, match="this member is damaged"):
        read_radiograph(file)


def test_a_zip_that_changes_under_way(tmp_path: Path) -> None:
    path = packed(tmp_path / "a.zip", {"1.png": png(), "2.png": png()})
    _, second = walk_images([path])
    packed(path, {"1.png": png()})
    with pytest.raises(UnreadableImageError, match="the archive has changed"):
        read_radiograph(second)


def test_a_member_too_large_to_unpack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lungsight.reading.limits.MAX_BYTES", 1 << 20)
    path = packed(tmp_path / "bomb.zip", {"1.png": bytes(1 << 22)})
    assert path.stat().st_size < 1 << 14
    assert "4 MiB are more than any radiograph needs" in only_fault(walk_images([path]))


def test_a_member_never_unpacks_to_more_than_it_declares(tmp_path: Path) -> None:
    path = packed(tmp_path / "bomb.zip", {"1.png": png() + bytes(1 << 22)})
    data = bytearray(path.read_bytes())
    place = data.find(b"PK\x01\x02") + 24
    data[place : place + 4] = (100_000).to_bytes(4, "little")
    path.write_bytes(data)
    (file,) = walk_images([path])
    with pytest.raises(UnreadableImageError, match="this member is damaged"):
        read_radiograph(file)


def test_members_that_overlap(tmp_path: Path) -> None:
    """As in D. Fifield, A better zip bomb (2019): many members share the same compressed bytes."""
    noise = np.random.default_rng(1).bytes(5000)
    path = packed(tmp_path / "bomb.zip", {"1.png": noise})
    data = path.read_bytes()
    place, end = data.find(b"PK\x01\x02"), data.find(b"PK\x05\x06")
    entries = data[place:end] * 50
    tail = (
        data[end : end + 8] + (50).to_bytes(2, "little") * 2 + len(entries).to_bytes(4, "little") + data[end + 16 :]
    )
    path.write_bytes(data[:place] + entries + tail)
    assert "its members overlap, as in a zip bomb" in only_fault(walk_images([path]))


def test_an_archive_is_opened_once_for_all_its_members(tmp_path: Path) -> None:
    path = packed(tmp_path / "a.zip", {f"{n}.png": png() for n in range(20)})
    before = archives._opened.cache_info().misses
    for file in walk_images([path]):
        read_radiograph(file)
    assert archives._opened.cache_info().misses == before + 1
