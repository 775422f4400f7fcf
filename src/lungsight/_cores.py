"""How many processor cores this process may use, with a container's quota counted in."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

#: The environment variable by which a command's `--threads` reaches the processes that it starts.
ASKED_FOR = "LUNGSIGHT_THREADS"
_PROCESS, _ROOT = Path("/proc/self"), Path("/")


def cores(process: Path = _PROCESS, root: Path = _ROOT) -> int:
    """The number of threads that can run at once, 1 or more.

    It is the least of the cores that the process is bound to (``taskset``, a container's cpuset), the CPU quota of
    its control groups, rounded up, and the number given to :func:`lungsight._environment.use_cores`.

    Args:
        process: the process's folder in ``/proc``.
        root: the folder of the mount points that it names.
    """
    shares = (math.ceil(share) for share in _shares(process, root))
    return max(1, min([cores_of_the_machine(), *_asked_for(), *shares]))


def _asked_for() -> list[int]:
    asked = os.environ.get(ASKED_FOR, "")
    return [int(asked)] if asked.isdecimal() and int(asked) > 0 else []


def cores_of_the_machine() -> int:
    """The number of cores that this process is bound to, without its quota."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _shares(process: Path, root: Path) -> Iterator[float]:
    """The quota, in cores, of each control group of the process that has one."""
    for group in _groups(process, root):
        share = _share_v2(group) or _share_v1(group)
        if share is not None and share > 0:
            yield share


def _groups(process: Path, root: Path) -> Iterator[Path]:
    """The folders of the process's control groups for CPU time, each followed by its parents."""
    paths = dict(_paths(process))
    for kind, inside, point in _mounts(process):
        path = paths.get(kind)
        if path is None:
            continue
        # A container often mounts its own group, under the name that the group has outside.
        below = path.relative_to(inside) if path.is_relative_to(inside) else PurePosixPath()
        mounted = root / str(point).lstrip("/")
        yield from (mounted / part for part in (below, *below.parents))


def _paths(process: Path) -> Iterator[tuple[str, PurePosixPath]]:
    """The process's group by kind of hierarchy: ``cgroup`` (with CPU time) or ``cgroup2``."""
    for line in _lines(process / "cgroup"):
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:
            yield "cgroup2", PurePosixPath(path)
        elif "cpu" in controllers.split(","):
            yield "cgroup", PurePosixPath(path)


def _mounts(process: Path) -> Iterator[tuple[str, PurePosixPath, PurePosixPath]]:
    """The kind of each hierarchy for CPU time, the group that is mounted, and the mount point."""
    for line in _lines(process / "mountinfo"):
        fields, _, file_system = line.partition(" - ")
        words, described = fields.split(" "), file_system.split(" ")
        if len(words) < 5 or len(described) < 3:
            continue
        if described[0] == "cgroup2" or (described[0] == "cgroup" and "cpu" in described[2].split(",")):
            yield described[0], PurePosixPath(_unescaped(words[3])), PurePosixPath(_unescaped(words[4]))


def _share_v2(group: Path) -> float | None:
    for line in _lines(group / "cpu.max"):
        quota, _, period = line.partition(" ")
        return _ratio(quota, period)
    return None


def _share_v1(group: Path) -> float | None:
    quota, period = (next(iter(_lines(group / f"cpu.cfs_{name}_us")), "") for name in ("quota", "period"))
    return _ratio(quota, period)


def _ratio(quota: str, period: str) -> float | None:
    """None if there is no limit (``max``, −1) or it can't be read."""
    try:
        return int(quota) / int(period) if int(quota) > 0 else None
    except (ValueError, ZeroDivisionError):
        return None


def _unescaped(path: str) -> str:
    """A path in ``mountinfo``, where spaces and the like are octal numbers."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), path)


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text("utf-8", "replace").splitlines()
    except OSError:
        return []
