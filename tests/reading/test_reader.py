"""What is no readable image at all: each gets one sentence with file, fault and cure."""

from __future__ import annotations

import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lungsight.errors import UnreadableImageError
from lungsight.reading import ImageFile, read_radiograph


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "image.png"
    Image.fromarray(np.eye(40, dtype=np.uint8) * 255).save(path)
    return path


def refusal(path: Path | str) -> str:
    with pytest.raises(UnreadableImageError) as caught:
        read_radiograph(path)
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert caught.value.hint
    return sentence


def test_empty(tmp_path: Path) -> None:
    path = tmp_path / "empty.png"
    path.touch()
    assert refusal(path) == f"{path}: the file is empty; fetch or export it again."


@pytest.mark.parametrize("data", [b"a,b\n1,2\n", b"\0" * 4000, b"x", b"BM but no bitmap at all", b"%PDF-1.7"])
def test_not_an_image(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "table.png"
    path.write_bytes(data)
    assert "not an image that lungsight reads" in refusal(path)


def test_missing(tmp_path: Path) -> None:
    assert "there is no such file" in refusal(tmp_path / "gone.png")
    assert "there is no such file" in refusal(tmp_path / "gone" / "gone.png")


def test_an_impossible_name() -> None:
    assert "can't open it" in refusal("nul\0byte.png")
    assert "can't open it" in refusal("x" * 5000)


def test_folder(tmp_path: Path) -> None:
    assert "this is a folder" in refusal(tmp_path)


def test_links_to_nothing_and_to_themselves(tmp_path: Path) -> None:
    (tmp_path / "broken.png").symlink_to("gone.png")
    (tmp_path / "self.png").symlink_to("self.png")
    assert "this link leads to nothing" in refusal(tmp_path / "broken.png")
    assert "this link leads back to itself" in refusal(tmp_path / "self.png")


@pytest.mark.timeout(10)
def test_pipes_and_devices_never_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    assert "pipe, socket or device" in refusal(tmp_path / "pipe.png")
    assert "pipe, socket or device" in refusal("/dev/zero")


def test_no_permission(image: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*_args: object, **_options: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", denied)
    assert "no permission to read it; change its permissions" in refusal(image)


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "huge.png"
    path.touch()
    os.truncate(path, 2**31)  # sparse: takes no space
    assert "2048 MiB are more than any radiograph needs" in refusal(path)


def test_a_zip_is_not_one_image(tmp_path: Path, image: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.write(image)
    assert "this is a zip archive" in refusal(tmp_path / "a.zip")


def test_a_name_that_is_not_utf_8(image: Path) -> None:
    path = os.fsdecode(os.fsencode(image.with_name("r")) + b"\xf6ntgen.png")
    os.rename(image, path)
    read = read_radiograph(path)
    assert read.file.endswith("r�ntgen.png")
    read.file.encode("utf-8")
    os.truncate(path, 0)
    refusal(path).encode("utf-8")


def test_a_name_cannot_move_the_cursor(tmp_path: Path) -> None:
    path = tmp_path / "evil\x1b[2J\nname.png"
    path.touch()
    assert refusal(path).isprintable()


def test_the_content_counts_not_the_ending(image: Path) -> None:
    lying = image.rename(image.with_suffix(".dcm"))
    assert read_radiograph(lying).pixels.shape == (40, 40)


def test_too_little_memory_is_an_error(image: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def exhausted(*_args: object) -> None:
        raise MemoryError

    monkeypatch.setattr("lungsight.reading.reader.read_image", exhausted)
    assert "not enough memory" in refusal(image)


def test_image_files_are_values(image: Path) -> None:
    file = ImageFile.at(image)
    assert pickle.loads(pickle.dumps(file)) == file
    assert len({file, ImageFile.at(str(image))}) == 1
    assert file.read_bytes() == image.read_bytes()
