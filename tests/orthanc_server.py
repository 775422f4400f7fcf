"""Orthanc as Debian brings it, started by hand on loopback, and stopped or killed as a test likes."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import pytest

HTTP, DICOM = 18042, 14242
URL = f"http://127.0.0.1:{HTTP}"
_PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
OURS = ("LUNGSIGHT", 11112)


class OrthancServer:
    """Start it in a network namespace."""

    def __init__(self, folder: Path) -> None:
        self.program = shutil.which("Orthanc")
        if self.program is None or not _PLUGIN.exists():
            pytest.skip("Debian's orthanc and orthanc-dicomweb are not installed")
        self._settings = folder / "orthanc.json"
        stored = str(folder / "orthanc-storage")
        self._settings.write_text(
            json.dumps(
                {
                    "StorageDirectory": stored, "IndexDirectory": stored, "Plugins": [str(_PLUGIN)],
                    "HttpPort": HTTP, "DicomPort": DICOM, "DicomAet": "ORTHANC", "RemoteAccessAllowed": False,
                    "AuthenticationEnabled": False, "DicomAlwaysAllowStore": True, "OverwriteInstances": False,
                    "DicomModalities": {"lungsight": [OURS[0], "127.0.0.1", OURS[1]]},
                    "DicomWeb": {"Enable": True, "Root": "/dicom-web/", "EnableWado": True},
                }
            )
        )  # fmt: skip
        self._process: subprocess.Popen[bytes] | None = None
        self.client = httpx.Client(base_url=URL, timeout=60)

    def start(self) -> None:
        self._process = subprocess.Popen(
            [str(self.program), str(self._settings)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + 90
        while True:
            try:
                self.client.get("/system").raise_for_status()
                return
            except httpx.HTTPError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(timeout=60)
            self._process = None

    def take(self, data: bytes) -> None:
        self.client.post("/instances", content=data).raise_for_status()

    def get(self, path: str) -> Any:
        return self.client.get(path).raise_for_status().json()

    def results(self) -> dict[str, Counter[str]]:
        """Of each study, by its accession number, the modalities of its instances."""
        found: dict[str, Counter[str]] = {}
        for study in self.get("/studies?expand"):
            series = [self.get(f"/series/{one}") for one in study["Series"]]
            counted = Counter({one["MainDicomTags"]["Modality"]: len(one["Instances"]) for one in series})
            found[study["MainDicomTags"]["AccessionNumber"]] = counted
        return found
