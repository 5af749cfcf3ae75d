"""The golden vectors of the wire, on every interpreter that a cell can run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.runtimes import on_every_runtime, run_in, runtime_or_skip
from worker import wire

HERE = Path(__file__).parent
VECTORS = json.loads((HERE / "vectors.json").read_text())


@on_every_runtime
def test_every_vector_means_the_same_however_it_arrives_on_every_interpreter(runtime_name: str) -> None:
    runtime = runtime_or_skip(runtime_name)
    said = run_in(runtime, HERE / "driver.py", str(HERE / "vectors.json"))
    assert said["problems"] == []
    assert "python" + ".".join(map(str, said["python"])) == runtime_name
    assert said["read"] == len(VECTORS["valid"]) + len(VECTORS["invalid"])


@pytest.mark.parametrize("kind", [kind.name for kind in wire.KINDS.values()])
def test_every_kind_of_frame_has_a_vector(kind: str) -> None:
    assert kind in {vector["kind"] for vector in VECTORS["valid"]}, f"{kind} needs a vector in vectors.json"


def test_every_vector_has_a_name_of_its_own() -> None:
    names = [vector["name"] for group in ("valid", "invalid") for vector in VECTORS[group]]
    assert len(set(names)) == len(names)


def test_a_kind_travels_in_one_direction_and_its_number_fits_the_prefix() -> None:
    for number, kind in wire.KINDS.items():
        assert 0 < number < 256
        assert kind.direction in (wire.TO_CELL, wire.TO_FRONT)
        assert number < 16 if kind.direction == wire.TO_CELL else number >= 16
