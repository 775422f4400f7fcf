"""``lungsight`` in processes that needn't import it: copies of one clean process that has, each a second quicker."""

from __future__ import annotations

import multiprocessing
import os
import sys
from multiprocessing.context import ForkServerProcess

from lungsight.cli import main

_CONTEXT = multiprocessing.get_context("forkserver")


def started(words: list[str]) -> ForkServerProcess:
    """``lungsight WORDS``, under way; what it prints is lost."""
    _CONTEXT.set_forkserver_preload(["lungsight.cli.scan", "onnxruntime"])
    process = _CONTEXT.Process(target=_silent, args=(words,))
    process.start()
    return process


def _silent(words: list[str]) -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(nowhere, stream)
    sys.argv = ["lungsight", *words]
    main()
