"""Images behind URLs: fsspec's store in memory, and this machine's disk under file://."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import fsspec
import numpy as np
import pytest
from PIL import Image

from lungsight.errors import UnreadableImageError
from lungsight.reading import read_radiograph
from lungsight.reading.limits import MAX_BYTES
from lungsight.reading.remote import RemoteFile, is_url, walk_url


def png() -> bytes:
    buffer = BytesIO()
    Image.fromarray(np.arange(64 * 64, dtype=np.uint16).reshape(64, 64)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def store() -> Iterator[fsspec.AbstractFileSystem]:
    system = fsspec.filesystem("memory")
    for name, content in {
        "b.png": png(),
        "a/deep/film": png(),
        "a/notes.txt": b"no image",
        "a/blob": b"no image either, and no ending",
        "c.png": b"",
    }.items():
        system.pipe_file(f"/ward/{name}", content)
    yield system
    system.rm("/ward", recursive=True)


@pytest.mark.parametrize(
    ("path", "so"),
    [("s3://bucket/a.png", True), ("https://h/x", True), ("C:/films", False), ("c://films", False), ("a.png", False)],
)
def test_urls_are_distinguished_from_paths(path: str, so: bool) -> None:
    assert is_url(path) is so
    assert not is_url(Path("s3://bucket"))


def test_images_below_a_url_are_found_in_order(store: fsspec.AbstractFileSystem) -> None:
    found = list(walk_url("memory://ward"))
    assert [one.name for one in found if isinstance(one, RemoteFile)] == [
        "memory:///ward/a/deep/film", "memory:///ward/b.png", "memory:///ward/c.png",
    ]  # fmt: skip


def test_an_image_behind_a_url_is_the_image(store: fsspec.AbstractFileSystem, tmp_path: Path) -> None:
    (tmp_path / "b.png").write_bytes(png())
    remote, local = read_radiograph(RemoteFile("memory://ward/b.png")), read_radiograph(tmp_path / "b.png")
    np.testing.assert_array_equal(remote.pixels, local.pixels)
    assert remote.sha256 == local.sha256
    assert remote.file == "memory://ward/b.png"


def test_an_empty_file_behind_a_url_is_an_error(store: fsspec.AbstractFileSystem) -> None:
    with pytest.raises(UnreadableImageError, match="the file is empty"):
        read_radiograph(RemoteFile("memory://ward/c.png"))


def test_a_url_without_an_image_is_an_error(store: fsspec.AbstractFileSystem) -> None:
    (problem,) = walk_url("memory://elsewhere")
    assert isinstance(problem, UnreadableImageError)
    with pytest.raises(UnreadableImageError, match="there is no such file"):
        read_radiograph(RemoteFile("memory://ward/gone.png"))


def test_what_is_too_large_is_not_fetched(store: fsspec.AbstractFileSystem, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(store), "size", lambda _self, _path: MAX_BYTES + 1)
    monkeypatch.setattr(type(store), "cat_file", lambda *_a, **_k: pytest.fail("fetched"))
    with pytest.raises(UnreadableImageError, match="more than any radiograph needs"):
        RemoteFile("memory://ward/b.png").read_bytes()


def test_whatever_a_store_raises_is_a_sentence(
    store: fsspec.AbstractFileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_args: object, **_more: object) -> None:
        raise ValueError("some store's own\nwith a second line")

    monkeypatch.setattr(type(store), "cat_file", refuse)
    with pytest.raises(UnreadableImageError) as raised:
        RemoteFile("memory://ward/b.png").read_bytes()
    assert "second line" not in str(raised.value)
    assert "check the URL" in str(raised.value)


def test_a_store_without_its_plugin_says_what_to_install() -> None:
    (problem,) = walk_url("s3://bucket/films")
    assert isinstance(problem, UnreadableImageError)
    assert "s3fs" in str(problem)
    with pytest.raises(UnreadableImageError, match="s3fs"):
        RemoteFile("s3://bucket/film.png").read_bytes()


def test_when_it_was_changed(store: fsspec.AbstractFileSystem, tmp_path: Path) -> None:
    (tmp_path / "b.png").write_bytes(png())
    for url in ((tmp_path / "b.png").as_uri(), "memory://ward/b.png"):
        arrived = RemoteFile(url).arrived()
        assert arrived is not None
        assert abs((datetime.now(UTC) - arrived).total_seconds()) < 600
    assert RemoteFile("memory://ward/gone.png").arrived() is None
