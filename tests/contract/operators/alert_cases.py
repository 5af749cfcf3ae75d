"""For each alert of deploy/alerts.yaml: series that it fires for, and series that are nearly those.

A value is a minute.  The notation is promtool's: ``0+1x9`` are ten values, each one more, ``_`` is none.
"""

from __future__ import annotations

from dataclasses import dataclass, field

Series = dict[str, str]
F = 'space="s",function="f"'


@dataclass(frozen=True)
class AlertCase:
    """What is looked at in minute ``at``; ``labels`` are what the alert has of its series."""

    fires: Series
    quiet: Series
    at: int
    labels: dict[str, str] = field(default_factory=dict)


def of_calls(outcome: str, values: str) -> Series:
    return {f'cellblock_calls_total{{{F},outcome="{outcome}"}}': values}


def of_buckets(name: str, within: str, at_most: str) -> Series:
    """Calls within a second and all calls, of a histogram."""
    return {
        f'{name}_bucket{{{F},le="1"}}': within,
        f'{name}_bucket{{{F},le="5"}}': within,
        f'{name}_bucket{{{F},le="10"}}': at_most,
        f'{name}_bucket{{{F},le="+Inf"}}': at_most,
    }


WHOSE = {"space": "s", "function": "f"}
UP = {'up{job="cellblock",instance="i"}': "1x30"}


def named(series: Series) -> Series:
    """The same series as one server's that is scraped."""
    return {name.replace("}", ',job="cellblock",instance="i"}'): values for name, values in series.items()}


CASES = {
    "CellblockDown": AlertCase(
        {'up{job="cellblock",instance="i"}': "1 1 0x5"},
        {'up{job="cellblock",instance="i"}': "1 1 0 1x5", 'up{job="other",instance="i"}': "0x9"},
        5,
        {"job": "cellblock", "instance": "i"},
    ),
    "CellblockBreached": AlertCase(
        {'cellblock_layers{status="breached"}': "0 0 1"},
        {'cellblock_layers{status="breached"}': "0 0 0", 'cellblock_layers{status="degraded"}': "1x9"},
        2,
        {"status": "breached"},
    ),
    "CellblockFaults": AlertCase(
        of_calls("fault", "4x7 5x9"),
        {**of_calls("fault", "5x20"), **of_calls("raised", "0+1x20"), **of_calls("breached", "0+1x20")},
        10,
        {"outcome": "fault"},
    ),
    "CellblockFrontMissing": AlertCase(
        {'cellblock_fronts{state="missing"}': "0 1 1 1 1"},
        {'cellblock_fronts{state="missing"}': "0 1 1 0 1", 'cellblock_fronts{state="answered"}': "2x9"},
        4,
        {"state": "missing"},
    ),
    "CellblockFrontLags": AlertCase(
        {'cellblock_front_loop_lag_seconds{front="2"}': "0.3x9"},
        {'cellblock_front_loop_lag_seconds{front="2"}': "0.3x3 0.1 0.3x4"},
        6,
        {"front": "2"},
    ),
    "CellblockFrontMemory": AlertCase(
        {'cellblock_front_memory_bytes{front="1"}': "1.6e9x20"},
        {'cellblock_front_memory_bytes{front="1"}': "1.6e9x8 1e9 1.6e9x20"},
        15,
        {"front": "1"},
    ),
    "CellblockNoCapacity": AlertCase(
        of_calls("capacity", "0+1x20"),
        {**of_calls("capacity", "7x20"), **of_calls("answered", "0+9x20")},
        12,
        {"outcome": "capacity"},
    ),
    "CellblockQueueing": AlertCase(
        of_buckets("cellblock_queue_seconds", "0+9x30", "0+10x30"),
        of_buckets("cellblock_queue_seconds", "0+99x30", "0+100x30"),
        20,
        WHOSE,
    ),
    "CellblockSlowColdStarts": AlertCase(
        of_buckets("cellblock_cold_start_seconds", "0+9x40", "0+10x40"),
        of_buckets("cellblock_cold_start_seconds", "0+99x40", "0+100x40"),
        30,
        WHOSE,
    ),
    "CellblockNoBlankCells": AlertCase(
        {'cellblock_cells{state="blank"}': "0x20", 'cellblock_cells{state="leased"}': "3x20"},
        {'cellblock_cells{state="blank"}': "0x8 1 0x20"},
        15,
    ),
    "CellblockCellsNearlyAll": AlertCase(
        {'cellblock_cells{state="leased"}': "250x20", "cellblock_cells_most": "256x20"},
        {
            'cellblock_cells{state="leased"}': "240x20",
            'cellblock_cells{state="dying"}': "16x20",
            "cellblock_cells_most": "256x20",
        },
        15,
    ),
    "CellblockMemoryNearlyAll": AlertCase(
        {"cellblock_cells_memory_bytes": "95x20", "cellblock_cells_memory_most_bytes": "100x20"},
        {"cellblock_cells_memory_bytes": "95x20", "cellblock_cells_memory_most_bytes": "0x20"},
        15,
    ),
    "CellblockMemoryKills": AlertCase(
        {'cellblock_cells_ended_total{cause="memory"}': "0 0 11 12x20"},
        {
            'cellblock_cells_ended_total{cause="memory"}': "0 0 5 9x20",
            'cellblock_cells_ended_total{cause="released"}': "0+99x20",
        },
        9,
        {"cause": "memory"},
    ),
    "CellblockFunctionFails": AlertCase(
        {**of_calls("raised", "0+6x30"), **of_calls("answered", "0+4x30")},
        {**of_calls("raised", "0+4x30"), **of_calls("answered", "0+6x30"), **of_calls("refused", "0+9x30")},
        20,
        WHOSE,
    ),
    "CellblockStoreErrors": AlertCase(
        {"cellblock_store_errors_total": "0 0 1 1"}, {"cellblock_store_errors_total": "1x9"}, 3
    ),
    "CellblockLogsDropped": AlertCase(
        {'cellblock_log_records_dropped_total{why="disk"}': "0 0 9 9"},
        {
            'cellblock_log_records_dropped_total{why="disk"}': "9x9",
            'cellblock_log_records_dropped_total{why="limit"}': "0+9x9",
        },
        3,
        {"why": "disk"},
    ),
    "CellblockExportDrops": AlertCase(
        {"cellblock_export_dropped_total": "0+2x20"}, {"cellblock_export_dropped_total": "0 2x20"}, 12
    ),
    "CellblockRequestLogDrops": AlertCase(
        {"cellblock_request_log_dropped_total": "0 0 1 1"}, {"cellblock_request_log_dropped_total": "1x9"}, 3
    ),
}
# What a first fault is not told by: its series begins with it.
FIRST_FAULT = AlertCase(
    {**UP, **named(of_calls("not-started", "_x8 1x20"))},
    # A Prometheus that has just begun to ask a server with old faults, and one whose network was away.
    {
        'up{job="cellblock",instance="i"}': "_x8 0x3 1x20",
        'up{job="cellblock",instance="new"}': "_x10 1x20",
        **named(of_calls("not-started", "_x11 3x20")),
        f'cellblock_calls_total{{{F},outcome="fault",job="cellblock",instance="new"}}': "_x10 7x20",
    },
    12,
    {"outcome": "not-started"},
)
