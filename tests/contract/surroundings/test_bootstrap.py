"""How our packages come onto a cell's path, and the tenant's before them; nothing of the server's.

Each of these was a trap once: ``-m`` finds no package under ``-I``; a package folder itself on the
path makes ``secrets`` ours; what the worker has imported hides what a bundle brings.
"""

from __future__ import annotations

import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from supervisor.warden.launch.zygote_launch import CODE_PLACE, WORKER_NAME, bootstrap, import_path
from tests.support.runtimes import ROOT, on_every_runtime, run_in, runtime_or_skip
from tests.support.server import Server
from worker.sandbox.places import function_dir as FUNCTION_DIR

HERE = Path(__file__).parent
FIRST_IMPORT = f"from {WORKER_NAME}.zygote import main; main()"
# What a tenant may put into a bundle under a name of ours or of the standard library's.
CONTESTED = ("secrets.py", "json.py", "function.py", "worker.py", "msgpack.py", "werkzeug.py", "asyncio.py")


@pytest.fixture
def places(tmp_path: Path) -> tuple[Path, Path]:
    """A folder with our two packages only, as a cell sees them, and a tenant's folder."""
    packages, tenant = tmp_path / "packages", tmp_path / "tenant"
    packages.mkdir()
    tenant.mkdir()
    for name, package in ((WORKER_NAME, "worker"), ("function", "function")):
        (packages / name).symlink_to(ROOT / package)
    for name in CONTESTED:
        (tenant / name).write_text("")
    (tenant / "mine.py").write_text("")
    return packages, tenant


def said_by(runtime_name: str, places: tuple[Path, Path]) -> tuple[Any, str]:
    """What the driver prints, and where the runtime's libraries are."""
    runtime = runtime_or_skip(runtime_name)
    packages, tenant = places
    program = bootstrap(import_path(str(packages), str(runtime.libraries)))
    assert program.endswith(FIRST_IMPORT)
    driver = HERE / "driver_bootstrap.py"
    return run_in(runtime, driver, program.removesuffix(FIRST_IMPORT), str(tenant)), str(runtime.libraries)


@on_every_runtime
def test_ours_come_first_the_libraries_last_and_no_package_folder_is_on_the_path(
    runtime_name: str, places: tuple[Path, Path]
) -> None:
    said, libraries = said_by(runtime_name, places)
    packages = str(places[0])
    assert said["path"] == [packages, *said["before"], libraries, f"{packages}/{WORKER_NAME}/standins"]
    assert not {f"{packages}/{WORKER_NAME}", f"{packages}/function", str(ROOT), ""} & set(said["path"])
    assert said["flags"] == [1, 1, 1] and not said["site"]


@on_every_runtime
def test_every_module_that_a_cell_sees_can_be_imported(runtime_name: str, places: tuple[Path, Path]) -> None:
    said, _ = said_by(runtime_name, places)
    packages = str(places[0])
    assert {name: found for name, found in said["modules"].items() if not found.startswith(packages)} == {}
    files = {path.relative_to(ROOT) for name in ("worker", "function") for path in (ROOT / name).rglob("*.py")
             if "standins" not in path.parts}  # fmt: skip
    assert len(said["modules"]) == len(files)
    assert {found.rpartition("/")[0] for found in said["standins"].values()} == {
        f"{packages}/{WORKER_NAME}/standins/swx", f"{packages}/{WORKER_NAME}/standins/swx/auth",
    }  # fmt: skip


@on_every_runtime
def test_a_tenants_folder_comes_first_ours_last_and_its_modules_before_what_was_imported(
    runtime_name: str, places: tuple[Path, Path]
) -> None:
    said, libraries = said_by(runtime_name, places)
    packages, tenant = map(str, places)
    standins = f"{packages}/{WORKER_NAME}/standins"
    assert said["tenants_path"] == [tenant, *said["before"], libraries, standins, packages]
    contested = said["contested"]
    for name, found in contested.items():
        assert found.startswith(tenant) != name.startswith("function"), f"{name} is {found}"
    assert contested["function.secrets"] == f"{packages}/function/secrets.py"


@on_every_runtime
def test_neither_the_server_nor_the_worker_can_be_imported_from_what_a_cell_sees(
    runtime_name: str, places: tuple[Path, Path]
) -> None:
    said, _ = said_by(runtime_name, places)
    assert set(said["absent"].values()) == {"ModuleNotFoundError"}


@on_every_runtime
def test_what_an_interpreter_starts_with_is_known(runtime_name: str, places: tuple[Path, Path]) -> None:
    said, _ = said_by(runtime_name, places)
    # Without the site packages of this machine, some of which import more at every start.
    program = places[0].parent / "program.py"
    program.write_text("import sys, site; print(*{name.partition('.')[0] for name in sys.modules})")
    done = subprocess.run(
        [str(runtime_or_skip(runtime_name).python), "-I", "-S", str(program)],
        stdin=subprocess.DEVNULL, capture_output=True, timeout=30, check=True, text=True,
    )  # fmt: skip
    assert (
        {"os", "site"} < set(done.stdout.split()) - set(sys.builtin_module_names) <= set(said["started_with"])
    )


@on_every_runtime
def test_an_isolated_interpreter_finds_no_package_of_ours_by_itself(runtime_name: str) -> None:
    runtime = runtime_or_skip(runtime_name)
    done = subprocess.run(
        [str(runtime.python), "-I", "-S", "-m", f"{WORKER_NAME}.zygote"],
        cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, timeout=30, check=False,
    )  # fmt: skip
    assert done.returncode != 0 and b"No module named" in done.stderr


HANDLER = """
import json, os, pkgutil, sys, importlib.util
import function.secrets

def kind_of_import(name):
    try:
        __import__(name)
    except Exception as error:
        return type(error).__name__
    return sys.modules[name].__file__

def handle(req):
    return {"body": {
        "path": sys.path,
        "python": "python%d.%d" % sys.version_info[:2],
        "imported": {name: kind_of_import(name) for name in NAMES},
        "found": [name for name in NAMES if importlib.util.find_spec(name.partition(".")[0])],
        "listed": [each.name for each in pkgutil.iter_modules() if each.name in NAMES],
        "loaded": [name for name in sys.modules if name.startswith(("worker", "supervisor", "seccomp"))],
        "main": sorted(name for name in vars(sys.modules["__main__"]) if not name.startswith("_")),
        "function.secrets": function.secrets.__file__,
        "missing": function.secrets.get("none"),
        "mine": kind_of_import("mine"),
        "flags": [sys.flags.isolated, sys.flags.no_site],
        "packages": sorted(os.listdir("/opt/cellblock")),
    }}

NAMES = ["supervisor", "supervisor.settings.declarations", "seccomp", "worker", "worker.wire", "wire",
"_syscalls"]
"""


def bundle() -> bytes:
    """The handler, and a module beside it."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("handler.py", HANDLER)
        archive.writestr("mine.py", "")
        archive.writestr("function.py", "raise RuntimeError('never imported')")
    return file.getvalue()


@pytest.mark.promise("S125")
@on_every_runtime
def test_a_real_cell_sees_the_package_function_and_nothing_else_of_ours_by_a_name_of_its_own(
    server: Server, runtime_name: str
) -> None:
    runtime_or_skip(runtime_name)
    name = "bootstrap-" + runtime_name.replace(".", "-")
    server.deploy(name, bundle(), template=runtime_name)
    answer = server.call(name)
    assert answer.status_code == 200, answer.text
    said = json.loads(answer.content)
    assert said["python"] == runtime_name
    assert set(said["imported"].values()) == {"ModuleNotFoundError"}
    assert (said["found"], said["listed"], said["loaded"], said["main"]) == ([], [], [], [])
    assert (said["path"][0], said["path"][-1]) == (FUNCTION_DIR, CODE_PLACE)
    assert not {f"{CODE_PLACE}/{WORKER_NAME}", f"{CODE_PLACE}/function", ""} & set(said["path"])
    assert said["packages"] == [WORKER_NAME, "function"]
    assert said["function.secrets"] == f"{CODE_PLACE}/function/secrets.py"
    assert said["mine"] == f"{FUNCTION_DIR}/mine.py"
    assert said["missing"] == ""
    assert said["flags"] == [0, 0]  # as plain Python says; the path above is what isolation is for
