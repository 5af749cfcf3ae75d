"""What a front does not import before it can answer a call: that is the time of a restart."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from supervisor.store import Sealer, migrate
from supervisor.store.store import open_store
from tests.support.stores import FIRST, KEY

# As gunicorn's process and one of its workers go, up to the read that a first call needs.
START = f"""
import json, sys
import supervisor.front.server as server
from supervisor.store import Sealer, open_lookups
server.migrate(sys.argv[1])
lookups = open_lookups(sys.argv[1], Sealer({KEY!r}))
assert lookups.deployment("demo", "hello").version == 1
assert lookups.options() and not lookups.values("demo").secrets
before = sorted(sys.modules)
import supervisor.front.api, supervisor.store.store
print(json.dumps([before, sorted(sys.modules)]))
"""
LATE = {
    "alembic", "annotated_types", "fastapi", "pydantic", "pydantic_core", "sqlalchemy",
    "typing_inspection", "ulid",
}  # fmt: skip
# Where there is no value to open, and no setting that wants them.
UNUSED = {"cryptography", "httpx", "psycopg", "publicsuffixlist"}


@pytest.mark.slow
def test_a_front_imports_none_of_the_api_before_it_can_answer_a_call(
    tmp_path: Path,
) -> None:
    url = f"sqlite:///{tmp_path}/cellblock.db"
    migrate(url)
    store = open_store(url, Sealer(KEY))
    store.create_function("demo", "hello", FIRST)
    store.close()
    ended = subprocess.run(
        [sys.executable, "-c", START, url], stdout=subprocess.PIPE, timeout=60, check=True, text=True
    )
    before, after = map(set, json.loads(ended.stdout))
    assert not before & (LATE | UNUSED)
    assert LATE - {"alembic"} <= after  # so those are their names, and they are late and not gone
