"""What our files may not name or use."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import subprocess
from pathlib import Path

import pytest

import function
import supervisor
import worker

ROOT = Path(__file__).resolve().parents[3]
PYTHON = {
    str(path.relative_to(ROOT)): path
    for name in ("supervisor", "worker", "function", "seccomp")
    for path in sorted((ROOT / name).rglob("*.py"))
}
# Foreign functions skip every check of the language: each place has its reason.
CTYPES = {
    "supervisor/warden/jail/_host_syscalls.py": "the trusted side's system calls",
    "worker/_syscalls.py": "the cell's side's system calls",
    "supervisor/front/http/process_confinement.py": "prctl, mallopt; the warden's wrapper is behind the wall",
    "seccomp/install.py": "seccomp(2)",
    "supervisor/runtimes/install.py": "asks the loader for libodbc.so.2; calls nothing in it",
}
# Each of these turns bytes into behaviour.
DANGEROUS_MODULES = {"pickle", "marshal", "shelve", "dill", "cloudpickle", "yaml", "code", "runpy"}
DANGEROUS_CALLS = {"eval", "exec", "compile", "__import__"}
# A cell's own checker compiles a bundle and never runs it.
CALLS_ALLOWED = {"worker/imports/loader.py": {"compile"}}
# Imports a module that could, and looks at what a function's own processes are.
STARTS_NONE = {"worker/serve/thread_owners.py": "has a hook in every process that a function starts"}

# Put together here, so that this file does not name them itself.
THIS_MACHINE = {
    "a home of root": re.compile(r"(?<![\w>.-])/" + "root/"),
    "a folder of the development machine": re.compile(r"(?<![\w}>.*-])/" + "work/"),
    "an interpreter manager's folder": re.compile(r"\." + "pyenv"),
    "a package registry": re.compile(
        "(?:" + "pypi|npmjs|crates|rubygems" + r")\.(?:org|io|com)|" + "python" + r"hosted\.org"
    ),
}
# Where interpreters are looked for on any machine, which that manager's layout is a part of.
ALLOWED = {("supervisor/runtimes/interpreters.py", "an interpreter manager's folder")}


def tracked() -> list[str]:
    """Every file that git tracks or would."""
    try:
        done = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT, capture_output=True, timeout=30, check=False,
        )  # fmt: skip
    except FileNotFoundError:
        pytest.skip("git is not installed")
    if done.returncode:
        pytest.skip("this is no git checkout")
    return [name for name in done.stdout.decode().split("\0") if name and (ROOT / name).is_file()]


@pytest.mark.parametrize("package", [supervisor, worker, function], ids=lambda package: package.__name__)
def test_the_packages_are_ours_and_nobody_elses_of_the_same_name(package: object) -> None:
    name = package.__name__  # type: ignore[attr-defined]
    assert Path(package.__file__).parent == ROOT / name  # type: ignore[attr-defined]
    installed = {(one.metadata["Name"] or "").lower() for one in importlib.metadata.distributions()}
    assert name not in installed, f"another distribution called {name} is installed beside ours"


def imported_by(name: str) -> set[str]:
    """The top-level modules that a file imports anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(PYTHON[name].read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or "").partition(".")[0])
    return found


def test_foreign_functions_are_called_only_where_it_is_said_why() -> None:
    imported = {name: imported_by(name) for name in PYTHON}
    assert {name for name, modules in imported.items() if "ctypes" in modules} == set(CTYPES)
    dangerous = DANGEROUS_MODULES | {"cffi"}
    assert {name: modules & dangerous for name, modules in imported.items() if modules & dangerous} == {}


def test_no_bytes_become_code() -> None:
    calls = [
        (name, node.lineno, node.func.id)
        for name, path in PYTHON.items()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    ]
    assert [
        f"{name}:{line} calls {called}"
        for name, line, called in calls
        if called in DANGEROUS_CALLS and called not in CALLS_ALLOWED.get(name, ())
    ] == []


def test_what_runs_in_a_cell_starts_no_process_of_its_own() -> None:
    of_cells = [name for name in PYTHON if not name.startswith("supervisor/")]
    starters = {name for name in of_cells if imported_by(name) & {"subprocess", "multiprocessing"}}
    assert starters == set(STARTS_NONE)


def test_no_shell_is_started() -> None:
    for name, path in PYTHON.items():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.keyword) and node.arg == "shell":
                assert isinstance(node.value, ast.Constant) and node.value.value is False, name
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                assert f"{node.value.id}.{node.attr}" not in ("os.system", "os.popen"), name


@pytest.mark.parametrize("what", THIS_MACHINE)
def test_no_file_names_a_place_that_exists_only_here(what: str) -> None:
    found = []
    for name in tracked():
        text = (ROOT / name).read_bytes().decode("utf-8", "replace")
        for number, line in enumerate(text.splitlines(), 1):
            if THIS_MACHINE[what].search(line) and (name, what) not in ALLOWED:
                found.append(f"{name}:{number}: {line.strip()[:120]}")
    assert found == [], f"{what} is named"


@pytest.mark.parametrize(
    ("what", "text", "is_named"),
    [
        ("a home of root", "see /" + "root/x", True),
        # Another process's own root too: whoever reads over a list of paths cannot tell them apart.
        ("a home of root", "/proc/{pid}/" + "root/tmp", True),
        ("a home of root", "/proc/*/" + "root/tmp", True),
        ("a folder of the development machine", "'/" + "work/main'", True),
        ("a folder of the development machine", "the network/" + "work/main", False),
        ("a package registry", "https://" + "pypi" + ".org/simple", True),
        ("a package registry", "files." + "python" + "hosted.org", True),
        ("a package registry", "on PyPI", False),
    ],
)  # fmt: skip
def test_the_search_finds_what_it_looks_for(what: str, text: str, is_named: bool) -> None:
    assert bool(THIS_MACHINE[what].search(text)) == is_named
