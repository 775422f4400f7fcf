"""What lungsight sets in its environment before any library is imported. The package imports it first of all."""

from __future__ import annotations

import os

from lungsight._cores import ASKED_FOR, cores, cores_of_the_machine

#: No library may report home: docs/explanation/privacy.md promises it. Set whatever stood there before.
SILENT = {
    "ORT_DISABLE_TELEMETRY": "1",  # onnxruntime from 1.29 on: a device's id, the models' properties
    "RAY_USAGE_STATS_ENABLED": "0",  # Ray: the cluster's size, the libraries used
    "HF_HUB_DISABLE_TELEMETRY": "1",  # the hub's client, which timm brings
    "HF_HUB_DISABLE_UPDATE_CHECK": "1",
    "DO_NOT_TRACK": "1",  # consoledonottrack.com; what heeds it may come with any library's next version
    "NO_ALBUMENTATIONS_UPDATE": "1",  # not ours, but installed beside many a training library
}
#: Good manners, unless the user has set something else.
DEFAULTS = {
    # A thread that waits sleeps, instead of keeping the core that another process needs: beside one busy process a
    # training is several times quicker, alone it takes as long.
    "OMP_WAIT_POLICY": "passive",
}
#: What OpenBLAS, OpenMP and with it torch go by; they see the machine's cores, but not a container's share of them.
_THREADS = "OMP_NUM_THREADS"
_OF_OPENCV = "OPENCV_FOR_THREADS_NUM"


def prepare() -> None:
    """Set all of it for this process and those that it starts."""
    os.environ.update(SILENT)
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)
    if cores() < cores_of_the_machine():
        os.environ.setdefault(_THREADS, str(cores()))


def use_cores(count: int) -> None:
    """Let this process and those that it starts use ``count`` cores at most, 0: all. To be called before numpy, torch
    or OpenCV is imported, for they ask once."""
    if count:
        os.environ[ASKED_FOR] = str(count)
        os.environ[_THREADS] = os.environ[_OF_OPENCV] = str(cores())
