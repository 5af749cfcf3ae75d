"""What we lean on of others' classes: each name with its reason, so that a release without one says so.

gunicorn documents its worker as a base class, and its settings; httptools its parser.  Beyond that their
names are theirs to change.  Nothing that begins with an underscore is used of either.
"""

from __future__ import annotations

import ast
import importlib.metadata
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import httptools
import pytest
from gunicorn.config import Config
from gunicorn.workers.base import Worker

REPOSITORY = Path(__file__).parents[4]
FRONT = REPOSITORY / "supervisor/front"
# Names of gunicorn's worker, and why we need them.
OF_THE_WORKER = {
    "SIGNALS": "each gets its default again before the loop has its own handlers",
    "alive": "whether it may go on; the drain begins where it is false",
    "app": "the server, which gives the application",
    "handle_abort": "SIGABRT: the arbiter's word for a loop that does not turn",
    "init_process": "in the worker's own process; ends in ``run``",
    "init_signals": "ours sets them on the loop",
    "load_wsgi": "ours takes the application and no WSGI wrapper",
    "log": "its log, for a mistake of ours",
    "notify": "tells the arbiter that the loop turns",
    "ppid": "the arbiter's, to see that it is gone",
    "run": "what a worker does",
    "sockets": "the listeners",
}
OF_THE_PARSER = {
    "feed_data": "takes the bytes",
    "get_http_version": "1.0 or 1.1, or the request is refused",
    "get_method": "the method",
    "should_keep_alive": "whether the connection ends with the answer",
    "should_upgrade": "whether what follows would be another protocol",
}
ERRORS = {
    "HttpParserError": "all that it refuses",
    "HttpParserInvalidMethodError": "a method that it does not know, which is a 405 or a 501",
    "HttpParserUpgrade": "an upgrade, which is answered in HTTP",
}
CAPPED = ("gunicorn", "httptools")
OURS = ("supervisor", "worker", "seccomp")


@pytest.fixture(scope="module")
def made() -> Iterator[Worker]:
    """A worker as its arbiter makes one, before it has a process of its own."""
    worker = Worker(0, 1, [], SimpleNamespace(callable=None), 1, Config(), SimpleNamespace())
    yield worker
    worker.tmp.close()


@pytest.mark.parametrize("name", OF_THE_WORKER)
def test_gunicorns_worker_still_has_what_ours_is_built_on(made: Worker, name: str) -> None:
    version = importlib.metadata.version("gunicorn")
    assert hasattr(made, name), (
        f"gunicorn {version} has no Worker.{name} any more: {OF_THE_WORKER[name]}; "
        "see supervisor/front/http/worker.py"
    )


@pytest.mark.parametrize("name", OF_THE_PARSER)
def test_the_parser_still_has_what_a_message_is_read_with(name: str) -> None:
    assert hasattr(httptools.HttpRequestParser, name), (
        f"httptools {httptools.__version__} has no HttpRequestParser.{name} any more: {OF_THE_PARSER[name]}; "
        "see supervisor/front/http/message.py"
    )


@pytest.mark.parametrize("name", ERRORS)
def test_the_parsers_errors_are_still_there(name: str) -> None:
    error = getattr(httptools, name, None)
    assert isinstance(error, type) and issubclass(error, Exception), (
        f"httptools {httptools.__version__} has no {name} any more: {ERRORS[name]}"
    )


def of_self(tree: ast.AST) -> set[str]:
    """Names that a class's own methods take of ``self`` or of ``super()``."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            owner = ast.unparse(node.value)
            if owner in ("self", "super()"):
                found.add(node.attr)
    return found


def test_no_other_name_of_gunicorns_worker_is_used_and_none_in_vain() -> None:
    tree = ast.parse((FRONT / "http/worker.py").read_text(encoding="utf-8"))
    (ours,) = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "FrontWorker"]
    used = {name for name in of_self(ours) if not name.startswith("_")}
    defined = {node.name for node in ours.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    defined = {name for name in defined if not name.startswith("_")}
    assert used | defined == set(OF_THE_WORKER)


@pytest.mark.parametrize("path", sorted(FRONT.rglob("*.py")), ids=lambda path: str(path.relative_to(FRONT)))
def test_no_private_name_of_others_is_used(path: Path) -> None:
    """What begins with an underscore is ours, or the language's."""
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    foreign = {
        alias.asname or alias.name.partition(".")[0]
        for node in nodes
        if isinstance(node, ast.Import)
        for alias in node.names
    }
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and not (node.module or "").startswith(OURS):
            private = [alias.name for alias in node.names if alias.name.startswith("_")]
            assert private == [], f"line {node.lineno} takes {private} of {node.module}"
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) in foreign:
            assert not re.match("_[a-z]", node.attr), f"line {node.lineno} uses {ast.unparse(node)}"


@pytest.mark.parametrize("name", CAPPED)
def test_a_dependency_whose_names_we_borrow_is_capped_below_its_next_major_release(name: str) -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (wanted,) = [one for one in project["dependencies"] if re.split(r"[<>=~! ]", one)[0] == name]
    major, minor = importlib.metadata.version(name).split(".")[:2]
    nexts = {f"<{int(major) + 1}"} if major != "0" else {f"<0.{int(minor) + 1}", "<1"}
    assert nexts & set(re.findall(r"<[\d.]+", wanted)), f"{wanted}: not capped below its next major release"
