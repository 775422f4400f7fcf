"""Hostile requests: whatever is sent, no crash, no 500, no file outside the store."""

from __future__ import annotations

import gzip
import io
import random
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from image_files import dicom, dicom_bytes
from lungsight.room.inbox import Limits
from room.conftest import Client, OpenRoom, png

_NAMES = (
    "../../../etc/passwd", "..\\..\\x.png", "/etc/passwd", "C:\\x.png", "\0.png", "a" * 900, "", "%2e%2e%2f", "'; --",
    "<script>alert(1)</script>.png", "x.png\r\nX-Header: 1", "�.png", "𝕏.dcm",
)  # fmt: skip


def _zip(**members: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return packed.getvalue()


def _seeds() -> list[bytes]:
    """Good files of every kind, to be damaged."""
    stored = np.random.default_rng(0).integers(0, 4000, (70, 80), dtype=np.uint16)
    film = dicom_bytes(dicom(stored, PatientName="Meier^Anna", PatientID="77"))
    bombs = _zip(**{"x.png": bytes(5_000_000)})
    traversal = _zip(**{"../../../../tmp/escaped.png": png(), "/abs.png": png(1), "a/../b.png": png(2)})
    return [
        png(),
        film,
        gzip.compress(film),
        _zip(**{"a.png": png(3), "b.dcm": film}),
        bombs,
        traversal,
        b"",
        b"\0" * 99,
    ]


def _mutated(count: int) -> Iterator[bytes]:
    rng, seeds = random.Random(0), _seeds()
    yield from seeds
    for _ in range(count - len(seeds)):
        data = bytearray(rng.choice(seeds))
        for _ in range(rng.randrange(0, 12)):
            if data:
                data[rng.randrange(len(data))] = rng.randrange(256)
        if data and rng.random() < 0.3:
            del data[rng.randrange(len(data)) :]
        yield bytes(data)


def _attack(room: Client, count: int, outside: Path) -> None:
    before = sorted(outside.rglob("*"))
    rng = random.Random(1)
    for number, data in enumerate(_mutated(count)):
        answer = room.post("/v1/images", params={"name": rng.choice(_NAMES)}, content=data)
        assert answer.status_code in (202, 413, 422), (number, answer.text)
        if answer.status_code == 202:
            assert set(answer.json()) == {"images", "passed_over", "already"}
    health = room.finished()
    kept = room.room.store
    files = [file for file in kept.folder.rglob("*") if file.is_file()]
    assert {file.parent.parent.name for file in files if len(file.name) == 64} <= {"images"}
    assert list(kept.incoming.iterdir()) == []
    assert health["received"] == health["done"] + health["failed"]
    assert sorted(path for path in outside.rglob("*") if kept.folder not in (path, *path.parents)) == before


def test_hostile_uploads(room: Client, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    _attack(room, 120, outside)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_ten_thousand_hostile_uploads(room: Client, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    _attack(room, 10_000, outside)


def test_too_much_is_refused_and_leaves_nothing(open_room: OpenRoom) -> None:
    room = open_room(limits=Limits(upload_bytes=200_000, files=3, total_bytes=10**6))
    assert room.post("/v1/images", content=bytes(200_001)).status_code == 413
    many = _zip(**{f"{number}.png": png(number, 20, 20) for number in range(4)})
    assert room.post("/v1/images", content=many).status_code == 413
    bomb = _zip(**{"x.png": bytes(2 * 10**6)})
    assert room.post("/v1/images", content=bomb).status_code == 413
    assert list(room.room.store.incoming.iterdir()) == []
    assert room.get("/v1/health").json()["received"] == 0


def test_a_full_disk_is_one_sentence(room: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room.room.store, "free_bytes", lambda: 0)
    answer = room.post("/v1/images", content=png())
    assert answer.status_code == 507
    assert answer.json()["title"] == "the store's disk: is full."


@pytest.mark.parametrize(
    "path",
    [
        "/static/x/../api.py", "/static/x/%2e%2e/api.py", "/static/x/..%2f..%2fapi.py", "/evidence/1/index.html",
        "/evidence/1/../../x", "/images/..%2f..%2fetc%2fpasswd", "/v1/images/../../etc/passwd",
        "/v1/images/" + "a" * 65,
        "/v1/images/%00", "/v1/images/" + "g" * 64 + "/pixels/0", "/v1/images/" + "a" * 64 + "/pixels/-1",
    ],
)  # fmt: skip
def test_no_path_leads_out(room: Client, path: str) -> None:
    answer = room.get(path)
    assert answer.status_code in (404, 422)
    assert answer.headers["content-type"] == "application/problem+json"


def test_no_patient_s_name_is_kept_or_shown(room: Client) -> None:
    stored = np.random.default_rng(0).integers(0, 4000, (70, 80), dtype=np.uint16)
    film = dicom_bytes(dicom(stored, PatientName="Meier^Anna", PatientID="4711-0815", PatientAge="050Y"))
    image = room.sent(film, "Meier_Anna.dcm")
    told = [
        room.get(path).text for path in ("/v1/images", f"/v1/images/{image}", "/v1/audit", f"/images/{image}", "/")
    ]
    files = [file.read_bytes() for file in room.room.store.folder.rglob("*") if file.is_file()]
    for name in ("Meier", "4711"):
        assert not any(name in text for text in told)
        assert not any(name.encode() in content for content in files)
    row = room.get("/v1/images").json()["images"][0]
    assert (row["name"], row["age"], len(row["patient_key"])) == (None, 50.0, 16)


def test_names_are_kept_where_that_is_asked_for(open_room: OpenRoom) -> None:
    room = open_room(keep_identifiers=True)
    stored = np.random.default_rng(0).integers(0, 4000, (70, 80), dtype=np.uint16)
    film = dicom_bytes(dicom(stored, PatientName="Meier^Anna", PatientID="4711-0815"))
    image = room.sent(film, "Meier_Anna.dcm")
    assert room.room.store.path(image).read_bytes() == film
    told = room.get(f"/v1/images/{image}").json()
    assert (told["name"], told["finding"]["patient_id"]) == ("Meier_Anna.dcm", "4711-0815")
    assert room.get("/v1/images", params={"q": "meier"}).json()["total"] == 1
