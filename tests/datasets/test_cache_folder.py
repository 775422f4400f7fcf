from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lungsight.datasets import cache_folder as module
from lungsight.datasets.cache_folder import cache_folder
from lungsight.datasets.duplicates.store import FingerprintStore
from lungsight.errors import LungsightError

_CODE = "from lungsight.datasets.cache_folder import cache_folder; f = cache_folder(); print(f, f.is_dir())"


def _asked(home: str | None, *before: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"]} | ({} if home is None else {"HOME": home})
    return subprocess.run(
        [*before, sys.executable, "-c", _CODE], env=environment, cwd=cwd, capture_output=True, text=True, check=True
    )


def test_the_user_s_own_is_used_without_a_word(tmp_path: Path) -> None:
    done = _asked(str(tmp_path / "home"), cwd=tmp_path)
    assert done.stdout.split() == [str(tmp_path / "home" / ".cache" / "lungsight"), "True"]
    assert done.stderr == ""


@pytest.mark.parametrize("home", ["/proc", "/dev/null"])
def test_without_a_home_that_can_be_written_to_there_is_one_for_this_command(tmp_path: Path, home: str) -> None:
    done = _asked(home, cwd=tmp_path)
    folder, was_there = done.stdout.split()
    assert was_there == "True"
    assert not Path(folder).exists()
    assert "can't be used to keep decoded images (" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_user_whom_the_system_does_not_know(tmp_path: Path) -> None:
    unknown = [str(shutil.which("unshare")), "-U", "--map-user=12345"]
    if subprocess.run([*unknown, "true"], capture_output=True, check=False).returncode:
        pytest.skip("needs unshare, and the right to use it")
    done = _asked(None, *unknown, cwd=tmp_path)
    assert done.stdout.endswith("True\n")
    assert "there is no home folder" in done.stderr


def test_it_is_asked_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cache_folder.cache_clear()
    monkeypatch.setattr(module.platformdirs, "user_cache_dir", lambda name: "/proc/cache")
    try:
        assert cache_folder() == cache_folder()
    finally:
        cache_folder.cache_clear()
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize("damage", ["a file", "no database"])
def test_a_cache_that_cannot_be_used_is_one_sentence(tmp_path: Path, damage: str) -> None:
    folder = tmp_path / "cache"
    if damage == "a file":
        folder.write_text("")
    else:
        folder.mkdir()
        (folder / "fingerprints-1.sqlite").write_bytes(b"no database at all" * 100)
    with pytest.raises(LungsightError, match=r"cache(/fingerprints-1.sqlite)?: "), FingerprintStore.open(folder):
        pass
