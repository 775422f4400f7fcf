"""A contender's process: loads it, says it is ready, and does a round each time it is asked to.

``worker.py MODULE:FUNCTION SETTINGS FILES``: the settings are a JSON object, the files a JSON list. Its standard
output is one JSON object a line; what libraries print goes to standard error.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import sys
import time
from pathlib import Path


def main() -> None:
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    module, _, function = sys.argv[1].partition(":")
    task = getattr(importlib.import_module(module), function)(**json.loads(sys.argv[2]))
    files = [Path(file) for file in json.loads(sys.argv[3])]
    print(json.dumps({"ready": True}), file=replies)
    for at_least in sys.stdin:
        done, started = 0, time.perf_counter()
        while done == 0 or time.perf_counter() - started < float(at_least):
            done += task(files)
        seconds = time.perf_counter() - started
        print(json.dumps({"images": done, "seconds": seconds, "peak_bytes": peak_bytes()}), file=replies)


def peak_bytes() -> int:
    """The most memory this process has held. ``ru_maxrss`` would count the parent's, from before ``exec``."""
    status = Path("/proc/self/status")
    if status.exists():
        lines = dict(line.split(":", 1) for line in status.read_text("utf-8").splitlines())
        return int(lines["VmHWM"].split()[0]) * 1024
    in_kibibytes = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * in_kibibytes


if __name__ == "__main__":
    main()
