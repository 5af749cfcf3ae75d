"""What ``cellblock top`` shows, as lines that fit the terminal.  Pure.

Rule 1: no line is longer than the terminal is wide, and there are no more of them than it has.
Rule 2: what does not fit is counted: cut names end in an ellipsis, hidden rows have a number.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from supervisor.cli.commands.resources import gaps
from supervisor.cli.output import as_text, cut, safe
from supervisor.cli.watching.rates import FunctionRate

MIB = 1 << 20
NAME_LEAST_CHARS = 12  # below that a name says nothing; a narrower terminal cuts the last columns instead
# Lines beside the rows: the summary, the head of the table, what is hidden or missing, the keys.
LINES_BESIDES = 4

# A column: its title, its width, its text.  80 columns leave 21 for the name.
COLUMNS: tuple[tuple[str, int, Callable[[FunctionRate], str]], ...] = (
    ("VERSION", 7, lambda one: str(one.version)),
    ("CALLS/S", 7, lambda one: f"{one.calls_per_s:.1f}"),
    ("P50 MS", 6, lambda one: milliseconds(one.p50_ms)),
    ("P99 MS", 6, lambda one: milliseconds(one.p99_ms)),
    ("RUN", 4, lambda one: str(one.running)),
    ("WAIT", 4, lambda one: str(one.waiting)),
    ("INST", 4, lambda one: str(one.instances)),
    ("MIB", 6, lambda one: f"{one.memory_bytes / MIB:.0f}" if one.memory_bytes else "-"),
    ("FAILED", 6, lambda one: str(one.failed) if one.failed else "-"),
)
# A key: what it sorts by, and the order.
ORDERS: dict[str, tuple[str, Callable[[FunctionRate], Any]]] = {
    "c": ("calls", lambda one: (-one.calls_per_s, -one.running, one.full_name)),
    "p": ("p99", lambda one: (-(one.p99_ms or 0.0), one.full_name)),
    "w": ("waiting", lambda one: (-one.waiting, -one.running, one.full_name)),
    "m": ("memory", lambda one: (-one.memory_bytes, one.full_name)),
    "f": ("failed", lambda one: (-one.failed, one.full_name)),
    "n": ("name", lambda one: one.full_name),
}
IDLE_KEY, QUIT_KEY = "i", "q"


@dataclass(frozen=True)
class Choice:
    """What the keys have chosen: the order, and whether idle functions are shown."""

    order: str = "c"
    shows_idle: bool = False

    def after(self, key: str) -> Choice:
        """The choice after a key; a key that means nothing changes nothing."""
        if key == IDLE_KEY:
            return replace(self, shows_idle=not self.shows_idle)
        return replace(self, order=key) if key in ORDERS else self


def is_idle(one: FunctionRate) -> bool:
    """Whether the function did nothing in the last interval."""
    return not (one.calls_per_s or one.running or one.waiting)


def lines(
    now: Mapping[str, Any],
    found: Sequence[FunctionRate],
    choice: Choice,
    columns: int,
    rows: int | None,
    *,
    has_keys: bool,
) -> list[str]:
    """The screen: summary, head, functions, what is hidden, keys.  ``rows`` None: as many as there are."""
    shown = sorted(found, key=ORDERS[choice.order][1])
    if not choice.shows_idle:
        shown = [one for one in shown if not is_idle(one)]
    idle = len(found) - len(shown)
    room = len(shown) if rows is None else max(0, rows - LINES_BESIDES)
    hidden = len(shown) - len(shown[:room])
    said = [f"{hidden} more do not fit"] if hidden else []
    if idle:
        said.append(f"{idle} idle hidden" + (f" ({IDLE_KEY} shows them)" if has_keys else ""))
    name_chars = max(NAME_LEAST_CHARS, columns - sum(width + 1 for _, width, _ in COLUMNS))
    table = [_row("FUNCTION", [title for title, _, _ in COLUMNS], name_chars)]
    table += [_row(one.full_name, [text(one) for _, _, text in COLUMNS], name_chars) for one in shown[:room]]
    below = ["; ".join([*said, *gaps(now)])] if said or gaps(now) else []
    keys = [_keys(choice)] if has_keys else []
    return [cut(line, columns) for line in (summary(now, found), *table, *below, *keys)]


def summary(now: Mapping[str, Any], found: Sequence[FunctionRate]) -> str:
    """All functions in a line."""
    cells = now.get("cells")
    known = sorted(cells.items()) if isinstance(cells, dict) else ()
    of_cells = ", ".join(f"{as_text(number)} {state}" for state, number in known)
    total = sum(one.calls_per_s for one in found)
    text = f"{total:.1f} calls/s, {as_text(now.get('fronts'))} fronts" + (of_cells and f"; cells: {of_cells}")
    return safe(text)


def milliseconds(value: float | None) -> str:
    """A duration for a narrow column."""
    if value is None:
        return "-"
    return f"{value:.2f}" if value < 10 else f"{value:.0f}"


def _row(name: str, texts: Sequence[str], name_chars: int) -> str:
    cells = [f"{text:>{width}}" for text, (_, width, _) in zip(texts, COLUMNS, strict=True)]
    return " ".join((f"{cut(safe(name), name_chars):<{name_chars}}", *cells))


def _keys(choice: Choice) -> str:
    orders = " ".join(
        f"[{key} {word}]" if key == choice.order else f"{key} {word}" for key, (word, _) in ORDERS.items()
    )
    idle = "hide idle" if choice.shows_idle else "show idle"
    return f"{QUIT_KEY} quit  {IDLE_KEY} {idle}  sort: {orders}"
