"""``cellblock check`` deploys a function and calls it, under whatever restricts it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[4]
SECONDS = 110

pytestmark = [pytest.mark.needs_root, pytest.mark.needs_sandbox]


def checked(restriction: str, data_dir: Path, runtimes_dir: Path) -> tuple[int, dict[str, dict[str, str]]]:
    """The exit code, and the lines of the audit by what they are about."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith("CELLBLOCK_")}
    ended = subprocess.run(
        [sys.executable, "-m", "tests.support.restricted", restriction, str(data_dir), "--",
         sys.executable, "-m", "supervisor.cli", "check", "--json", "--data-dir", str(data_dir)],
        cwd=REPOSITORY, env={**variables, "CELLBLOCK_RUNTIMES_DIR": str(runtimes_dir)},
        capture_output=True, text=True, timeout=SECONDS,
    )  # fmt: skip
    assert ended.stdout, ended.stderr
    return ended.returncode, {line["what"]: line for line in json.loads(ended.stdout)}


@pytest.mark.promise("S176")
def test_under_the_hardening_of_our_unit_a_function_is_deployed_and_answers(
    tmp_path: Path, one_runtime: Path
) -> None:
    exit_code, lines = checked("what our unit keeps", tmp_path, one_runtime)

    last = lines["deploy and call"]
    assert (exit_code, last["status"]) == (0, "PASS"), [x for x in lines.values() if x["status"] == "FAIL"]
    assert (lines["tier"]["status"], lines["tier"]["found"]) == ("PASS", "A")
    assert list(tmp_path.iterdir()) == [], "the scratch data directory is left"


def test_what_is_in_no_table_fails_with_the_servers_own_words(tmp_path: Path, one_runtime: Path) -> None:
    exit_code, lines = checked("what is in no table", tmp_path, one_runtime)

    last = lines["deploy and call"]
    assert (exit_code, last["status"]) == (1, "FAIL")
    assert "the server" in last["found"] and "not permitted" in last["found"], last
    assert list(tmp_path.iterdir()) == []


def test_what_stops_every_call_is_not_tried_again(tmp_path: Path, one_runtime: Path) -> None:
    exit_code, lines = checked("ProtectHostname", tmp_path, one_runtime)

    assert (exit_code, lines["deploy and call"]["found"]) == (1, "not tried")
    assert lines["host name"]["remedy"].startswith("remove ProtectHostname=")
