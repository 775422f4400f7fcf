"""Who may ask a room: by host, origin, token; and what a browser may do with its answers."""

from __future__ import annotations

import socket

import pytest
from typer.testing import CliRunner

from lungsight.cli import app
from lungsight.room.application import bound
from lungsight.room.safety import Access, is_loopback
from room.conftest import Client, OpenRoom, png

_TOKEN = "correct horse battery staple"


@pytest.mark.parametrize("host", ["localhost", "localhost:8365", "127.0.0.1:1", "[::1]:8365", "LOCALHOST"])
def test_the_room_answers_to_its_own_names(room: Client, host: str) -> None:
    assert room.get("/v1/health", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8365", "localhost.evil.example", "127.0.0.1.nip.io", "192.168.0.7", ""]
)
def test_dns_rebinding_reaches_nothing(room: Client, host: str) -> None:
    for path in ("/", "/v1/images", "/static/x/viewer.js"):
        answer = room.get(path, headers={"host": host})
        assert answer.status_code == 421
        assert "set-cookie" not in answer.headers
    assert room.post("/v1/images", content=png(), headers={"host": host}).status_code == 421
    assert room.get("/v1/health").json()["received"] == 0


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://localhost:9999"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
def test_no_other_page_changes_anything(room: Client, headers: dict[str, str]) -> None:
    image = room.sent(png())
    writes = [
        room.post("/v1/images", content=png(1), headers=headers),
        room.put(f"/v1/images/{image}/read", json={"category": "typical"}, headers=headers),
        room.delete(f"/v1/images/{image}", headers=headers),
        room.post("/v1/phantoms", json={}, headers=headers),
    ]
    assert [write.status_code for write in writes] == [403] * 4
    assert room.get("/v1/health").json()["received"] == 1
    assert room.get(f"/v1/images/{image}").json()["read"] is None
    own = {"origin": "http://localhost", "sec-fetch-site": "same-origin"}
    assert room.delete(f"/v1/images/{image}", headers=own).status_code == 204


def test_every_answer_has_its_headers(room: Client) -> None:
    image = room.sent(png())
    for path in (
        "/",
        "/help",
        f"/images/{image}",
        "/v1/room",
        f"/v1/images/{image}",
        "/v1/none",
        f"/v1/images/{image}/pixels/0",
    ):
        headers = room.get(path).headers
        policy = headers["content-security-policy"]
        assert "unsafe" not in policy
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
        assert "frame-ancestors 'none'" in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
        assert "server" not in headers
        assert "access-control-allow-origin" not in headers


def test_a_page_gives_a_session_that_scripts_cannot_read(room: Client) -> None:
    given = room.get("/").headers["set-cookie"]
    assert given.endswith("; Path=/; HttpOnly; SameSite=Strict")
    assert "set-cookie" not in room.get("/").headers
    room.cookies.clear()
    room.cookies.set(room.room.store.key.hex()[:4], "x")
    assert "set-cookie" in room.get("/").headers


def test_a_forged_session_is_none(room: Client) -> None:
    access = Access.to(room.room.store.key, "127.0.0.1")
    made = access.new_session()
    session, _, mac = made.partition(".")
    assert access.session(made) == session
    for forged in (
        f"{session}.",
        f"{session}.{mac[:-1]}0" if mac[-1] != "0" else f"{session}.{mac[:-1]}1",
        "admin",
        ".",
    ):
        assert access.session(forged) is None
    assert Access.to(b"another key" * 3, "127.0.0.1").session(made) is None
    assert Access.to(room.room.store.key, "127.0.0.1", _TOKEN).session(made) is None


def test_with_a_token_nothing_is_told_without_it(open_room: OpenRoom) -> None:
    room = open_room(host="0.0.0.0", token=_TOKEN)
    for path in ("/", "/v1/images", "/v1/health", "/v1/openapi.json", "/static/x/viewer.js", "/evidence"):
        answer = room.get(path)
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert room.get("/", params={"token": "wrong"}).status_code == 401
    assert room.get("/v1/health", headers={"authorization": "Bearer wrong"}).status_code == 401
    assert room.get("/v1/health", headers={"authorization": f"Bearer {_TOKEN}"}).status_code == 200
    assert room.post("/v1/images", content=png()).status_code == 401
    entered = room.get("/", params={"token": _TOKEN, "x": "1"}, follow_redirects=False)
    assert (entered.status_code, entered.headers["location"]) == (303, "/?x=1")
    assert _TOKEN not in str(entered.headers)
    assert room.get("/v1/health").status_code == 200
    assert room.get("/v1/health", headers={"host": "192.168.0.7:8365"}).status_code == 200
    assert room.get("/v1/health", headers={"host": "evil.example"}).status_code == 421


def test_an_address_that_redirects_stays_here(open_room: OpenRoom) -> None:
    room = open_room(token=_TOKEN)
    moved = room.get("//evil.example/", params={"token": _TOKEN}, follow_redirects=False)
    assert moved.headers.get("location", "/").startswith("/")
    assert not moved.headers.get("location", "/").startswith("//")


@pytest.mark.parametrize("words", [["--host", "0.0.0.0"], ["--host", "192.0.2.7"], ["--host", "::"]])
def test_an_address_that_others_reach_needs_a_token(words: list[str]) -> None:
    ended = CliRunner().invoke(app, ["serve", "--no-browser", *words])
    assert ended.exit_code == 3
    assert "--token" in ended.stderr


def test_a_short_token_is_none() -> None:
    ended = CliRunner().invoke(app, ["serve", "--no-browser", "--token", "short"])
    assert ended.exit_code == 2


def test_addresses_of_this_machine() -> None:
    assert all(map(is_loopback, ("localhost", "127.0.0.1", "127.9.9.9", "::1")))
    assert not any(map(is_loopback, ("0.0.0.0", "::", "192.168.1.1", "example.org", "localhost.example.org")))


def test_a_taken_port_is_one_sentence_and_the_usual_one_gives_way() -> None:
    with bound("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        ended = CliRunner().invoke(app, ["serve", "--no-browser", "--port", str(port)])
        assert ended.exit_code == 3
        assert ended.stderr.count("\n") == 1
    with bound("127.0.0.1", None) as first, bound("127.0.0.1", None) as second:
        assert first.getsockname() != second.getsockname()
        assert isinstance(first, socket.socket)
