from __future__ import annotations

import functools
import os
import signal
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from lungsight.cli import app
from lungsight.datasets.collection import RemoteFile
from lungsight.datasets.docs_page import catalogue
from lungsight.datasets.manifest import COLUMNS, Manifest
from lungsight.datasets.registry import COLLECTIONS

runner = CliRunner()
KERMANY_FILES = ("chest_xray/train/NORMAL/IM-0115-0001.jpeg", "chest_xray/train/PNEUMONIA/person1_virus_6.jpeg")


@pytest.fixture
def kermany(tmp_path: Path) -> Path:
    for name in KERMANY_FILES:
        (tmp_path / "kermany" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "kermany" / name).touch()
    return tmp_path / "kermany"


@pytest.fixture
def nih(tmp_path: Path) -> Path:
    for name in ("No_findings/00000005_000.jpg", "Pneumonia/00000006_000.jpg", "Effusion/00000007_000.jpg"):
        (tmp_path / "nih" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "nih" / name).touch()
    return tmp_path / "nih"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder that a server on this machine hands out as kermany's home."""
    folder = tmp_path / "home"
    folder.mkdir()

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    remote = RemoteFile(f"http://127.0.0.1:{server.server_port}/images.zip", "ChestXRay2017.zip", gigabytes=1e-6)
    monkeypatch.setitem(COLLECTIONS, "kermany", replace(COLLECTIONS["kermany"], downloads=(remote,)))  # type: ignore[arg-type]
    yield folder
    server.shutdown()
    server.server_close()
    thread.join()


def words(output: str) -> str:
    return " ".join(output.split())


def test_list_names_every_collection() -> None:
    shown = runner.invoke(app, ["data", "list"])
    assert shown.exit_code == 0
    for collection in COLLECTIONS.values():
        assert f"\n{collection.name} " in shown.output


def test_list_makes_the_page_of_the_documentation() -> None:
    assert runner.invoke(app, ["data", "list", "--markdown"]).output == catalogue()


@pytest.mark.parametrize("name", COLLECTIONS)
def test_describe_tells_all_that_is_known(name: str) -> None:
    shown = runner.invoke(app, ["data", "describe", name], env={"COLUMNS": "400"})
    assert shown.exit_code == 0
    collection = COLLECTIONS[name]
    for fact in (
        collection.home,
        collection.licence,
        collection.labels_rest_on,
        collection.layout,
        *collection.traps,
    ):
        assert fact in words(shown.output)
    for remote in collection.downloads:
        assert f"\n{remote.url}\n" in shown.output


def test_describe_table_documents_every_column() -> None:
    shown = runner.invoke(app, ["data", "describe", "table"], env={"COLUMNS": "400"})
    for column in COLUMNS.values():
        assert f"\n{column.name} " in shown.output
        assert column.meaning in shown.output


def test_an_unknown_collection_is_one_sentence() -> None:
    shown = runner.invoke(app, ["data", "describe", "kermani"])
    assert shown.exit_code == 3
    assert shown.stderr.startswith("kermani: no such collection; choose one of ieee8023")


def test_build_writes_a_manifest_and_says_what_it_left_out(nih: Path, tmp_path: Path) -> None:
    out = tmp_path / "nih.csv"
    shown = runner.invoke(app, ["data", "build", "nih", str(nih), "--out", str(out)])
    assert shown.exit_code == 0, shown.stderr
    assert "nih: 1 left out: neither 'No Finding' nor 'Pneumonia' among its findings" in words(shown.output)
    assert "2 images of 2 patients" in shown.output
    assert "nih no_pneumonia X-ray frontal 1 1" in words(shown.output)
    assert list(pd.read_csv(out)["path"]) == ["nih/No_findings/00000005_000.jpg", "nih/Pneumonia/00000006_000.jpg"]


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_build_joins_several_collections(kermany: Path, nih: Path, tmp_path: Path, ending: str) -> None:
    out = tmp_path / "new" / f"all.{ending}"
    shown = runner.invoke(app, ["data", "build", f"kermany={kermany}", f"nih={nih}", "--out", str(out)])
    assert shown.exit_code == 0, shown.stderr
    table = Manifest.read(out).table
    assert table["source"].value_counts().to_dict() == {"kermany": 2, "nih": 2}
    assert all(Path(path).is_file() for path in table["path"])


def test_build_renames_the_labels_of_folders(nih: Path, tmp_path: Path) -> None:
    out = tmp_path / "mine.csv"
    asked = ["data", "build", "class-folders", str(nih), "--out", str(out), "--patient", r"^(\d{8})_"]
    shown = runner.invoke(app, [*asked, "--label", "No_findings=no_pneumonia"])
    assert shown.exit_code == 0, shown.stderr
    assert "Labels of your own: Effusion, Pneumonia." in words(shown.output)
    table = Manifest.read(out).table
    assert sorted(table["label"]) == ["Effusion", "Pneumonia", "no_pneumonia"]
    assert sorted(table["patient"]) == ["00000005", "00000006", "00000007"]


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (["nih"], "'nih' names no folder"),
        (["nih=here", "there"], "'there' names no folder"),
        (["nih=here", "--out", "x.xlsx"], "a manifest ends in .csv or .parquet"),
        (["nih=here", "--label", "a=b"], "are for class-folders"),
        (["class-folders=here", "--label", "a"], "'a' isn't FOUND=LABEL"),
        (["class-folders=here", "--patient", "("], "isn't a regular expression"),
    ],
)
def test_wrong_usage_is_told(asked: list[str], told: str) -> None:
    shown = runner.invoke(app, ["data", "build", *asked], env={"COLUMNS": "400"})
    assert shown.exit_code == 2
    assert told in words(shown.stderr)


def test_a_failed_build_writes_nothing(kermany: Path, tmp_path: Path) -> None:
    out = tmp_path / "all.csv"
    shown = runner.invoke(app, ["data", "build", f"kermany={kermany}", f"siim={kermany}", "--out", str(out)])
    assert shown.exit_code == 3
    assert "holds no train_study_level.csv, so it isn't the collection siim" in shown.stderr
    assert not out.exists()


def test_a_folder_named_twice_is_refused(nih: Path, tmp_path: Path) -> None:
    out = tmp_path / "all.csv"
    shown = runner.invoke(app, ["data", "build", f"nih={nih}", f"class-folders={nih}", "--out", str(out)])
    assert shown.exit_code == 3
    assert "comes twice, as do 1 other images; name each folder once" in shown.stderr
    assert not out.exists()


def test_get_fetches_unpacks_and_is_done_the_second_time(home: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(home / "images.zip", "w") as archive:
        for name in KERMANY_FILES:
            archive.writestr(name, b"pixels")
    to = tmp_path / "got"
    shown = runner.invoke(app, ["data", "get", "kermany", "--to", str(to)])
    assert shown.exit_code == 0, shown.stderr
    assert "publishes no checksum" in shown.output
    assert (to / "ChestXRay2017.zip.sha256").is_file()
    assert len(COLLECTIONS["kermany"].build(to).manifest) == 2
    (home / "images.zip").unlink()
    again = runner.invoke(app, ["data", "get", "kermany", "--to", str(to)])
    assert again.exit_code == 0
    assert "is already there" in again.output


def test_get_says_when_a_page_came_in_place_of_an_archive(home: Path, tmp_path: Path) -> None:
    (home / "images.zip").write_text("<html>please log in</html>")
    shown = runner.invoke(app, ["data", "get", "kermany", "--to", str(tmp_path / "got")])
    assert shown.exit_code == 3
    assert "not a zip archive" in shown.stderr
    assert not (tmp_path / "got/ChestXRay2017").exists()


def test_get_says_how_to_get_what_needs_an_account() -> None:
    shown = runner.invoke(app, ["data", "get", "siim"])
    assert shown.exit_code == 3
    assert "with a Kaggle account" in shown.stderr


def heed_interrupts() -> None:
    """A suite that a shell runs in the background ignores interrupts, and so would its children."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_ctrl_c_while_the_command_runs_is_one_line(tmp_path: Path) -> None:
    """The real command and a real signal, while it waits for a table that never comes."""
    os.mkfifo(tmp_path / "metadata.csv")
    asked = [sys.executable, "-c", "from lungsight.cli import main; main()", "data", "build", f"ieee8023={tmp_path}"]
    with subprocess.Popen(
        asked,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        preexec_fn=heed_interrupts,
    ) as process:
        writer = os.open(tmp_path / "metadata.csv", os.O_WRONLY)  # returns once the command has begun to read
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
        os.close(writer)
    assert process.returncode == 130
    assert said.strip().splitlines()[-1].startswith("Stopped.")
    assert "Traceback" not in said


@pytest.mark.shared
def test_every_real_collection_in_one_manifest(shared_data: Path, tmp_path: Path) -> None:
    names = ("ieee8023", "kermany", "nih", "siim", "shenzhen-montgomery")
    out = tmp_path / "all.csv"
    shown = runner.invoke(app, ["data", "build", *(f"{n}={shared_data / n}" for n in names), "--out", str(out)])
    assert shown.exit_code == 0, shown.stderr
    assert "6,905 images" in shown.output
    assert "left out" not in shown.output
    counts = Manifest.read(out).table["source"].value_counts().to_dict()
    assert counts == {"ieee8023": 737, "kermany": 710, "nih": 1000, "siim": 3754, "shenzhen-montgomery": 704}
