"""What a figure was measured on: without it the figure says nothing."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

from bench.contestants import PEER_PYTHON
from supervisor import __version__


def describe() -> dict[str, str]:
    """Processor, kernel and every version that matters, by name."""
    return {
        "processor": f"{_processor()}, {os.cpu_count()} cores, wrk on the same ones",
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.1f} GiB",
        "kernel": platform.release(),
        "Python": platform.python_version(),
        "Cellblock": f"{__version__} ({_commit()})",
        "gunicorn": f"{version('gunicorn')} (HTTP parser in {'C' if _has('gunicorn_h1c') else 'Python'})",
        "uvloop": version("uvloop"),
        "functions-framework": f"{_peers('functions-framework')} on gunicorn {_peers('gunicorn')}",
        "wrk": _wrk(),
    }


def in_short() -> str:
    """Without the peers, which need not be installed."""
    return (
        f"{_processor()}, {os.cpu_count()} cores, kernel {platform.release()}, "
        f"Python {platform.python_version()}, Cellblock {__version__} ({_commit()}), "
        f"load average {load_average():.1f}"
    )


def load_average() -> float:
    """Processes that wanted to run in the last minute, on average."""
    return os.getloadavg()[0]


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _has(distribution: str) -> bool:
    from importlib.util import find_spec

    return find_spec(distribution) is not None


def _output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def _commit() -> str:
    root = str(Path(__file__).parent)
    commit = _output("git", "-C", root, "rev-parse", "--short", "HEAD") or "no commit"
    return commit + (" and changes" if _output("git", "-C", root, "status", "--porcelain", "-uno") else "")


def _peers(distribution: str) -> str:
    return _output(
        str(PEER_PYTHON), "-c", f"import importlib.metadata as m; print(m.version({distribution!r}))"
    )


def _wrk() -> str:
    # It prints its version and a usage text, and exits with 1.
    words = _output("wrk", "-v").split()
    return words[1] if len(words) > 1 else "unknown"
