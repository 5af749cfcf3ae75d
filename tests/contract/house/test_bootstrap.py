"""How our packages come onto a cell's path: ours first, the tenant's last, and nothing of the server's.

Each of these was a trap once: ``-m`` finds no package under ``-I``; a package folder itself on the
path makes ``secrets`` ours; a tenant's ``json.py`` before the library's makes it everybody's.
"""

from __future__ import annotations

import io
import json
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import pytest

from supervisor.warden.zygote_launch import CODE_PLACE, bootstrap, import_path
from tests.support.runtimes import ROOT, on_every_runtime, run_in, runtime_or_skip
from tests.support.server import Server
from worker.places import function_dir as FUNCTION_DIR

HERE = Path(__file__).parent
FIRST_IMPORT = "from worker.zygote import main; main()"
# What a tenant may put into a bundle under a name of ours or of the standard library's.
CONTESTED = ("secrets.py", "json.py", "function.py", "worker.py", "msgpack.py", "werkzeug.py", "asyncio.py")


@pytest.fixture
def places(tmp_path: Path) -> tuple[Path, Path]:
    """A folder with worker/ and function/ only, as a cell sees them, and a tenant's folder."""
    packages, tenant = tmp_path / "packages", tmp_path / "tenant"
    packages.mkdir()
    tenant.mkdir()
    for name in ("worker", "function"):
        (packages / name).symlink_to(ROOT / name)
    for name in CONTESTED:
        (tenant / name).write_text("raise SystemExit('the tenant was imported')\n")
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
    assert said["path"] == [packages, *said["before"], libraries, f"{packages}/worker/standins"]
    assert not {f"{packages}/worker", f"{packages}/function", str(ROOT), ""} & set(said["path"])
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
        f"{packages}/worker/standins/swx", f"{packages}/worker/standins/swx/auth",
    }  # fmt: skip


@on_every_runtime
def test_neither_we_nor_a_tenant_can_stand_in_for_another(
    runtime_name: str, places: tuple[Path, Path]
) -> None:
    said, libraries = said_by(runtime_name, places)
    packages, tenant = map(str, places)
    contested = said["contested"]
    for name, found in contested.items():
        assert found.startswith(tenant) == (name == "mine"), f"{name} is {found}"
    assert contested["function.secrets"] == f"{packages}/function/secrets.py"
    assert contested["worker.wire"] == f"{packages}/worker/wire.py"
    assert contested["msgpack"].startswith(libraries) and contested["werkzeug"].startswith(libraries)
    assert not contested["secrets"].startswith((packages, libraries))
    assert said["token_hex"] == 8  # the standard library's own


@on_every_runtime
def test_the_server_cannot_be_imported_from_what_a_cell_sees(
    runtime_name: str, places: tuple[Path, Path]
) -> None:
    said, _ = said_by(runtime_name, places)
    assert said["supervisor"] == "ModuleNotFoundError"


@on_every_runtime
def test_an_isolated_interpreter_finds_no_package_of_ours_by_itself(runtime_name: str) -> None:
    runtime = runtime_or_skip(runtime_name)
    done = subprocess.run(
        [str(runtime.python), "-I", "-S", "-m", "worker.zygote"],
        cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, timeout=30, check=False,
    )  # fmt: skip
    assert done.returncode != 0 and b"No module named" in done.stderr


HANDLER = """
import json, os, sys
import secrets
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
        "supervisor": kind_of_import("supervisor"),
        "deeper": kind_of_import("supervisor.settings"),
        "secrets": secrets.__file__,
        "token_hex": len(secrets.token_hex(4)),
        "function.secrets": function.secrets.__file__,
        "missing": function.secrets.get("none"),
        "worker.wire": kind_of_import("worker.wire"),
        "mine": kind_of_import("mine"),
        "flags": [sys.flags.isolated, sys.flags.no_site],
        "packages": sorted(os.listdir("/opt/cellblock")),
    }}
"""


def bundle() -> bytes:
    """The handler among files that would like to be imported instead of ours."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("handler.py", HANDLER)
        archive.writestr("mine.py", "")
        for name in CONTESTED:
            archive.writestr(name, "raise SystemExit('the tenant was imported')\n")
    return file.getvalue()


@on_every_runtime
def test_a_real_cell_sees_our_two_packages_and_nothing_of_the_server(
    server: Server, runtime_name: str
) -> None:
    runtime_or_skip(runtime_name)
    name = "bootstrap-" + runtime_name.replace(".", "-")
    server.deploy(name, bundle(), template=runtime_name)
    answer = server.call(name)
    assert answer.status_code == 200, answer.text
    said = json.loads(answer.content)
    assert said["python"] == runtime_name
    assert (said["supervisor"], said["deeper"]) == ("ModuleNotFoundError", "ModuleNotFoundError")
    assert (said["path"][0], said["path"][-1]) == (CODE_PLACE, FUNCTION_DIR)
    assert not {f"{CODE_PLACE}/worker", f"{CODE_PLACE}/function", ""} & set(said["path"])
    assert said["packages"] == ["function", "worker"]
    assert said["token_hex"] == 8 and not said["secrets"].startswith((CODE_PLACE, FUNCTION_DIR))
    assert said["function.secrets"] == f"{CODE_PLACE}/function/secrets.py"
    assert said["worker.wire"] == f"{CODE_PLACE}/worker/wire.py"
    assert said["mine"] == f"{FUNCTION_DIR}/mine.py"
    assert said["missing"] == ""
    assert said["flags"] == [0, 0]  # as plain Python says; the path above is what isolation is for
