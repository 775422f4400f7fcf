"""On what a measurement was made."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from pathlib import Path

_PACKAGES = (
    "lungsight", "onnxruntime", "torch", "timm", "grad-cam", "torchxrayvision", "fastai", "numpy", "pillow",
    "scikit-image", "opencv-python-headless",
)  # fmt: skip
_TUNING = ("MALLOC_", "LD_PRELOAD", "OMP_", "MKL_", "KMP_")


def describe(cores: int) -> dict[str, str]:
    """CPU, cores, system, load before the start, versions, and the environment variables that change speed."""
    tuned = sorted(f"{key}={value}" for key, value in os.environ.items() if key.startswith(_TUNING))
    return {
        "cpu": f"{_cpu()}, {cores} cores used",
        "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "load_before": " ".join(f"{load:.1f}" for load in os.getloadavg()),
        "environment": " ".join(tuned) or "nothing set",
        "versions": ", ".join(f"{name} {version(name)}" for name in _PACKAGES),
    }


def _cpu() -> str:
    listing = Path("/proc/cpuinfo")
    if not listing.exists():
        return platform.processor() or "unknown"
    fields = dict(line.split(":", 1) for line in listing.read_text("utf-8").splitlines() if ":" in line)
    named = {key.strip(): value.strip() for key, value in fields.items()}
    family = f"family {named['cpu family']} model {named['model']}" if "cpu family" in named else ""
    return f"{named.get('model name', platform.machine())} {family}".strip()
