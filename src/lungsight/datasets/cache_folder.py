"""The folder for what is computed from images: the user's cache folder, or one for this command alone."""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
from functools import lru_cache
from pathlib import Path

import platformdirs

_NO_HOME = "there is no home folder"


@lru_cache(maxsize=1)
def cache_folder() -> Path:
    """Return the user's cache folder for lungsight.

    Where it can't be written to (no home, a read-only one) it is a temporary folder, removed when the process ends; a
    sentence on standard error says so.
    """
    try:
        usual = Path(platformdirs.user_cache_dir("lungsight"))
        reason = _why_not(usual)
        if reason is None:
            return usual
    except RuntimeError:  # neither HOME nor the user's entry says where home is
        usual, reason = Path("~/.cache/lungsight"), _NO_HOME
    own = Path(tempfile.mkdtemp(prefix="lungsight-"))
    atexit.register(_remove, own, os.getpid())
    hint = "what is decoded is kept for this command alone; --cache names another folder, where a command has it"
    print(f"{usual}: can't be used to keep decoded images ({reason}); {hint}.", file=sys.stderr)
    return own


def _why_not(folder: Path) -> str | None:
    """What keeps us from writing into ``folder``; None where nothing does."""
    if not folder.is_absolute():
        return _NO_HOME
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return None
    except OSError as error:
        return error.strerror or str(error)


def _remove(folder: Path, owner: int) -> None:
    if os.getpid() == owner:  # a forked worker's end isn't the command's
        shutil.rmtree(folder, ignore_errors=True)
