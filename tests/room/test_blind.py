"""A blind room: before the read is saved, nothing of the finding is in any answer."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from lungsight._text import as_words
from room.conftest import Client, OpenRoom, png

#: The operations that the walk asks, of those that the description lists.
_BODIES = {
    "altered": {"kind": "blur"},
    "phantoms": {"count": 1, "size": 128},
    "reference": {"label": "covid19", "standard": "RT-PCR"},
}
#: Asked by themselves: it saves the read, it deletes, it never ends, it takes a file.
_NOT_WALKED = {
    ("put", "/v1/images/{image_id}/read"),
    ("delete", "/v1/images/{image_id}"),
    ("get", "/v1/events"),
    ("post", "/v1/images"),
}
_PAGES = ("/", "/images/{image_id}", "/evidence", "/room", "/help")


@pytest.fixture
def blind(open_room: OpenRoom) -> Client:
    return open_room(blind=True)


def _answers(room: Client, image: str) -> dict[str, str]:
    """Every answer that the room gives, but to what saves the read or ends the image."""
    described = room.get("/v1/openapi.json").json()["paths"]
    told = {page: room.get(page.format(image_id=image)).text for page in _PAGES}
    for path, operations in described.items():
        for method in operations:
            if (method, path) in _NOT_WALKED:
                continue
            address = path.format(image_id=image, level=0)
            body = next((body for name, body in _BODIES.items() if path.endswith(name)), None)
            answer = (
                room.request(method, address, json=body)
                if body and method != "delete"
                else room.request(method, address)
            )
            told[f"{method} {path}"] = answer.text
    for query in (
        "decision=covid19",
        "decision=no_pneumonia",
        "decision=inconclusive",
        "q=points",
        "q=covid19",
        "sort=date",
    ):
        told[query] = room.get(f"/v1/images?{query}").text
    told["csv"] = room.get("/v1/reads?format=csv").text
    return told


def _secrets(room: Client, image: str) -> list[str]:
    """What would betray the finding: its sentences, numbers and map, as the store has them."""
    row = room.room.listing.found(image)
    assert row is not None
    finding = json.loads(row.json)
    secrets = [f"{p:.4f}".rstrip("0") for p in finding["probabilities"].values()]
    secrets += [str(json.loads(row.map)[key]) for key in ("bias", "margin")]
    secrets += [*finding["reasons"], f'"verdict": "{finding["verdict"]}"', f'"decision":"{finding["verdict"]}"']
    return [*secrets, f'"urgency":{round(row.points, 2)}']


def test_nothing_is_told_before_the_read(blind: Client) -> None:
    image = blind.sent(png())
    secrets = _secrets(blind, image)
    for asked, answer in _answers(blind, image).items():
        assert [secret for secret in secrets if secret in answer] == [], asked


def test_the_walk_finds_what_an_open_room_tells(room: Client) -> None:
    """A walk that sees nothing would pass everything."""
    image = room.sent(png())
    told, secrets = _answers(room, image), _secrets(room, image)
    for operation in (
        "get /v1/images/{image_id}/finding",
        "get /v1/images/{image_id}",
        "get /v1/images/{image_id}/report",
    ):
        assert [secret for secret in secrets if secret in told[operation]] != [], operation
    assert secrets[-1] in told["get /v1/images"]
    assert any(secret in told["get /v1/images/{image_id}/evidence"] for secret in secrets)


def test_after_the_read_all_is_told(blind: Client) -> None:
    image, other = blind.sent(png(0)), blind.sent(png(1))
    held = blind.get(f"/v1/images/{image}")
    assert held.json()["blinded"] is True
    assert held.json()["finding"] is None
    assert [blind.get(f"/v1/images/{image}/{part}").status_code for part in ("finding", "evidence")] == [403, 403]
    assert blind.post(f"/v1/images/{image}/altered", json={"kind": "blur"}).status_code == 403
    saved = blind.put(f"/v1/images/{image}/read", json={"category": "negative", "seconds": 12.5}).json()
    assert saved["finding"]["verdict"] == saved["decision"]
    assert saved["reads"][0] | {"at": "", "reader": ""} == {
        "image": image, "at": "", "reader": "", "category": "negative", "agrees": None, "regions": [], "comment": "",
        "seconds": 12.5, "order": 1, "blind": True, "model": blind.room.model.id,
    }  # fmt: skip
    rows = blind.get("/v1/images").json()
    assert [(row["id"], row["blinded"]) for row in rows["images"]] == [(other, True), (image, False)]
    assert sum(rows["counts"]["by_decision"].values()) == 1


def test_the_order_of_held_back_images_is_that_of_their_arrival(blind: Client) -> None:
    sent = [blind.sent(png(seed)) for seed in range(6)]
    rows = blind.get("/v1/images").json()
    assert [row["id"] for row in rows["images"]] == sent
    assert rows["counts"]["by_decision"] == {}
    assert blind.get("/v1/images?decision=refused").json()["total"] == 0


def test_a_second_read_is_not_blind_and_the_first_stays(blind: Client) -> None:
    image = blind.sent(png())
    for category in ("indeterminate", "typical"):
        saved = blind.put(f"/v1/images/{image}/read", json={"category": category, "agrees": True}).json()
    assert [(read["category"], read["blind"], read["order"]) for read in saved["reads"]] == [
        ("typical", False, 2),
        ("indeterminate", True, 1),
    ]
    exported = blind.get("/v1/reads", params={"blind": True}).json()
    assert [read["category"] for read in exported] == ["indeterminate"]


def test_what_was_shown_in_an_open_room_is_no_blind_read(open_room: OpenRoom) -> None:
    with open_room() as first:
        seen, unseen = first.sent(png(0)), first.sent(png(1))
        first.get(f"/v1/images/{seen}")
    again = open_room(blind=True)
    again.finished()
    for image in (seen, unseen):
        again.put(f"/v1/images/{image}/read", json={"category": "negative"})
    by_image = {read["image"]: read["blind"] for read in again.get("/v1/reads").json()}
    assert by_image == {seen: False, unseen: True}


def test_a_phantom_keeps_its_label_to_itself(blind: Client) -> None:
    (drawn,) = blind.post("/v1/phantoms", json={"size": 128, "label": "covid19"}).json()["images"]
    blind.finished()
    row = blind.get("/v1/images").json()["images"][0]
    assert row["phantom"] == drawn["name"] == "phantom"
    for path in (f"/v1/images/{drawn['id']}", f"/v1/images/{drawn['id']}/report", "/v1/audit"):
        assert '"covid19 by' not in blind.get(path).text
        assert '"label":"covid19"' not in blind.get(path).text
    assert as_words("covid19") not in json.dumps(row)
    assert re.search(
        as_words("covid19"), blind.put(f"/v1/images/{drawn['id']}/read", json={"category": "typical"}).text
    )
    assert isinstance(Path(blind.room.store.folder), Path)
