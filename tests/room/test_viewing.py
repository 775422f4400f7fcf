"""What a viewer is given: levels, evidence that adds up, the outline, alterations, phantoms, reports of tests."""

from __future__ import annotations

import base64
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from image_files import dicom, dicom_bytes
from lungsight.room.outline import polygons
from room.conftest import Client, OpenRoom, png


def test_levels_are_the_file_s_own_numbers(room: Client) -> None:
    stored = np.random.default_rng(0).integers(200, 4000, (900, 700), dtype=np.uint16)
    made = dicom(
        stored, bits=12, WindowCenter=1000, WindowWidth=400, ImagerPixelSpacing=[0.2, 0.2], PatientAge="050Y"
    )
    image = room.sent(dicom_bytes(made))
    told = room.get(f"/v1/images/{image}/pixels").json()
    assert [(level["width"], level["height"]) for level in told["levels"]] == [(700, 900), (350, 450)]
    content = room.get(told["levels"][0]["url"])
    assert content.headers["content-type"] == "application/octet-stream"
    levels = np.frombuffer(content.content, "<u2").reshape(900, 700)
    numbers = levels * told["per_level"] + told["at_zero"]
    assert np.array_equal(numbers, stored)
    half = np.frombuffer(room.get(told["levels"][1]["url"]).content, "<u2").reshape(450, 350)
    means = levels[:900, :700].reshape(450, 2, 350, 2).mean(axis=(1, 3))
    assert np.abs(half - means).max() <= 0.5
    window = told["windows"][0]
    center = window["center"] * told["per_level"] + told["at_zero"]
    assert center == pytest.approx(1000, abs=1)
    assert told["spacing_mm"] == [0.2, 0.2]
    assert room.get(f"/v1/images/{image}/pixels/2").status_code == 404


def test_the_evidence_adds_up_to_the_score(room: Client) -> None:
    image = room.sent(png())
    told = room.get(f"/v1/images/{image}/evidence").json()
    values = np.array(told["values"])
    assert values.mean() + told["bias"] == pytest.approx(told["margin"], abs=1e-5)
    assert told["box"] == [0, 0, 1, 1]
    assert told["full"] == pytest.approx(np.percentile(np.abs(values), 99), abs=1e-4)


def test_a_picture_is_small(room: Client) -> None:
    image = room.sent(png(0, 800, 600))
    answer = room.get(f"/v1/images/{image}/picture")
    from io import BytesIO

    with Image.open(BytesIO(answer.content)) as picture:
        assert (picture.format, max(picture.size)) == ("JPEG", 256)


def test_outlines_enclose_what_the_mask_has() -> None:
    from PIL import ImageDraw

    mask = np.zeros((64, 64), dtype=bool)
    mask[10:40, 8:20] = mask[5:50, 40:60] = True
    mask[20:25, 45:50] = False
    drawn = Image.new("1", (640, 640))
    pen = ImageDraw.Draw(drawn)
    for polygon in sorted(polygons(mask), key=len, reverse=False):
        pen.polygon([(x * 640, y * 640) for x, y in polygon], fill=1)
    assert len(polygons(mask)) == 3
    inside = np.asarray(drawn)[5::10, 5::10]
    wanted = mask.copy()
    wanted[20:25, 45:50] = True  # the hole is an outline of its own
    assert (inside == wanted).mean() > 0.99
    assert polygons(np.zeros((8, 8), dtype=bool)) == []


@pytest.mark.parametrize("kind", ["letter", "blur", "border", "invert"])
def test_an_alteration_moves_the_answer_and_keeps_nothing(room: Client, kind: str) -> None:
    image = room.sent(png())
    line = room.get(f"/v1/images/{image}/finding").content
    told = room.post(f"/v1/images/{image}/altered", json={"kind": kind}).json()
    assert told["before"]["probability"] != told["after"]["probability"]
    picture = told["picture"]
    pixels = np.frombuffer(base64.b64decode(picture["data"]), "<u2").reshape(picture["height"], picture["width"])
    assert pixels.max() <= picture["highest"]
    evidence = told["evidence"]
    assert np.mean(evidence["values"]) + evidence["bias"] == pytest.approx(evidence["margin"], abs=1e-5)
    assert room.get(f"/v1/images/{image}/finding").content == line
    assert room.get("/v1/health").json()["received"] == 1


def test_a_letter_stands_where_it_is_put(room: Client) -> None:
    image = room.sent(png(0, 64, 64))
    body = {"kind": "letter", "x": 0.5, "y": 0.9, "text": "R", "strength": 16}
    picture = room.post(f"/v1/images/{image}/altered", json=body).json()["picture"]
    pixels = np.frombuffer(base64.b64decode(picture["data"]), "<u2").reshape(picture["height"], picture["width"])
    bright = np.argwhere(pixels > 64_000)
    assert len(bright) > 5
    assert (bright.min(axis=0) >= (40, 28)).all()


def test_hidden_lungs_need_lungs(room: Client, open_room: OpenRoom) -> None:
    image = room.sent(png())
    answer = room.post(f"/v1/images/{image}/altered", json={"kind": "hide_lungs"})
    assert answer.status_code == 409


@pytest.mark.slow
def test_hiding_the_lungs_of_a_phantom_with_the_model_that_ships(open_room: OpenRoom) -> None:
    from lungsight.package import find_package

    room = open_room(package=find_package())
    (drawn,) = room.post("/v1/phantoms", json={"size": 384, "label": "covid19", "seed": 4}).json()["images"]
    room.finished()
    told = room.post(f"/v1/images/{drawn['id']}/altered", json={"kind": "hide_lungs"}).json()
    assert abs(told["after"]["probability"] - told["before"]["probability"]) > 0.01
    assert told["outline"] != []


def test_phantoms_are_marked_and_their_label_is_known(room: Client) -> None:
    told = room.post("/v1/phantoms", json={"count": 3, "size": 128, "seed": 7, "shortcut": "border"}).json()
    again = room.post("/v1/phantoms", json={"count": 3, "size": 128, "seed": 7, "shortcut": "border"}).json()
    assert [image["id"] for image in again["already"]] == [image["id"] for image in told["images"]]
    room.finished()
    rows = [room.get(f"/v1/images/{image['id']}").json() for image in told["images"]]
    assert [row["reference"]["label"] for row in rows] == ["covid19", "other_pneumonia", "no_pneumonia"]
    assert rows[0]["phantom"] == "phantom: COVID-19, with border"
    assert rows[0]["name"] is None


def test_reports_are_served_under_a_policy_of_their_own(open_room: OpenRoom, tmp_path: Path) -> None:
    folder = tmp_path / "tested"
    (folder / "tables").mkdir(parents=True)
    (folder / "index.html").write_text("<!doctype html><title>r</title>", "utf-8")
    (folder / "compare.json").write_text('{"made": "2026-01-01", "models": [{"model": "a"}, {"model": "b"}]}')
    (folder / "tables" / "metrics.csv").write_text("a,b\n")
    (folder / "answers.sqlite").write_text("x")
    (tmp_path / "secret.csv").write_text("secret")
    (folder / "link.csv").symlink_to(tmp_path / "secret.csv")
    room = open_room(folders=(tmp_path / "tested",))
    (report,) = room.get("/v1/evidence").json()["reports"]
    assert (report["kind"], report["title"], report["words"]) == ("comparison", "a, b", "2 tests side by side")
    page = room.get(report["url"])
    assert "'unsafe-inline'" in page.headers["content-security-policy"].partition("style-src")[2].partition(";")[0]
    assert "'unsafe-inline'" not in page.headers["content-security-policy"].partition("script-src")[2]
    assert room.get("/evidence/1/tables/metrics.csv").status_code == 200
    assert str(tmp_path) not in room.get("/v1/evidence").text
    for path in ("answers.sqlite", "link.csv", "../secret.csv", "%2e%2e/secret.csv", "none.csv"):
        assert room.get(f"/evidence/1/{path}").status_code in (404, 422)
    assert room.get("/evidence/2/index.html").status_code == 404
