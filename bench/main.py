"""The command: start everybody once, measure round by round in turns, report, stop everybody."""

from __future__ import annotations

import argparse
import json
import re
import signal
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from bench import (
    blankcell,
    coldstart,
    density,
    endings,
    firstcalls,
    freshness,
    load,
    machine,
    report,
    restart,
)
from bench.contestants import ROOT, TOKEN, Contestant, StartError, cellblock, everybody
from bench.workloads import WORKLOADS

RESULTS = ROOT / "bench/results"
DOCUMENT = ROOT / "docs/benchmarks.md"
RECORDED = re.compile(r"(?<=<!-- results -->\n).*(?=<!-- /results -->)", re.DOTALL)
CONNECTIONS = (1, 32, 256)
WARM_UP_SECONDS = 1
# What a new process imports that is compared with a cold start of that kind.
FRESH = {"plain": "json", "pandas": "pandas"}


def main() -> int:
    """0 when the run is whole, whatever it found; 1 when a server failed or answered badly; 130."""
    given = _arguments()
    # Ended from outside or by Ctrl-C: both stop the servers on the way out.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        if given.fresh_only:
            with tempfile.TemporaryDirectory(prefix="cellblock-bench-") as folder:
                Path(folder).chmod(0o755)
                print(freshness.markdown(_fresh(Path(folder), given.seconds)))
            return 0
        run = _run(given)
    except KeyboardInterrupt:
        print("bench: interrupted; every server is stopped", file=sys.stderr)
        return 130
    except (StartError, load.LoadError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    # First: a run takes a quarter of an hour.
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / f"{run.date.replace(':', '').replace(' ', '-')}.json"
    path.write_text(json.dumps(report.as_json(run), indent=1) + "\n")
    text = report.markdown(run)
    if given.record:
        DOCUMENT.write_text(RECORDED.sub(lambda _: text, DOCUMENT.read_text()))
    print(text)
    print(f"every sample: {path.relative_to(ROOT)}")
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="bench/run", description="Cellblock beside functions-framework and a bare gunicorn echo."
    )
    parser.add_argument("--seconds", type=int, help="length of one measurement (default: 3)")
    parser.add_argument("--rounds", type=int, help="measurements of each kind (default: 5)")
    parser.add_argument("--cold-starts", type=int, help="of each kind (default: 20)")
    parser.add_argument("--fronts", type=int, default=2, help="of the second Cellblock (default: 2)")
    parser.add_argument(
        "--quick", action="store_true", help="2 rounds of 1 s, 5 cold starts, 5 ends of cells"
    )
    parser.add_argument("--cold-only", action="store_true", help="measure cold starts only")
    parser.add_argument("--fresh-only", action="store_true", help="measure `fresh` only, and keep nothing")
    parser.add_argument("--endings", type=int, help="cells of each kind that are killed (default: 20)")
    parser.add_argument("--endings-only", action="store_true", help="measure how soon cells are gone only")
    parser.add_argument("--record", action="store_true", help="also write docs/benchmarks.md")
    given = parser.parse_args()
    for name, full, quick in (
        ("seconds", 3, 1),
        ("rounds", 5, 2),
        ("cold_starts", 20, 5),
        ("endings", 20, 5),
    ):
        if getattr(given, name) is None:
            setattr(given, name, quick if given.quick else full)
        elif getattr(given, name) < 1:
            parser.error(f"--{name.replace('_', '-')} must be at least 1")
    if given.fronts < 2:
        parser.error("--fronts must be at least 2: one front is measured anyway")
    return given


def _fresh(scratch: Path, seconds: int) -> freshness.Found:
    """What ``fresh`` costs, on a server of its own."""
    with cellblock(scratch / "fresh", 1) as server:
        return freshness.measure_all(server, seconds)


def _run(given: argparse.Namespace) -> report.Run:
    """All of it, in one run."""
    samples: dict[report.Key, list[load.Sample]] = {}
    titles: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="cellblock-bench-") as folder:
        scratch = Path(folder)
        # The fronts are another user, who has to get through to the data directory.
        scratch.chmod(0o755)
        has_load = not given.cold_only and not given.endings_only
        if has_load:
            _say(f"starting the servers; load average {machine.load_average():.2f}")
            with everybody(scratch, given.fronts) as contestants:
                titles = {each.key: each.title for each in contestants}
                _warm_up(contestants)
                for number in range(given.rounds):
                    _round(contestants, given.seconds, samples)
                    _say(f"round {number + 1} of {given.rounds} done")
        cold_starts, sandboxes, fresh, restarts, densities = [], [], {}, [], []
        first_calls = None
        calls_fresh = freshness.Found([], {})
        if not given.endings_only:
            _say("cold starts")
            with cellblock(scratch / "cold", given.fronts) as server:
                cold_starts = coldstart.measure(server, given.cold_starts)
                first_calls = firstcalls.measure(server, given.cold_starts)
            _say("fresh")
            calls_fresh = _fresh(scratch, given.seconds)
            _say("sandboxes")
            sandboxes = blankcell.of_cells(scratch, given.cold_starts)
            sandboxes += blankcell.of_peers(given.cold_starts)
            _say("density")
            densities = density.measure(scratch)
            _say("restarts")
            restarts = restart.measure(scratch, given.cold_starts)
            fresh = {name: coldstart.fresh_process_ms(what) for name, what in FRESH.items()}
        ends = []
        if not given.cold_only:
            _say("ends of cells")
            ends = endings.measure(scratch, given.endings)
    return report.Run(
        machine=machine.describe(),
        date=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        rounds=given.rounds,
        seconds=given.seconds,
        contestants=titles,
        workloads={each.name: each.title for each in WORKLOADS} if has_load else {},
        connections=CONNECTIONS,
        samples=samples,
        cold_starts=cold_starts,
        first_calls=first_calls,
        sandboxes=sandboxes,
        fresh_process_ms=fresh,
        restarts=restarts,
        densities=densities,
        calls_fresh=calls_fresh,
        endings=ends,
    )


def _warm_up(contestants: list[Contestant]) -> None:
    for connections in CONNECTIONS:
        _each(contestants, connections, WARM_UP_SECONDS)


def _round(contestants: list[Contestant], seconds: int, samples: dict[report.Key, list[load.Sample]]) -> None:
    for connections in CONNECTIONS:
        for key, sample in _each(contestants, connections, seconds):
            samples.setdefault(key, []).append(sample)


def _each(
    contestants: list[Contestant], connections: int, seconds: int
) -> list[tuple[report.Key, load.Sample]]:
    """One measurement of everybody in turn: what disturbs the machine for a while disturbs all."""
    found = []
    for workload in WORKLOADS:
        for contestant in contestants:
            endpoint = contestant.endpoints[workload.name]
            sample = load.measure(endpoint.url, workload, connections, seconds, TOKEN, endpoint.pid)
            found.append(((contestant.key, workload.name, connections), sample))
    return found


def _say(text: str) -> None:
    print(f"bench: {text}", file=sys.stderr, flush=True)
