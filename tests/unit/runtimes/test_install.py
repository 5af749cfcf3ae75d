"""Runtimes: which interpreters are taken, what is installed for them and what is remembered of it."""

import base64
import fcntl
import hashlib
import json
import os
import re
import select
import sys
import zipfile
from pathlib import Path

import pytest

from supervisor.errors import ConfigurationError
from supervisor.runtimes import install as install_module
from supervisor.runtimes import interpreters as interpreters_module
from supervisor.runtimes.install import (
    install_runtime,
    uv_environment,
    why_install,
)
from supervisor.runtimes.interpreters import (
    Interpreter,
    candidates,
    discover_interpreters,
    first_that_runs,
    interpret,
    outermost,
    own_runtime_name,
    probe,
)
from supervisor.runtimes.runtime_record import RuntimeRecord, load_runtimes, read_record, write_record

ROOT = Path(__file__).parents[3]
OWN = own_runtime_name()
OWN_MINOR = sys.version_info.minor


def script(path, text):
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(0o755)
    return path


def own_interpreter():
    interpreter = probe(Path(sys.executable))
    assert interpreter is not None
    return interpreter


# Interpreters


def test_a_virtual_environment_is_taken_for_the_interpreter_behind_it():
    interpreter = own_interpreter()
    assert interpreter.name == OWN
    assert interpreter.version == ".".join(map(str, sys.version_info[:3]))
    assert interpreter.python.is_relative_to(Path(sys.base_prefix).resolve())
    assert not interpreter.python.is_symlink()


@pytest.mark.parametrize("text", ["exit 127\n", "exit 0\n", "echo nonsense\n", "echo '[]'\n", "echo '{}'\n"])
def test_a_shim_that_does_not_answer_is_skipped_for_the_next_candidate(tmp_path, text):
    shim = script(tmp_path / "python", text)
    found = first_that_runs(OWN_MINOR, [shim, tmp_path / "absent", Path(sys.executable)])
    assert found is not None and found.name == OWN


@pytest.mark.slow
def test_a_shim_that_hangs_is_ended_with_everything_it_started(tmp_path):
    shim = script(tmp_path / "python", f"sleep 600 & echo $! >{tmp_path}/pid; wait\n")
    assert probe(shim, timeout_s=0.5) is None
    sleeper = int((tmp_path / "pid").read_text())
    # The group was killed; whoever is still dying is given the time for it.
    try:
        pidfd = os.pidfd_open(sleeper)
    except ProcessLookupError:
        return
    readable, _, _ = select.select([pidfd], [], [], 10.0)
    os.close(pidfd)
    assert readable, "the sleeper lives on"


def test_a_python_of_another_version_does_not_pass_for_the_wanted_one(tmp_path):
    (tmp_path / "python3.9").symlink_to(sys.executable)
    assert first_that_runs(9, [tmp_path / "python3.9"]) is None


def test_a_relative_entry_of_path_is_never_run(tmp_path, monkeypatch):
    script(tmp_path / "python3.9", "exit 1\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", ".::relative")
    assert all(path.parent != tmp_path for path in candidates(9))


def test_a_version_manager_gives_its_newest_patch_release_first(tmp_path, monkeypatch):
    for version in ("3.9.2", "3.9.18", "3.9-dev", "3.10.1"):
        folder = tmp_path / "versions" / version / "bin"
        folder.mkdir(parents=True)
        script(folder / "python3.9", "exit 1\n")
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    monkeypatch.setenv("PATH", "")
    managed = [path.parts[-3] for path in candidates(9) if path.is_relative_to(tmp_path)]
    assert managed == ["3.9.18", "3.9.2"]


ANSWER = {
    "implementation": "cpython",
    "version": "3.11.7",
    "executable": "",
    "base_prefix": "",
    "base_exec_prefix": "",
    "free_threaded": False,
    "pointer_bits": 64,
    "dirs": [None],
}


@pytest.mark.parametrize(
    "change",
    [
        {"implementation": "pypy"},
        {"free_threaded": True},
        {"pointer_bits": 32},
        {"version": "3.8.1"},
        {"version": "3.14.0"},
        {"version": "2.7.18"},
        {"version": "3.11"},
        {"version": "../3.11.7"},
        {"base_prefix": "/"},
        {"dirs": 1},
    ],
)
def test_an_interpreter_that_cannot_be_a_runtime_is_refused(tmp_path, change):
    good = {**ANSWER, **installed_at(tmp_path)}
    assert interpret(json.dumps(good).encode()) is not None
    assert interpret(json.dumps({**good, **change}).encode()) is None


def installed_at(prefix):
    (prefix / "bin").mkdir()
    script(prefix / "bin/python3.11", "exit 1\n")
    return {
        "executable": str(prefix / "bin/python3.11"),
        "base_prefix": str(prefix),
        "base_exec_prefix": str(prefix),
    }


def test_the_folders_a_cell_must_see_are_the_outermost_ones_outside_usr(tmp_path):
    inner = tmp_path / "a/b"
    inner.mkdir(parents=True)
    other = tmp_path / "c"
    other.mkdir()
    given = [inner, tmp_path / "a", other, Path("/usr/lib"), Path("/usr"), tmp_path / "absent"]
    assert outermost(given) == (tmp_path / "a", other)


@pytest.mark.slow
def test_discovery_finds_at_most_one_interpreter_of_a_version_and_the_servers_own():
    names = [interpreter.name for interpreter in discover_interpreters()]
    assert OWN in names
    assert len(names) == len(set(names)) <= len(interpreters_module.SUPPORTED_MINORS)


# The record


def record(**change):
    values = {
        "name": OWN,
        "python": Path(sys.executable).resolve(),
        "version": "3.11.7",
        "host_dirs": (Path("/opt/python"),),
        "libraries": "libraries-abc",
        "library_count": 3,
        "full": True,
        "lock_digest": "0" * 64,
    }
    return RuntimeRecord(**{**values, **change})


def put(runtimes_dir, **change):
    made = record(**change)
    (runtimes_dir / made.name / made.libraries).mkdir(parents=True)
    write_record(runtimes_dir, made)
    return made


def test_what_is_written_of_a_runtime_is_read_back(tmp_path):
    made = put(tmp_path)
    assert read_record(tmp_path, OWN) == made
    assert [path.name for path in (tmp_path / OWN).iterdir() if path.is_file()] == ["runtime.json"]


@pytest.mark.parametrize(
    "text", [b"", b"{", b"[]", b"\xff", b'{"format": 2}', b"[" * 100_000], ids=lambda text: repr(text[:16])
)
def test_a_damaged_record_counts_as_not_installed(tmp_path, text):
    put(tmp_path)
    (tmp_path / OWN / "runtime.json").write_bytes(text)
    assert read_record(tmp_path, OWN) is None


@pytest.mark.parametrize("libraries", ["..", "../x", "a/b", "", ".", "/etc"])
def test_a_record_cannot_point_out_of_its_folder(tmp_path, libraries):
    put(tmp_path)
    path = tmp_path / OWN / "runtime.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "libraries": libraries}))
    assert read_record(tmp_path, OWN) is None


def test_the_default_runtime_comes_first_and_then_the_newest(tmp_path):
    for name in ("python3.9", "python3.13", "python3.10", "python3.12"):
        put(tmp_path, name=name)
    names = [runtime.name for runtime in load_runtimes(tmp_path, "python3.10")]
    assert names == ["python3.10", "python3.13", "python3.12", "python3.9"]


def test_a_runtime_that_lost_its_interpreter_or_libraries_is_left_out(tmp_path):
    put(tmp_path)
    others = [f"python3.{minor}" for minor in (9, 10, 12, 13) if minor != OWN_MINOR]
    put(tmp_path, name=others[0], python=tmp_path / "gone")
    put(tmp_path, name=others[1], python=tmp_path)  # a folder
    (tmp_path / put(tmp_path, name=others[2]).name / "libraries-abc").rmdir()
    assert [runtime.name for runtime in load_runtimes(tmp_path)] == [OWN]


@pytest.mark.parametrize("default", [None, "python3.9", "python2.7", "../x"])
def test_a_default_runtime_that_is_not_there_is_refused_with_what_to_do(tmp_path, default):
    known = default in (None, "python3.9")
    expected = "run once: cellblock setup" if known else "known are python3.9"
    with pytest.raises(ConfigurationError, match=expected):
        load_runtimes(tmp_path, default)


# The decision


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({}, None),
        ({"lock_digest": "1" * 64}, "list of libraries"),
        ({"version": "3.11.6"}, "3.11.6 became 3.11.7"),
        ({"python": Path("/opt/old/bin/python3.11")}, "interpreter is now"),
        ({"host_dirs": ()}, "folders"),
    ],
)
def test_a_runtime_is_installed_again_only_for_a_change_of_lock_or_interpreter(change, reason):
    current = record(**change)
    wanted = Interpreter(OWN, Path(sys.executable).resolve(), "3.11.7", (Path("/opt/python"),))
    why = why_install(current, wanted, "0" * 64)
    assert why is None if reason is None else reason in (why or "")


def test_a_runtime_that_is_not_there_is_installed():
    wanted = Interpreter(OWN, Path(sys.executable), "3.11.7", ())
    assert why_install(None, wanted, "0" * 64) == "not installed"


# Installing, for real but from files of our own


@pytest.fixture
def small_lock(tmp_path, monkeypatch):
    """Locks that want one tiny wheel of this test; gives the function that writes its version."""
    locks = tmp_path / "locks"
    locks.mkdir()
    (locks / "build.txt").write_text("")
    monkeypatch.setattr(install_module, "LOCKS", locks)

    def write(version):
        wheel = locks / f"tiny-{version}-py3-none-any.whl"
        info = f"tiny-{version}.dist-info"
        files = {
            "tiny/__init__.py": f"VERSION = {version!r}\n",
            f"{info}/METADATA": f"Metadata-Version: 2.1\nName: tiny\nVersion: {version}\n",
            f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
            f"{info}/entry_points.txt": "[console_scripts]\ntiny = tiny:main\n",
        }
        lines = []
        with zipfile.ZipFile(wheel, "w") as archive:
            for name, text in files.items():
                archive.writestr(name, text)
                digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=")
                lines.append(f"{name},sha256={digest.decode()},{len(text)}\n")
            archive.writestr(f"{info}/RECORD", "".join(lines) + f"{info}/RECORD,,\n")
        digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
        (locks / "lean.txt").write_text(f"tiny @ {wheel.as_uri()} --hash=sha256:{digest}\n")

    write("1.0")
    return write


def folders(runtimes_dir):
    return {path.name for path in (runtimes_dir / OWN).glob("libraries-*")}


@pytest.mark.slow
def test_an_installed_runtime_has_bytecode_and_no_commands_and_is_readable_by_all(
    tmp_path, small_lock, monkeypatch
):
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    old_umask = os.umask(0o077)
    try:
        runtime = install_runtime(own_interpreter(), tmp_path / "runtimes", full=False)
    finally:
        os.umask(old_umask)
    assert load_runtimes(tmp_path / "runtimes") == (runtime,)
    assert (runtime.libraries / "tiny/__init__.py").is_file()
    assert list(runtime.libraries.glob("tiny/__pycache__/*.pyc"))
    assert not (runtime.libraries / "bin").exists()
    # And what cells run of ours, which nobody has compiled for every interpreter.
    ours = {
        path.name.partition(".")[0]
        for path in ROOT.glob(f"worker/**/__pycache__/*.{sys.implementation.cache_tag}.pyc")
    }
    assert ours >= {path.stem for path in ROOT.glob("worker/**/*.py")}
    for path in (runtime.libraries, *runtime.libraries.rglob("*")):
        assert path.stat().st_mode & 0o004


@pytest.mark.slow
def test_a_runtime_in_use_survives_one_reinstallation_and_what_is_up_to_date_is_left_alone(
    tmp_path, small_lock
):
    interpreter, runtimes_dir = own_interpreter(), tmp_path / "runtimes"
    first = install_runtime(interpreter, runtimes_dir, full=False)
    assert install_runtime(interpreter, runtimes_dir, full=False) == first

    small_lock("1.1")
    second = install_runtime(interpreter, runtimes_dir, full=False)
    assert folders(runtimes_dir) == {first.libraries.name, second.libraries.name}

    third = install_runtime(interpreter, runtimes_dir, full=False, again=True)
    assert folders(runtimes_dir) == {second.libraries.name, third.libraries.name}
    assert load_runtimes(runtimes_dir) == (third,)


@pytest.mark.slow
def test_a_file_with_another_hash_than_the_locks_is_not_installed_and_leaves_nothing(tmp_path, small_lock):
    lock = install_module.LOCKS / "lean.txt"
    lock.write_text(re.sub("sha256:.*", "sha256:" + "0" * 64, lock.read_text()))
    with pytest.raises(ConfigurationError, match="Hash mismatch"):
        install_runtime(own_interpreter(), tmp_path / "runtimes", full=False)
    assert folders(tmp_path / "runtimes") == set()
    assert read_record(tmp_path / "runtimes", OWN) is None


@pytest.mark.slow
def test_an_installer_gives_up_at_its_deadline(tmp_path, small_lock, monkeypatch):
    hanging = script(tmp_path / "uv", "echo waiting >&2; sleep 600\n")
    monkeypatch.setattr(install_module, "find_uv_bin", lambda: str(hanging))
    monkeypatch.setattr(install_module, "INSTALL_SECONDS", 0.3)
    with pytest.raises(ConfigurationError, match="took longer"):
        install_runtime(own_interpreter(), tmp_path / "runtimes", full=False)
    assert folders(tmp_path / "runtimes") == set()


def test_a_second_installer_is_told_of_the_first_when_its_time_is_up(tmp_path, monkeypatch):
    monkeypatch.setattr(install_module, "LOCK_SECONDS", 0.0)
    folder = tmp_path / OWN
    folder.mkdir()
    with (folder / ".lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(ConfigurationError, match="another installer"):
            install_runtime(own_interpreter(), tmp_path, full=False)


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    interpreter = own_interpreter()._replace(name="python3.9")
    with pytest.raises(ConfigurationError, match=r"cannot install runtime python3\.9 in"):
        install_runtime(interpreter, tmp_path / "file", full=False)


def test_uv_sees_pips_index_and_nothing_that_would_cost_the_bytecode():
    environment = uv_environment(
        {"PIP_INDEX_URL": "https://index.example/simple", "PYTHONDONTWRITEBYTECODE": "1", "HOME": "/h"}
    )
    assert environment["UV_DEFAULT_INDEX"] == "https://index.example/simple"
    assert environment["HOME"] == "/h"
    assert not any(name.startswith("PYTHON") for name in environment)


def test_an_index_set_for_uv_itself_wins_over_pips():
    given = {"PIP_INDEX_URL": "https://a.example/simple", "UV_INDEX_URL": "https://b.example/simple"}
    assert "UV_DEFAULT_INDEX" not in uv_environment(given)
