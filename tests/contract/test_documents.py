"""What the documents say of each other and of the code: links, constants, dependencies, versions, targets."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

from supervisor import __version__

REPOSITORY = Path(__file__).parents[2]
PAGES = sorted([*REPOSITORY.glob("*.md"), *REPOSITORY.glob("docs/*.md")])
ROOT_PAGES_MOST = 10


def read(name: str) -> str:
    return (REPOSITORY / name).read_text(encoding="utf-8")


def without_code(text: str) -> str:
    """The prose: no fenced block, and nothing of what ``make bench`` has written."""
    text = re.sub(r"^<!-- results -->$.*?^<!-- /results -->$", "", text, flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)


def test_every_link_to_a_file_leads_to_one() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)]+)\)", without_code(page.read_text(encoding="utf-8"))):
            path, _, _ = target.partition("#")
            if path and "://" not in path:
                assert (page.parent / path).is_file(), f"{page.name}: {target}"


# A file of ours, from the repository's root or, of these two rooms, from ``supervisor/``.
OUR_FILE = re.compile(r"`((?:supervisor|worker|function|seccomp|tests|front|warden)/[\w./-]+\.\w+)`")


def test_every_file_that_a_page_names_exists() -> None:
    for page in PAGES:
        if page.name == "CHANGELOG.md":  # what was there then
            continue
        for name in OUR_FILE.findall(page.read_text(encoding="utf-8")):
            folder = "supervisor" if name.startswith(("front/", "warden/")) else ""
            assert (REPOSITORY / folder / name).is_file(), f"{page.name}: {name}"


def test_every_page_can_be_reached_from_the_readme() -> None:
    seen: set[Path] = set()
    waiting = [REPOSITORY / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in seen or page.suffix != ".md":
            continue
        seen.add(page)
        links = re.findall(r"\]\(([^)#:]+)\)", without_code(page.read_text(encoding="utf-8")))
        waiting.extend((page.parent / link).resolve() for link in links)
    assert {page.name for page in PAGES} == {page.name for page in seen}


def test_there_are_few_pages_at_the_root() -> None:
    assert len(list(REPOSITORY.glob("*.md"))) <= ROOT_PAGES_MOST


def test_every_constant_that_is_quoted_has_the_value_that_is_quoted() -> None:
    quoted = re.findall(r"`([A-Z][A-Z_]+) = ([\d._]+)`", "".join(page.read_text() for page in PAGES))
    assert quoted
    values: dict[str, set[object]] = {}
    for path in [*REPOSITORY.glob("supervisor/**/*.py"), *REPOSITORY.glob("worker/**/*.py")]:
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
                for target in node.targets:
                    if isinstance(target, ast.Name):
                        values.setdefault(target.id, set()).add(node.value.value)
    for name, value in quoted:
        assert float(value) in values.get(name, set()), f"{name} is not {value}"


# Context, decision, price, and when to look again: what is longer is told in the code or nowhere.
DECISION_MOST_LINES = 12


def test_decisions_count_on_are_short_and_say_when_to_look_again() -> None:
    page, archive = read("docs/decisions.md").split("## Archive: decisions that no longer hold\n")
    _, *decisions = re.split(r"^## ", page, flags=re.MULTILINE)
    numbers = [int(re.match(r"D(\d+)\. ", decision)[1]) for decision in decisions]  # type: ignore[index]
    archived = [int(number) for number in re.findall(r"^- \*\*D(\d+)\*\* ", archive, flags=re.MULTILINE)]

    assert numbers == sorted(numbers) and archived == sorted(archived)
    assert sorted(numbers + archived) == list(range(1, len(numbers) + len(archived) + 1))
    for decision in decisions:
        title, *lines = decision.splitlines()
        told = [line for line in lines if line and not line.startswith("|")]
        assert len(told) <= DECISION_MOST_LINES, f"{title}: {len(told)} lines"
        assert re.match(r"20\d\d-\d\d-\d\d\. ", told[0]), f"{title}: no date"
        assert "*Price:*" in decision and "*Revisit when*" in decision, title


def test_every_dependency_is_defended_and_no_other() -> None:
    project = tomllib.loads(read("pyproject.toml"))["project"]
    extras = [name for extra in project["optional-dependencies"].values() for name in extra]
    asked = {re.split(r"[\[<>=~!; ]", name)[0] for name in (*project["dependencies"], *extras)}
    table = read("docs/decisions.md").split("## D14.")[1].split("## D15.")[0]

    assert set(re.findall(r"^\| `([\w-]+)` \| \w", table, flags=re.MULTILINE)) == asked


def test_the_changelog_begins_with_this_version() -> None:
    assert re.findall(r"^## (\S+)", read("CHANGELOG.md"), flags=re.MULTILINE)[0] == __version__


def test_the_make_targets_that_are_named_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", read("Makefile"), flags=re.MULTILINE))
    named = {target for page in PAGES for target in re.findall(r"`make ([a-z-]+)`", page.read_text())}
    assert named - targets == set()


# Spelt so that this file does not name what it looks for.
OF_A_MACHINE = re.compile(r"py(?:pi|thonhosted)\.org|/(?:root|work|home)/\w|[.]py(?:env)/")


def test_no_page_names_a_registry_or_a_path_of_a_machine() -> None:
    for page in PAGES:
        found = OF_A_MACHINE.search(page.read_text(encoding="utf-8"))
        assert not found, f"{page.name}: {found}"


def test_the_lengths_that_are_named_are_those_of_the_house() -> None:
    house = dict(
        re.findall(r"^(\w+) = (\d+)$", read("tests/contract/house/test_files.py"), flags=re.MULTILINE)
    )
    said = f"at most {house['FILE_MOST_LINES']} lines, a function {house['FUNCTION_MOST_LINES']}"

    assert said in " ".join(read("CONTRIBUTING.md").split())
    assert f"Files have at most {house['FILE_MOST_LINES']} lines" in read("docs/architecture.md")


LINE_MOST_CHARS = 100
# ``tests/escape/matrix.py`` writes it.
GENERATED = "attacks.md"
# What was released before the lines were bounded is history.
LAST_WITH_LONG_LINES = "## 0.7"


def test_lines_are_short_but_for_rows_of_tables_and_long_names() -> None:
    for page in PAGES:
        if page.name == GENERATED:
            continue
        text = without_code(page.read_text(encoding="utf-8"))
        if page.name == "CHANGELOG.md":
            text = text.partition(LAST_WITH_LONG_LINES)[0]
        for line in text.splitlines():
            is_one_word = " " not in line.strip()
            assert len(line) <= LINE_MOST_CHARS or line.startswith("|") or is_one_word, f"{page.name}: {line}"
