"""``lungsight serve`` as people run it: how it begins and ends, a kill in between, and nothing leaves the machine."""

from __future__ import annotations

import os
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from room.conftest import png
from room.running import running

GUARD = Path(__file__).parents[1] / "socket_guard"


def test_it_says_its_address_serves_pages_and_ends_with_ctrl_c(tmp_path: Path, package: Path) -> None:
    log = tmp_path / "sockets.log"
    paths = os.pathsep.join([str(GUARD), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = os.environ | {"PYTHONPATH": paths, "LUNGSIGHT_SOCKET_LOG": str(log)}
    with running(tmp_path / "store", "--model", package, environment=environment) as room:
        assert room.address.startswith("http://127.0.0.1:")
        assert b"<!doctype html>" in room.ask("/")
        room.ask("/v1/images?name=a.png", "POST", png())
        assert room.until_done()["done"] == 1
        listening = threading.Thread(target=room.ask, args=("/v1/events",), daemon=True)
        listening.start()
        time.sleep(0.3)
        begun = time.monotonic()
        assert room.interrupt() in (0, 130)
        assert time.monotonic() - begun < 10
        listening.join(5)
        assert not listening.is_alive()
    assert "Traceback" not in "".join(room.output)
    assert not log.exists() or log.read_text() == ""


def test_a_room_listens_to_this_machine_alone(tmp_path: Path, package: Path) -> None:
    with running(tmp_path / "store", "--model", package) as room:
        port = int(room.address.rstrip("/").rpartition(":")[2])
        table = Path("/proc/net/tcp")
        if table.exists():
            listening = [line.split() for line in table.read_text().splitlines()[1:]]
            mine = [row[1] for row in listening if row[3] == "0A" and row[1].endswith(f":{port:04X}")]
            assert mine == [f"0100007F:{port:04X}"]
        with socket.create_connection(("127.0.0.1", port), timeout=5):
            pass


def test_after_a_kill_every_accepted_image_is_there_and_scanned_once(tmp_path: Path, package: Path) -> None:
    store, accepted = tmp_path / "store", []
    with running(store, "--model", package) as room:
        stopped = threading.Event()

        def send(first: int) -> None:
            seed = first
            while not stopped.is_set():
                try:
                    told = room.ask(f"/v1/images?name={seed}.png", "POST", png(seed))
                except OSError:
                    return
                accepted.extend(image["id"] for image in told["images"])
                seed += 10

        senders = [threading.Thread(target=send, args=(first,)) for first in range(4)]
        for sender in senders:
            sender.start()
        room.until(lambda: len(accepted) >= 12, 120)
        room.kill()
        stopped.set()
        for sender in senders:
            sender.join(30)
    before = list(accepted)
    with running(store, "--model", package) as room:
        health = room.until_done()
        rows = {row["id"]: row["state"] for row in room.ask("/v1/images?limit=500")["images"]}
        assert set(before) <= set(rows)
        assert set(rows.values()) == {"done"}
        assert health["received"] == health["done"] == len(rows)
        assert all((store / "images" / image[:2] / image).is_file() for image in before)
        room.interrupt()
    with sqlite3.connect(store / "room.sqlite") as database:
        assert database.execute("SELECT count(*), count(DISTINCT image) FROM findings").fetchone() == (len(rows),) * 2
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_folders_are_read_in_and_reports_are_not_taken_for_images(tmp_path: Path, package: Path) -> None:
    folder = tmp_path / "ward"
    (folder / "report").mkdir(parents=True)
    for seed in range(3):
        (folder / f"{seed}.png").write_bytes(png(seed))
    (folder / "report" / "index.html").write_text("<!doctype html><title>report</title>")
    (folder / "report" / "evidence.json").write_text('{"verdict": {"grade": "internal only", "sentence": ""}}')
    (folder / "report" / "figure.png").write_bytes(png(9))
    (folder / "notes.txt").write_text("notes")
    with running(tmp_path / "store", "--model", package, folder) as room:
        room.until(lambda: room.ask("/v1/health")["received"] == 3, 60)
        assert room.until_done()["done"] == 3
        (report,) = room.ask("/v1/evidence")["reports"]
        assert report["words"] == "internal only; shortcut not looked for"
        assert b"<title>report</title>" in room.ask(report["url"])
        assert all(row["name"] is None for row in room.ask("/v1/images")["images"])
        room.interrupt()


def test_one_room_at_a_time_has_a_store(tmp_path: Path, package: Path) -> None:
    words = ["serve", "--no-browser", "--port", "0", "--store", str(tmp_path / "store"), "--model", str(package)]
    with running(tmp_path / "store", "--model", package):
        second = subprocess.run(
            [sys.executable, "-m", "lungsight", *words], capture_output=True, text=True, timeout=120, check=False
        )
    assert second.returncode == 3
    assert "another reading room" in second.stderr
    assert second.stderr.count("\n") == 1


def test_the_first_page_waits_for_no_large_library(tmp_path: Path, package: Path) -> None:
    code = (
        "import sys, lungsight.room.application\n"
        "print([name for name in ('torch', 'scipy', 'pandas', 'cv2', 'matplotlib', 'onnxruntime', 'pydicom', "
        "'sqlalchemy.orm.session') if name in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert ran.stdout.strip() == "[]"


@pytest.mark.parametrize("problem", ["damaged", "newer"])
def test_a_store_that_can_t_be_used_is_one_sentence(tmp_path: Path, package: Path, problem: str) -> None:
    store = tmp_path / "store"
    store.mkdir()
    if problem == "damaged":
        (store / "room.sqlite").write_bytes(b"no database at all" * 100)
    else:
        with sqlite3.connect(store / "room.sqlite") as database:
            database.execute("PRAGMA user_version = 99")
    words = ["serve", "--no-browser", "--port", "0", "--store", str(store), "--model", str(package)]
    ended = subprocess.run(
        [sys.executable, "-m", "lungsight", *words], capture_output=True, text=True, timeout=120, check=False
    )
    assert ended.returncode == 3
    assert ended.stderr.count("\n") == 1, ended.stderr
    assert "Traceback" not in ended.stderr
