"""The API: what comes in, what is found, and that it is the command line's answer."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from image_files import dicom, dicom_bytes
from lungsight.cli import app
from room.conftest import Client, OpenRoom, png


def _line(room: Client, image: str, package: Path, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """What ``lungsight scan --json`` writes of the stored file."""
    monkeypatch.chdir(room.room.store.path(image).parent)
    ran = CliRunner().invoke(app, ["scan", image, "--model", str(package), "--json", "-"])
    assert ran.exit_code in (0, 1), ran.output
    return ran.stdout.splitlines()[0].encode()


@pytest.mark.parametrize("data", [png(), png()[:200]], ids=["image", "unreadable"])
def test_a_finding_is_the_command_line_s_bit_for_bit(
    room: Client, package: Path, monkeypatch: pytest.MonkeyPatch, data: bytes
) -> None:
    image = room.sent(data)
    told, line = room.get(f"/v1/images/{image}/finding").content, _line(room, image, package, monkeypatch)
    seconds = b'"seconds": '
    assert told.partition(seconds)[0] == line.partition(seconds)[0]
    assert room.get(f"/v1/images/{image}").json()["finding"] == json.loads(told)
    assert json.loads(told).keys() == json.loads(line).keys()


def test_an_image_is_known_by_its_bytes(room: Client) -> None:
    data = png()
    image = room.sent(data, "Müller, Anna 1957.png")
    assert image == hashlib.sha256(data).hexdigest()
    assert room.room.store.path(image).read_bytes() == data
    again = room.upload(data, "another name.png")
    assert again["images"] == []
    assert [entry["id"] for entry in again["already"]] == [image]
    assert room.get("/v1/health").json()["received"] == 1


def test_a_zip_is_its_images_and_what_lies_beside_them_is_no_error(room: Client) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("disc/a.png", png(1))
        archive.writestr("disc/b.png", png(2))
        archive.writestr("disc/icon.png", png(3, 16, 16))
        archive.writestr("disc/autorun.exe", b"MZ")
        archive.writestr("disc/inner.zip", packed.getvalue() or b"PK\x05\x06" + bytes(18))
        archive.writestr("__MACOSX/disc/._a.png", b"x")
    told = room.upload(packed.getvalue(), "disc.zip")
    assert [image["name"] for image in told["images"]] == ["disc/a.png", "disc/b.png"]
    assert {entry["name"]: entry["why"] for entry in told["passed_over"]} == {
        "disc/autorun.exe": ".exe",
        "disc/icon.png": "icon",
        "disc/inner.zip": "an archive inside an archive is not read; unpack the outer one first.",
    }
    assert room.finished()["done"] == 2
    assert list(room.room.store.incoming.iterdir()) == []


def test_what_is_no_image_is_not_kept(room: Client) -> None:
    told = room.upload(b"Anna Meier, born 1957", "chest.png")
    assert told["images"] == []
    assert told["passed_over"][0]["why"].startswith("this is not an image that lungsight reads")
    assert room.get("/v1/health").json()["received"] == 0


def test_a_form_is_refused(room: Client) -> None:
    answer = room.post("/v1/images", content=b"x", headers={"content-type": "multipart/form-data; boundary=x"})
    assert answer.status_code == 415
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["status"] == 415
    by_curl = {"content-type": "application/x-www-form-urlencoded"}
    assert room.post("/v1/images", content=png(), headers=by_curl).json()["images"] != []


def test_the_worklist_is_by_urgency_with_its_reason(room: Client) -> None:
    for seed in range(4):
        room.upload(png(seed))
    room.finished()
    told = room.get("/v1/images").json()
    rows = told["images"]
    assert told["total"] == told["counts"]["all"] == told["counts"]["unread"] == 4
    assert sum(told["counts"]["by_decision"].values()) == 4
    urgencies = [row["urgency"] for row in rows]
    assert urgencies == sorted(urgencies, reverse=True)
    assert all(row["reason"].endswith("points.") for row in rows)
    decision = rows[0]["decision"]
    found = room.get("/v1/images", params={"decision": decision}).json()
    assert found["total"] == told["counts"]["by_decision"][decision]
    assert room.get("/v1/images", params={"q": rows[2]["id"][:12]}).json()["images"][0]["id"] == rows[2]["id"]
    assert room.get("/v1/images", params={"limit": 1, "offset": 3}).json()["images"] == rows[3:]


def test_filters_by_what_the_header_states(room: Client) -> None:
    stored = np.random.default_rng(0).integers(100, 3000, (80, 90), dtype=np.uint16)
    for age, view, day in (("030Y", "PA", "20260301"), ("070Y", "AP", "20260402")):
        made = dicom(
            stored + int(age[:3]), PatientAge=age, ViewPosition=view, StudyDate=day, PatientID="77", PatientSex="F"
        )
        room.upload(dicom_bytes(made), "IM0001")
    room.finished()

    def found(**wanted: object) -> list[float]:
        return sorted(row["age"] for row in room.get("/v1/images", params=wanted).json()["images"])

    assert found(age_from=50) == [70]
    assert found(view="PA") == [30]
    assert found(date_to="2026-03-15") == [30]
    assert found(q="2026-04-02") == [70]
    assert found(read="read") == []
    newest = room.get("/v1/images", params={"sort": "date"}).json()["images"][0]
    assert newest["study_date"] == "2026-04-02"
    priors = room.get(f"/v1/images/{newest['id']}").json()["priors"]
    assert [prior["study_date"] for prior in priors] == ["2026-03-01"]


def test_deleting_leaves_nothing(room: Client) -> None:
    image = room.sent(png(5))
    room.put(f"/v1/images/{image}/read", json={"category": "typical", "comment": "a very peculiar comment"})
    kept = room.room.store
    assert room.delete(f"/v1/images/{image}").status_code == 204
    assert room.delete(f"/v1/images/{image}").status_code == 404
    for path in ("", "/finding", "/pixels", "/evidence", "/picture", "/report"):
        assert room.get(f"/v1/images/{image}{path}").status_code == 404
    assert not kept.path(image).exists()
    files = [file.read_bytes() for file in kept.folder.rglob("*") if file.is_file()]
    assert not any(b"peculiar comment" in content for content in files)
    whats = [entry["what"] for entry in room.get("/v1/audit", params={"image": image}).json()["entries"]]
    assert whats[0] == "deleted"
    assert room.get("/v1/health").json()["deleted"] == 1


def test_what_was_accepted_is_there_after_the_room_was_closed(open_room: OpenRoom, tmp_path: Path) -> None:
    with open_room() as first:
        image = first.sent(png())
        line = first.get(f"/v1/images/{image}/finding").content
    again = open_room()
    again.finished()
    assert again.get(f"/v1/images/{image}/finding").content == line
