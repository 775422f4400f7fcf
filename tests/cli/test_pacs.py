"""``lungsight pacs``: what it is asked, and what its queue says; the loop itself is tested in tests/pacs."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from lungsight.cli import app

pytest.importorskip("pynetdicom")

from lungsight.pacs.queue import State
from lungsight.pacs.store import Store


def lungsight(*arguments: object) -> Result:
    return CliRunner(env={"COLUMNS": "200"}).invoke(app, [str(argument) for argument in arguments])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "--orthanc URL"),
        (["--orthanc", "http://127.0.0.1:1", "--listen", "A:1", "--send", "B@h:1"], "--orthanc URL"),
        (["--orthanc", "http://127.0.0.1:1", "--stow", "http://127.0.0.1:1"], "--listen"),
        (["--listen", "A:1"], "--send"),
        (["--listen", "A:1", "--stow", "http://127.0.0.1:1"], "--allow"),
    ],
)
def test_options_that_do_not_go_together_are_wrong_usage(tmp_path: Path, options: list[str], words: str) -> None:
    done = lungsight("pacs", "--store", tmp_path / "s", *options)
    assert done.exit_code == 2
    assert words in done.output
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize(
    "options",
    [
        ["--listen", "A", "--send", "B@h:1"],
        ["--listen", "A:1", "--send", "B:1"],
        ["--listen", "A:0", "--send", "B@h:1"],
    ],
)
def test_an_address_that_is_none_is_one_sentence(tmp_path: Path, options: list[str]) -> None:
    done = lungsight("pacs", "--store", tmp_path / "s", *options)
    assert done.exit_code == 3
    assert "AET" in done.output


def test_status_shows_the_queue_and_ends_with_1_when_images_were_given_up(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    assert lungsight("pacs", "status", "--store", folder).exit_code == 3
    with Store(folder) as store:
        store.receive("1.2.3", b"image")
        store.queue.pass_by("modality MR")
        assert lungsight("pacs", "status", "--store", folder).exit_code == 0  # beside a service at work
        (waiting,) = store.queue.due([State.RECEIVED], 1)
        store.finish(waiting, State.GIVEN_UP, "the data is cut short")
    done = lungsight("pacs", "status", "--store", folder)
    assert done.exit_code == 1
    assert "1 other object passed by: modality MR." in done.output
    assert "Image 1, given up: the data is cut short" in done.output
    assert "1.2.3" not in done.output
