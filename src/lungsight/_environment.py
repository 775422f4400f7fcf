"""Environment variables that lungsight sets before any library is imported."""

from __future__ import annotations

import os

from lungsight._cores import ASKED_FOR, cores, cores_of_the_machine

#: No library may send telemetry: docs/explanation/privacy.md promises it. Set whatever the value was before.
SILENT = {
    "ORT_DISABLE_TELEMETRY": "1",  # onnxruntime from 1.29 on: a device's id, the models' properties
    "RAY_USAGE_STATS_ENABLED": "0",  # Ray: the cluster's size, the libraries used
    "HF_HUB_DISABLE_TELEMETRY": "1",  # the hub's client, which timm brings
    "HF_HUB_DISABLE_UPDATE_CHECK": "1",
    "OTEL_SDK_DISABLED": "true",  # OpenTelemetry, which FastAPI brings
    "FASTAPI_OTEL_AUTO_CONFIGURE": "false",
    "DO_NOT_TRACK": "1",  # consoledonottrack.com; any library may heed it in its next version
    "NO_ALBUMENTATIONS_UPDATE": "1",  # not a dependency, but often installed beside training libraries
}
#: Defaults, unless the user has set something else.
DEFAULTS = {
    # A waiting thread sleeps instead of keeping a core that another process needs. Beside one busy process training
    # is several times faster; alone it takes the same time.
    "OMP_WAIT_POLICY": "passive",
}
#: Read by OpenBLAS, OpenMP and torch, which see the machine's cores but not a container's quota.
_THREADS = "OMP_NUM_THREADS"
_OF_OPENCV = "OPENCV_FOR_THREADS_NUM"


def prepare() -> None:
    """Set all of them for this process and the processes that it starts."""
    os.environ.update(SILENT)
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)
    if cores() < cores_of_the_machine():
        os.environ.setdefault(_THREADS, str(cores()))


def use_cores(count: int) -> None:
    """Let this process and those that it starts use at most ``count`` cores; 0 means all.

    Call it before numpy, torch or OpenCV is imported: they read the number once.
    """
    if count:
        os.environ[ASKED_FOR] = str(count)
        os.environ[_THREADS] = os.environ[_OF_OPENCV] = str(cores())
