"""The locks: what every installation of ours consists of."""

import re
import tomllib
from pathlib import Path

import pytest

from supervisor.runtimes.install import LOCKS, locked_requirements

DEPLOY_LOCKS = Path(__file__).parents[3] / "deploy/locks"

# The 3.10 page's list, in its order; `iots` is left out for its licence.
PAGE_LIBRARIES = (
    "quart",
    "requests",
    "azure-storage-blob",
    "backpack",
    "beautifulsoup4",
    "cryptography",
    "google-cloud-storage",
    "httpx",
    "matplotlib",
    "mintotp",
    "numpy",
    "orm",
    "paho-mqtt",
    "pandas",
    "pendulum",
    "pyjwt",
    "pyodbc",
    "scipy",
    "scrapy",
    "sympy",
)


def names(requirements):
    return {re.split(r"[=\[]", requirement)[0].lower().replace("_", "-") for requirement in requirements}


LOCK_FILES = sorted([*LOCKS.glob("*.txt"), *DEPLOY_LOCKS.glob("*.txt")])


@pytest.mark.parametrize("path", LOCK_FILES, ids=lambda path: path.name)
def test_every_requirement_of_a_lock_is_pinned_and_hashed(path):
    lines = path.read_text().splitlines()
    requirement = r"[a-z0-9._-]+==[^ ;]+( ; [^\\]+)? \\"
    for number, line in enumerate(lines):
        if line.startswith("    "):
            assert re.fullmatch(r"    --hash=sha256:[0-9a-f]{64}( \\)?", line), line
        else:
            assert re.fullmatch(requirement, line), line
            assert lines[number + 1].startswith("    --hash=")


@pytest.mark.parametrize("path", LOCK_FILES, ids=lambda path: path.name)
def test_no_lock_names_where_its_files_come_from(path):
    text = path.read_text()
    assert "://" not in text and "--index" not in text and "--find-links" not in text


def test_the_full_lock_holds_the_pages_list_but_iots():
    locked = names(locked_requirements((LOCKS / "full.txt").read_text()))
    assert set(PAGE_LIBRARIES) <= locked
    assert "iots" not in locked
    assert names(locked_requirements((LOCKS / "lean.txt").read_text())) <= locked


def test_every_lock_holds_what_our_own_code_in_a_cell_imports():
    for lock in ("lean.txt", "full.txt"):
        assert {"msgpack", "werkzeug", "requests", "paho-mqtt"} <= names(
            locked_requirements((LOCKS / lock).read_text())
        )


def test_the_full_lock_has_the_versions_that_orm_works_with():
    locked = locked_requirements((LOCKS / "full.txt").read_text())
    assert "databases==0.7.0" in locked
    assert [pin for pin in locked if pin.startswith("sqlalchemy==1.4.")]
    assert [pin for pin in locked if pin.startswith("asyncpg==")]


def test_the_uv_that_a_new_environment_begins_with_is_the_locked_one():
    (uv,) = locked_requirements((DEPLOY_LOCKS / "uv.txt").read_text())
    assert uv in locked_requirements((DEPLOY_LOCKS / "server.txt").read_text())


def test_what_pyproject_asks_for_is_locked():
    """A dependency that was added without `make locks` would be missing from every new environment."""
    project = tomllib.loads((DEPLOY_LOCKS.parents[1] / "pyproject.toml").read_text())["project"]
    for lock, wanted in {
        "server.txt": project["dependencies"],
        "test.txt": project["dependencies"] + project["optional-dependencies"]["test"],
    }.items():
        locked = names(locked_requirements((DEPLOY_LOCKS / lock).read_text()))
        missing = {re.split(r"[^A-Za-z0-9._-]", one)[0].lower() for one in wanted} - locked
        assert not missing, f"run `make locks`: {lock} lacks {missing}"
