"""The rooms of the house: each package says what is in it, and no two files have one name."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
# A reader takes in a dozen files at a glance.
MODULES_MOST = 12
# A revision of the schema is a file, and a stand-in has the layout of what it stands in for.
LAID_OUT_BY_OTHERS = ("supervisor/store/migrations", "worker/standins")
# Names that two packages have, and why they keep them.
NAMES_TWICE = {
    "__init__": "every package",
    "__main__": "what python -m runs",
    "context": "the names in function/ are the authors' interface",
    "request": "the names in function/ are the authors' interface",
    "errors": "a stand-in has the names of what it stands in for",
    "install": "seccomp installs a filter, runtimes an environment",
}


def is_laid_out_by_others(path: Path) -> bool:
    return path.relative_to(ROOT).as_posix().startswith(LAID_OUT_BY_OTHERS)


def modules_of(package: Path) -> list[str]:
    return sorted(path.stem for path in package.glob("*.py") if path.stem != "__init__")


PACKAGES = [
    path.parent
    for name in ("supervisor", "worker")
    for path in sorted((ROOT / name).rglob("__init__.py"))
    if not is_laid_out_by_others(path)
]

of_packages = pytest.mark.parametrize("package", PACKAGES, ids=lambda path: str(path.relative_to(ROOT)))


@of_packages
def test_a_package_names_each_of_its_modules_in_its_docstring(package: Path) -> None:
    said = ast.get_docstring(ast.parse((package / "__init__.py").read_text())) or ""
    modules = [name for name in modules_of(package) if name != "__main__"]
    unnamed = [name for name in modules if f"``{name}``" not in said]
    assert len(modules) <= 2 or not unnamed, f"not in the docstring of {package.relative_to(ROOT)}"


@of_packages
def test_a_docstring_names_no_module_that_is_not_there(package: Path) -> None:
    """In the reading order: what has a full name, or is a package, may lie elsewhere."""
    said = ast.get_docstring(ast.parse((package / "__init__.py").read_text())) or ""
    _, _, order = said.partition("Reading order:")
    everywhere = {path.stem for name in ("supervisor", "worker") for path in (ROOT / name).rglob("*.py")}
    here = {*modules_of(package), *(path.name for path in package.iterdir() if path.is_dir())}
    named = {word for word in order.split("``")[1::2] if word in everywhere}
    assert named <= here


@of_packages
def test_a_package_has_a_dozen_modules_at_most(package: Path) -> None:
    assert len(modules_of(package)) <= MODULES_MOST


def test_no_two_modules_have_one_name() -> None:
    names = Counter(
        path.stem
        for name in ("supervisor", "worker", "function", "seccomp")
        for path in (ROOT / name).rglob("*.py")
    )
    twice = {name for name, number in names.items() if number > 1}
    assert twice == set(NAMES_TWICE) & set(names) - {name for name in NAMES_TWICE if names[name] == 1}
