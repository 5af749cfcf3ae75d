"""How a zygote is launched: its root, its environment and its interpreter's command line.

Apart from ``zygotes``, which has an event loop: the first one is launched before anybody imports that.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from supervisor.runtimes import Runtime
from supervisor.warden.jail import _host_syscalls as sys_
from supervisor.warden.jail.private_root import PASSING, system_root
from supervisor.warden.launch.launcher import Launch

# Before the fronts and after the cells (``warden.OOM_SCORE``): another starts in a fraction of a second.
OOM_SCORE = 300


def package_dir(name: str) -> Path:
    """Where a package of ours lies; found and not imported: the warden imports nothing of the worker's."""
    spec = find_spec(name)
    assert spec is not None and spec.origin is not None, f"package {name} is not installed"
    return Path(spec.origin).parent


# Where a zygote finds things in a root of its own.
CODE_PLACE = "/opt/cellblock"
# Our worker's package there: what is named ``worker`` in a cell is the author's.
WORKER_NAME = "_cellblock"
LIBRARIES_PLACE = "/opt/libraries"

ENVIRONMENT = {
    "PATH": "/usr/bin:/bin",
    "HOME": "/tmp",  # noqa: S108 - inside the cell
    "LANG": "C.UTF-8",
    "TZ": "UTC",
    "PYTHONDONTWRITEBYTECODE": "1",
    "MPLCONFIGDIR": "/tmp/matplotlib",  # noqa: S108
    # OpenBLAS starts threads at import; a process with threads cannot be forked safely.
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "NUMEXPR_NUM_THREADS": "1",
}


def import_path(code: str, libraries: str) -> tuple[str, str, str]:
    """What is on a zygote's path: ours first; the worker puts the tenant's folder before all, and ours last.

    Never the worker's or function/ itself: with function/ on the path the standard library's ``secrets``
    would be ours.
    """
    return code, libraries, f"{code}/{WORKER_NAME}/standins"


# glibc then asks for huge pages for what is allocated at once and is as large as one.
HUGE_PAGES = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}
# Where it reads, when a process starts, whether programs may ask here, and how large one is.
ABOUT_HUGE_PAGES = tuple(
    f"/sys/kernel/mm/transparent_hugepage/{name}" for name in ("enabled", "hpage_pmd_size")
)


def bootstrap(path: tuple[str, str, str]) -> str:
    """The program of a zygote's interpreter."""
    return (
        f"import sys; sys.path.insert(0, {path[0]!r}); sys.path += {list(path[1:])!r}; "
        f"from {WORKER_NAME}.zygote import main; main()"
    )


def launch_of(
    runtime: Runtime, names: Sequence[str], control_fd: int, bare_code: Path | None, huge_pages: bool
) -> Launch:
    """The launch of a zygote: its root holds the runtime, the libraries and our worker code.

    ``names`` are imported ahead.  ``bare_code`` is the folder of that code for cells without namespaces,
    which have no such root.
    """
    root = system_root()
    # An ordinary user's zygote has no right to take away again what its interpreter needs for them.
    is_able = bare_code is not None or os.geteuid() == 0
    huge_pages = huge_pages and is_able and all(map(os.path.exists, ABOUT_HUGE_PAGES))
    if bare_code is None:
        for host_dir in runtime.host_dirs:
            root.read_only[str(host_dir)] = str(host_dir)
        root.read_only[str(runtime.libraries)] = LIBRARIES_PLACE
        root.read_only[str(package_dir("worker"))] = f"{CODE_PLACE}/{WORKER_NAME}"
        root.read_only[str(package_dir("function"))] = f"{CODE_PLACE}/function"
        root.folders = (*root.folders, "/function")
        root.with_proc = True
        if huge_pages:
            root.passing = {file: Path(file).read_text() for file in ABOUT_HUGE_PAGES}
        path = import_path(CODE_PLACE, LIBRARIES_PLACE)
        # Root's user namespaces need no right; those of hosts that refuse them to others need this one.
        keeps: tuple[int, ...] = (sys_.CAP_SYS_ADMIN,)
    else:
        path = import_path(str(bare_code), str(runtime.libraries))
        # For its cells, which drop them; a cell's keeper has another user than its worker, which it signals.
        keeps = (sys_.CAP_KILL, sys_.CAP_SETGID, sys_.CAP_SETUID, sys_.CAP_SETPCAP)
    # For a function's child interpreters.
    environment = {**ENVIRONMENT, "PYTHONPATH": ":".join(path), **(HUGE_PAGES if huge_pages else {})}
    arguments = ["-I", "-S", "-B", "-X", "utf8", "-c", bootstrap(path), str(control_fd)]
    arguments += [PASSING if root.passing else "", *names]
    return Launch(
        [str(runtime.python), *arguments],
        environment,
        root,
        os.getuid(),
        os.getgid(),
        os.getpid(),
        has_root=bare_code is None,
        keeps=keeps,
        oom_score=OOM_SCORE,
    )
