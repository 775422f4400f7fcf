"""What every test may ask for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

#: Nothing is fetched while testing, whichever library would like to.
os.environ.setdefault("HF_HUB_OFFLINE", "1")

_SHARED = Path(os.environ.get("LUNGSIGHT_SHARED", Path(__file__).resolve().parents[2] / "shared"))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The real image collections; the test is skipped where they are absent."""
    return _present(_SHARED / "data", "image collections")


@pytest.fixture(scope="session")
def shared_cases() -> Path:
    """Small inputs that earlier versions read wrongly; the test is skipped where they are absent."""
    return _present(_SHARED / "cases", "failing cases")


def _present(folder: Path, what: str) -> Path:
    if not folder.is_dir():
        pytest.skip(f"no {what} at {folder}")
    return folder
