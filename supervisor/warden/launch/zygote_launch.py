"""The launch of a zygote: its root, its environment and its interpreter's command line.

Apart from ``zygote_handle``, which imports asyncio: the first zygote is launched before that is imported.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from supervisor.runtimes import Runtime
from supervisor.warden.jail import _host_syscalls as sys_
from supervisor.warden.jail.private_root import START_ONLY_FOLDER, system_root
from supervisor.warden.launch.launcher import Launch


def package_dir(name: str) -> Path:
    """The folder of a package of ours.

    It is not imported: the warden imports nothing of ``worker`` but its wire.
    """
    spec = find_spec(name)
    assert spec is not None and spec.origin is not None, f"package {name} is not installed"
    return Path(spec.origin).parent


# Places in a zygote's root.
CODE_PLACE = "/opt/cellblock"
# The name of our ``worker`` package there.  In a cell the name ``worker`` is the author's to use.
WORKER_NAME = "_cellblock"
LIBRARIES_PLACE = "/opt/libraries"

ZYGOTE_ENVIRONMENT = {
    "PATH": "/usr/bin:/bin",
    # Four that a function knows; those of a cell with another folder are set in the cell.
    "HOME": "/tmp",  # noqa: S108 - inside the cell
    "TMPDIR": "/tmp",  # noqa: S108
    "USER": "cell",
    "LOGNAME": "cell",
    "LANG": "C.UTF-8",
    "TZ": "UTC",
    "PYTHONDONTWRITEBYTECODE": "1",
    "MPLCONFIGDIR": "/tmp/matplotlib",  # noqa: S108
    # OpenBLAS would start threads at import, and a process with threads cannot be forked safely.
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "NUMEXPR_NUM_THREADS": "1",
}


def import_path(code: str, libraries: str) -> tuple[str, str, str]:
    """The entries of a zygote's ``sys.path``: our code first.

    The worker later puts the tenant's folder before all.  The folders ``worker/`` and ``function/``
    themselves are never on the path: with ``function/`` on it, our ``secrets`` module would shadow the
    standard library's.
    """
    return code, libraries, f"{code}/{WORKER_NAME}/standins"


# With this glibc asks for huge pages for allocations of at least that size.
HUGE_PAGES = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}
# glibc reads these when a process starts: whether programs may ask for huge pages, and their size.
ABOUT_HUGE_PAGES = tuple(
    f"/sys/kernel/mm/transparent_hugepage/{name}" for name in ("enabled", "hpage_pmd_size")
)


def bootstrap(path: tuple[str, str, str]) -> str:
    """The Python program that a zygote's interpreter runs."""
    return (
        f"import sys; sys.path.insert(0, {path[0]!r}); sys.path += {list(path[1:])!r}; "
        f"from {WORKER_NAME}.zygote import main; main()"
    )


def zygote_launch_of(
    runtime: Runtime, names: Sequence[str], control_fd: int, bare_code: Path | None, huge_pages: bool
) -> Launch:
    """The launch of a zygote that imports ``names``.  Its root holds the runtime, libraries and our worker.

    In tiers without namespaces there is no such root: ``bare_code`` is then the folder of our worker code.
    """
    root = system_root()
    # The files about huge pages have to be removed again, which an ordinary user's zygote may not.
    can_remove = bare_code is not None or os.geteuid() == 0
    huge_pages = huge_pages and can_remove and all(map(os.path.exists, ABOUT_HUGE_PAGES))
    if bare_code is None:
        for host_dir in runtime.host_dirs:
            root.read_only[str(host_dir)] = str(host_dir)
        root.read_only[str(runtime.libraries)] = LIBRARIES_PLACE
        root.read_only[str(package_dir("worker"))] = f"{CODE_PLACE}/{WORKER_NAME}"
        root.read_only[str(package_dir("function"))] = f"{CODE_PLACE}/function"
        root.folders = (*root.folders, "/function")
        root.with_proc = True
        if huge_pages:
            root.start_only_files = {file: Path(file).read_text() for file in ABOUT_HUGE_PAGES}
        path = import_path(CODE_PLACE, LIBRARIES_PLACE)
        # A host that refuses user namespaces to ordinary users allows them with this capability.
        keeps: tuple[int, ...] = (sys_.CAP_SYS_ADMIN,)
    else:
        path = import_path(str(bare_code), str(runtime.libraries))
        # Cells need these to change their user, and drop them.  KILL: a cell's keeper signals its worker,
        # which has another user.
        keeps = (sys_.CAP_KILL, sys_.CAP_SETGID, sys_.CAP_SETUID, sys_.CAP_SETPCAP)
    # PYTHONPATH is for interpreters that a function starts.
    environment = {**ZYGOTE_ENVIRONMENT, "PYTHONPATH": ":".join(path), **(HUGE_PAGES if huge_pages else {})}
    arguments = ["-I", "-S", "-B", "-X", "utf8", "-c", bootstrap(path), str(control_fd)]
    arguments += [START_ONLY_FOLDER if root.start_only_files else "", *names]
    return Launch(
        [str(runtime.python), *arguments],
        environment,
        root,
        os.getuid(),
        os.getgid(),
        os.getpid(),
        has_root=bare_code is None,
        keeps=keeps,
        oom_score=sys_.ZYGOTE_OOM_SCORE,
    )
