"""What is cited exists: documents, files and sections, wherever in the tree they are named."""

from __future__ import annotations

import re
import subprocess
from functools import cache
from pathlib import Path

from supervisor import __version__

ROOT = Path(__file__).parents[2]
# What was there then.
HISTORY = "CHANGELOG.md"
DOCUMENT = re.compile(r"(?<![\w./:*}-])((?:\.\./)*[\w-][\w./-]*\.md)\b(?!\.\w)(#[\w-]+)?")
FOLDERS = "bench|deploy|docs|examples|function|seccomp|supervisor|tests|worker"
FILE = re.compile(
    rf"(?<![\w./:*}}-])((?:{FOLDERS})/[\w./-]+\.(?:conf|json|md|mjs|py|service|sh|toml|txt|yaml))\b"
)
# From where a file is named; a table of unit tests names them from their own folder.
PLACES = (ROOT, ROOT / "tests/unit")
TEXTS = (".py", ".md", ".toml", ".json", ".conf", ".service", ".sh", ".mjs", ".go", ".yaml", "")
# Files that a test makes, or that it needs to be absent.
INVENTED = {
    "a.md", "deep/down/a.md", "lib/notes.md", "notes.md", "function/handler.py", "worker/jobs.py",
    "worker/loop.py",
}  # fmt: skip
LEFT = {"__pycache__", "results", ".git"}


@cache
def texts() -> dict[Path, str]:
    """Every text of the tree by its path; what tools and benchmarks leave behind is not shipped."""
    files = [path for path in ROOT.iterdir() if path.is_file()]
    for folder in FOLDERS.split("|"):
        files += [path for path in (ROOT / folder).rglob("*") if path.is_file()]
    return {
        path: path.read_text(encoding="utf-8", errors="replace")
        for path in files
        if path.suffix in TEXTS and path.name != HISTORY and not LEFT & set(path.relative_to(ROOT).parts)
    }


def found(path: Path, name: str) -> Path | None:
    """A document as it may be named: from where it is cited, from the root, or as a page of docs."""
    places = (path.parent / name, ROOT / name, ROOT / "docs" / name)
    return next((place for place in places if place.is_file()), None)


@cache
def anchors(page: Path) -> set[str]:
    """The anchors of a page's titles, as a renderer of Markdown makes them."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


def test_every_document_that_is_named_anywhere_exists_and_has_the_section() -> None:
    cited = 0
    for path, text in texts().items():
        for name, section in DOCUMENT.findall(text):
            if name in INVENTED:
                continue
            page = found(path, name)
            assert page is not None, f"{path.relative_to(ROOT)} cites {name}"
            assert not section or section[1:] in anchors(page), f"{path.relative_to(ROOT)}: {name}{section}"
            cited += 1
    assert cited > 100


def test_every_section_of_its_own_page_that_is_linked_exists() -> None:
    for path, text in texts().items():
        if path.suffix == ".md":
            for section in re.findall(r"\]\(#([\w-]+)\)", text):
                assert section in anchors(path), f"{path.relative_to(ROOT)}: #{section}"


def test_every_file_of_the_repository_that_is_named_anywhere_exists() -> None:
    missing = {
        f"{path.relative_to(ROOT)} names {name}"
        for path, text in texts().items()
        for name in FILE.findall(text)
        if name not in INVENTED and not any((place / name).is_file() for place in PLACES)
    }
    assert missing == set()


def test_the_changelog_names_the_commit_of_each_release() -> None:
    """A commit cannot name itself, so the one of the version at hand may be missing."""
    changelog = (ROOT / HISTORY).read_text(encoding="utf-8")
    _, *releases = re.split(r"^## ", changelog, flags=re.MULTILINE)
    for release in releases:
        version, _, rest = release.partition(" ")
        named = re.findall(r"^Commit `([0-9a-f]{7,40})`\.$", rest, flags=re.MULTILINE)
        assert len(named) == 1 or (not named and version == __version__), version
        for commit in named:
            told = version_at(commit)
            assert told in (None, version), f"{commit} is {told}, not {version}"


def version_at(commit: str) -> str | None:
    """The version of the tree at a commit; None where the history is not there, as in an archive."""
    command = ["git", "-c", f"safe.directory={ROOT}", "show", f"{commit}:supervisor/__init__.py"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    found_there = re.search(r'^__version__ = "([^"]+)"$', done.stdout, flags=re.MULTILINE)
    return found_there[1] if found_there else None
