"""Medians, ratios, goals: a run's samples as Markdown and as JSON.  Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from bench import freshness
from bench.blankcell import GOAL_MS, GROWN, TIED, SandboxCost
from bench.coldstart import ColdStart
from bench.density import Density
from bench.endings import CASES, Ending
from bench.firstcalls import BURST, DEPLOY_GOAL_MS, FirstCalls
from bench.load import DISTURBED, Sample
from bench.restart import FUNCTION, IMPORTS, Restart
from bench.restart import GOAL_MS as RESTART_GOAL_MS

OURS, PEER, FLOOR, UNCONFINED = "cellblock-1", "framework-1", "bare", "cellblock-unconfined"
# Of the median latency: what two runs of the same thing differ by on a shared machine.
GOAL_WARM = 0.05
GOAL_CONNECTIONS, GOAL_THROUGHPUT = 32, 5.0
GOAL_LATENCY = 2.0
GOAL_NEIGHBOUR = 2.0
# Kind, milliseconds, percentile.
COLD_GOALS = (("plain", 5.0, 50), ("pandas", 5.0, 50), ("pandas", 15.0, 99))

Key = tuple[str, str, int]  # contestant, workload, connections


@dataclass(frozen=True)
class Run:
    """Everything that one run found.  ``contestants`` and ``workloads`` give the titles by key."""

    machine: dict[str, str]
    date: str
    rounds: int
    seconds: int
    contestants: dict[str, str]
    workloads: dict[str, str]
    connections: Sequence[int]
    samples: dict[Key, list[Sample]]
    cold_starts: list[ColdStart]
    first_calls: FirstCalls | None
    sandboxes: list[SandboxCost]
    fresh_process_ms: dict[str, float]
    restarts: list[Restart]
    densities: list[Density]
    calls_fresh: freshness.Found
    endings: list[Ending]

    def middle(self, field: str, contestant: str, workload: str, connections: int) -> float:
        """The median over the rounds."""
        samples = self.samples[contestant, workload, connections]
        return float(median(getattr(sample, field) for sample in samples))

    def ratio(self, field: str, over: str, under: str, workload: str, connections: int) -> float:
        """The median of the rounds' own ratios: what slowed a whole round slowed both sides of it."""
        pairs = zip(
            self.samples[over, workload, connections],
            self.samples[under, workload, connections],
            strict=True,
        )
        return float(median(getattr(one, field) / getattr(other, field) for one, other in pairs))

    @property
    def others(self) -> list[float]:
        """Of each sample, the cores' share that somebody else used."""
        return [sample.others for samples in self.samples.values() for sample in samples]


@dataclass(frozen=True)
class Goal:
    """A figure that was set beforehand, and what it came to."""

    text: str
    found: float
    is_reached: bool


def goals(run: Run) -> list[Goal]:
    """The goals for each workload."""
    found = []
    for workload, title in run.workloads.items():
        throughput = run.ratio("requests_per_s", OURS, PEER, workload, GOAL_CONNECTIONS)
        text = (
            f"{title}, {GOAL_CONNECTIONS} connections: at least {GOAL_THROUGHPUT:g} x functions-framework's "
            "throughput, one worker each"
        )
        found.append(Goal(text, throughput, throughput >= GOAL_THROUGHPUT))
        latency = run.ratio("p50_us", OURS, FLOOR, workload, 1)
        text = f"{title}, 1 connection: a median latency of at most {GOAL_LATENCY:g} x the bare echo's"
        found.append(Goal(text, latency, latency <= GOAL_LATENCY))
        cost = run.ratio("p50_us", OURS, UNCONFINED, workload, 1)
        text = f"{title}, 1 connection: the median latency of unconfined functions, within {GOAL_WARM:.0%}"
        found.append(Goal(text, cost, cost <= 1 + GOAL_WARM))
    middles = [median(cost.samples_ms) for cost in run.sandboxes if cost.who in (GROWN, TIED)]
    if middles:
        found.append(
            Goal(f"a cell with every layer on, grown and tied, in at most {GOAL_MS:g} ms (median)",
                 sum(middles), sum(middles) <= GOAL_MS)
        )  # fmt: skip
    for kind, goal_ms, percent in COLD_GOALS:
        times = sorted(start.cold_ms for start in run.cold_starts if start.kind == kind)
        if times:
            cold = percentile(times, percent)
            text = f"cold start ({kind}): within {goal_ms:g} ms (p{percent})"
            found.append(Goal(text, cold, cold <= goal_ms))
    if run.first_calls:
        middle = median(run.first_calls.deploys_ms)
        text = f"from a deploy to its first answer within {DEPLOY_GOAL_MS:g} ms (median)"
        found.append(Goal(text, middle, middle <= DEPLOY_GOAL_MS))
    for one in run.restarts:
        if one.what == FUNCTION:
            found.append(
                Goal(f"after kill -9 of everything a function answers within {RESTART_GOAL_MS:g} ms (median)",
                     median(one.samples_ms), median(one.samples_ms) <= RESTART_GOAL_MS)
            )  # fmt: skip
    for one in run.densities:
        text = f"at least {one.goal} idle instances ({one.title}) in a GiB of private memory"
        found.append(Goal(text, one.per_gib, one.per_gib >= one.goal))
    for case in CASES:
        ends = [end for end in run.endings if end.case == case.name]
        if not ends:
            continue
        gone = percentile(sorted(end.gone_ms for end in ends), 99)
        text = f"{case.title}: all of the cell gone within {case.goal_ms:g} ms of the kill (p99)"
        found.append(Goal(text, gone, gone <= case.goal_ms))
        before, meanwhile = _neighbours(ends)
        ratio = percentile(meanwhile, 99) / percentile(before, 99)
        text = f"{case.title}: another function's p99 meanwhile, at most {GOAL_NEIGHBOUR:g} x what it was"
        found.append(Goal(text, ratio, ratio <= GOAL_NEIGHBOUR))
    return found


def _neighbours(ends: Sequence[Ending]) -> tuple[list[float], list[float]]:
    """Its latencies, microseconds, in order: before the kills, and meanwhile."""
    before = sorted(latency for end in ends for latency in end.before_us)
    return before, sorted(latency for end in ends for latency in end.meanwhile_us)


def markdown(run: Run) -> str:
    """The whole run as one Markdown text."""
    parts = [_heading(run), _goals(run)]
    parts.extend(_table(run, workload) for workload in run.workloads)
    if run.cold_starts:
        parts.append(_cold_starts(run))
    if run.first_calls:
        parts.append(_first_calls(run.first_calls))
    if run.sandboxes:
        parts.append(_sandboxes(run))
    if run.densities:
        parts.append(_densities(run))
    if run.restarts:
        parts.append(_restarts(run))
    if run.calls_fresh.costs:
        parts.append(freshness.markdown(run.calls_fresh))
    if run.endings:
        parts.append(_endings(run))
    return "\n\n".join(parts) + "\n"


def _heading(run: Run) -> str:
    machine = "; ".join(f"{name} {value}" for name, value in run.machine.items())
    busy = sum(share > DISTURBED for share in run.others)
    if not run.others:
        return f"{run.date}. {machine}."
    lines = [
        f"{run.date}, {run.rounds} rounds of {run.seconds} s. {machine}.",
        "",
        f"Others used {median(run.others):.0%} of the cores in the median sample, {max(run.others):.0%} at "
        f"worst; {busy} of {len(run.others)} samples were disturbed (above {DISTURBED:.0%}).",
    ]
    return "\n".join(lines)


def _goals(run: Run) -> str:
    rows = [
        f"| {goal.text} | {goal.found:.2f} | {'reached' if goal.is_reached else '**not reached**'} |"
        for goal in goals(run)
    ]
    return "\n".join(["| goal | found | |", "|---|---|---|", *rows])


def _table(run: Run, workload: str) -> str:
    lines = [
        f"**{run.workloads[workload]}** (medians; x is the median of the rounds' ratios to "
        "functions-framework with one worker / to the bare echo)",
        "",
        "| connections | server | req/s | x framework | x bare | p50 | p99 | p50 x bare | CPU per request |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for connections in run.connections:
        for key, title in run.contestants.items():
            at = (workload, connections)
            lines.append(
                f"| {connections} | {title} | {run.middle('requests_per_s', key, *at):,.0f} "
                f"| {run.ratio('requests_per_s', key, PEER, *at):.2f} "
                f"| {run.ratio('requests_per_s', key, FLOOR, *at):.2f} "
                f"| {_time(run.middle('p50_us', key, *at))} | {_time(run.middle('p99_us', key, *at))} "
                f"| {run.ratio('p50_us', key, FLOOR, *at):.2f} "
                f"| {_time(run.middle('server_cpu_us', key, *at))} |"
            )
    return "\n".join(lines)


def _time(microseconds: float) -> str:
    return f"{microseconds:.0f} µs" if microseconds < 1000 else f"{microseconds / 1e3:.2f} ms"


def _cold_starts(run: Run) -> str:
    lines = [
        "**Cold start** (first call of a function never called, over HTTP, less a warm call of it)",
        "",
        "| function | n | median | p95 | p99 | a new process that imports the same |",
        "|---|---|---|---|---|---|",
    ]
    for kind, fresh_ms in run.fresh_process_ms.items():
        times = sorted(start.cold_ms for start in run.cold_starts if start.kind == kind)
        lines.append(
            f"| {kind} | {len(times)} | {median(times):.1f} ms | {percentile(times, 95):.1f} ms "
            f"| {percentile(times, 99):.1f} ms | {fresh_ms:.0f} ms |"
        )
    return "\n".join(lines)


def _first_calls(found: FirstCalls) -> str:
    lines = [
        f"**First calls** of no-op functions, over HTTP: deployed and called, and {BURST} never called, "
        f"called at once ({found.burst_failed} of them failed)",
        "",
        "| from | n | median | p95 | p99 |",
        "|---|---|---|---|---|",
    ]
    for what, samples in (
        ("a deploy's request to the first answer", found.deploys_ms),
        (f"a call to its answer, {BURST} at once", found.burst_ms),
    ):
        times = sorted(samples)
        high = " | ".join(f"{percentile(times, percent):.0f} ms" for percent in (95, 99))
        lines.append(f"| {what} | {len(times)} | {median(times):.0f} ms | {high} |")
    return "\n".join(lines)


def _sandboxes(run: Run) -> str:
    lines = [
        "**What a sandbox costs** (off every caller's path: cells are made ahead)",
        "",
        "| sandbox | n | median | p95 |",
        "|---|---|---|---|",
    ]
    for cost in run.sandboxes:
        times = sorted(cost.samples_ms)
        lines.append(
            f"| {cost.who} | {len(times)} | {median(times):.1f} ms | {percentile(times, 95):.1f} ms |"
        )
    return "\n".join(lines)


def _densities(run: Run) -> str:
    lines = [
        "**Density**: private memory of an idle instance, medians (page tables are the kernel's, on top)",
        "",
        "| function | in a GiB | pid 1 | worker | page tables | a new interpreter that imports the same |",
        "|---|---|---|---|---|---|",
    ]
    for one in run.densities:
        sizes = (one.pid_1_kib, one.worker_kib, one.page_tables_kib, one.interpreter_kib)
        cells = " | ".join(f"{kib / 1024:.1f} MiB" for kib in sizes)
        lines.append(f"| {one.title} | {one.per_gib} | {cells} |")
    return "\n".join(lines)


def _restarts(run: Run) -> str:
    lines = [
        "**Restart** after kill -9 of everything, from the start of the process",
        "",
        "| until | n | median | p95 | x the bare imports |",
        "|---|---|---|---|---|",
    ]
    (floor,) = [one.samples_ms for one in run.restarts if one.what == IMPORTS]
    for one in run.restarts:
        times = sorted(one.samples_ms)
        ratio = median(mine / bare for mine, bare in zip(one.samples_ms, floor, strict=True))
        middle, high = median(times), percentile(times, 95)
        lines.append(f"| {one.what} | {len(times)} | {middle:.0f} ms | {high:.0f} ms | {ratio:.2f} |")
    pandas = run.fresh_process_ms["pandas"]
    lines.append(f"| a new process that imports pandas | | {pandas:.0f} ms | | |")
    return "\n".join(lines)


def _endings(run: Run) -> str:
    lines = [
        "**How soon a cell is gone** (from the kill to the end of its last process; beside it the same for "
        "processes in no cell, and another function's latency)",
        "",
        "| what ran in it | n | median | p99 | in no cell, median | p99 | neighbour's p99 before "
        "| meanwhile |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for case in CASES:
        ends = [end for end in run.endings if end.case == case.name]
        gone, bare = sorted(end.gone_ms for end in ends), sorted(end.bare_ms for end in ends)
        before, meanwhile = _neighbours(ends)
        lines.append(
            f"| {case.title} | {len(ends)} | {median(gone):.1f} ms | {percentile(gone, 99):.1f} ms "
            f"| {median(bare):.1f} ms | {percentile(bare, 99):.1f} ms "
            f"| {_time(percentile(before, 99))} | {_time(percentile(meanwhile, 99))} |"
        )
    return "\n".join(lines)


def percentile(ordered: Sequence[float], percent: int) -> float:
    """The smallest value that ``percent`` of an ordered sequence do not exceed."""
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]


def as_json(run: Run) -> dict[str, Any]:
    """Every sample, and what the tables say of them."""
    return {
        "date": run.date,
        "machine": run.machine,
        "rounds": run.rounds,
        "seconds": run.seconds,
        "goals": [vars(goal) for goal in goals(run)],
        "samples": [
            {
                "contestant": contestant,
                "workload": workload,
                "connections": connections,
                "rounds": [sample.as_json() for sample in samples],
            }
            for (contestant, workload, connections), samples in run.samples.items()
        ],
        "cold_starts": [start.as_json() for start in run.cold_starts],
        "first_calls": run.first_calls.as_json() if run.first_calls else None,
        "fresh_process_ms": run.fresh_process_ms,
        "restarts": [one.as_json() for one in run.restarts],
        "densities": [one.as_json() for one in run.densities],
        "calls_fresh": run.calls_fresh.as_json(),
        "endings": [end.as_json() for end in run.endings],
        "sandboxes": [cost.as_json() for cost in run.sandboxes],
    }
