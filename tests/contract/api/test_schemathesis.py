"""The server and ``/openapi.json`` say the same of each other: schemathesis tries, with all its checks.

What it is allowed to refuse though the schema lets it pass is in ``schemathesis.toml``, with the reasons.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import MakeServer
from tests.support.server import TOKEN

PROGRAM = Path(sys.executable).with_name("st")
CONFIG = Path(__file__).with_name("schemathesis.toml")
# Known examples of each parameter come first, whatever the number: they take most of the time.
EXAMPLES_A_FEW, EXAMPLES_MANY = 3, 60
# A run is the same each time, so that it fails in the change that broke it.
SEED = 1
# A machine with nothing else to do takes a tenth of it.
DEADLINE_SECONDS = 280


def tried(
    make_server: MakeServer, folder: Path, examples: int, seconds: float
) -> subprocess.CompletedProcess[str]:
    """How a run of schemathesis against a server of its own ended."""
    server = make_server(workers=1, function_logs="false", call_reports="false")
    return subprocess.run(
        [
            str(PROGRAM), "--config-file", str(CONFIG), "--no-color", "run", f"{server.url}/openapi.json",
            "--header", f"Authorization: Bearer {TOKEN}", "--checks", "all", "--max-examples", str(examples),
            "--seed", str(SEED), "--generation-database", "none", "--no-shrink", "--warnings", "off",
        ],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.promise("S192")
def test_the_server_answers_as_its_description_says(make_server: MakeServer, tmp_path: Path) -> None:
    """Slow for its 1,900 requests: each odd value of each parameter of 38 operations, and sequences."""
    done = tried(make_server, tmp_path, EXAMPLES_A_FEW, DEADLINE_SECONDS)
    assert done.returncode == 0, done.stdout


@pytest.mark.proof
@pytest.mark.timeout(1200)
def test_the_server_answers_as_its_description_says_many_times(
    make_server: MakeServer, tmp_path: Path
) -> None:
    done = tried(make_server, tmp_path, EXAMPLES_MANY, 1100)
    assert done.returncode == 0, done.stdout
