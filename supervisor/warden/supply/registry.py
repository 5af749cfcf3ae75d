"""All cells: how many there are, which are blank, which front holds which, and who waits for one.

Thin: ``blank_target`` says how many to start, ``cell_states`` what may follow what; this file does it.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import Counter
from collections.abc import Callable, Container, Iterable, Mapping

from supervisor.datagrams import LinkClosed
from supervisor.link_records import CellEnd
from supervisor.runtimes import Runtime
from supervisor.settings.declarations import Settings
from supervisor.warden.all_steps import all_of
from supervisor.warden.cells.cell_states import State
from supervisor.warden.cells.confinement import PROOF_LIMITS, Confinement, Kind
from supervisor.warden.cells.held_cell import Cell, Hooks
from supervisor.warden.cells.uid_pool import Slots
from supervisor.warden.leases.fairness import Asking
from supervisor.warden.leases.space_shares import Shares
from supervisor.warden.processes import Children
from supervisor.warden.supply import blank_target, recent_demand
from supervisor.warden.supply.roll import Roll
from supervisor.warden.supply.zygote_choice import Stock
from supervisor.warden.supply.zygote_handle import ENDED_FIRST, Zygote
from worker.setup_messages import ProvenLayer

log = logging.getLogger("cellblock.cells")

# How often blank cells that were kept for a burst are looked at, and ended where none wants them.
TRIM_EVERY_S = 1.0
# Cells that end before they have proven themselves, at the start: then something is wrong for good.
PROOF_TRIES = 3
BREACHED = "the server's containment failed its own test, and its operator has to look"
# Called with a blank cell, or with None and the reason there is none.
OnCell = Callable[[Cell | None, str], None]


class Want:
    """A lease that waits for a blank cell; one that ``is_modest`` takes no room from anybody."""

    def __init__(self, kind: Kind, on_cell: OnCell, space: str, is_modest: bool) -> None:
        self.kind = kind
        self.on_cell = on_cell
        self.space = space
        self.is_modest = is_modest
        self.since = asyncio.get_running_loop().time()


class Registry:
    """Grows cells ahead of demand and hands them out."""

    def __init__(
        self,
        runtimes: tuple[Runtime, ...],
        *,
        preload: tuple[str, ...],
        huge_pages: bool,
        blank_cells: int,
        blank_most: int,
        slots: Slots,
        confinement: Confinement,
        children: Children,
        shares: Shares,
        on_end: Callable[[Cell, CellEnd], None],
        on_mend: Callable[[Container[str]], None],
        on_met: Callable[[Cell, str, int], None],
        on_change: Callable[[], None],
        on_layers: Callable[[], None],
    ) -> None:
        self._slots = slots
        self._confinement = confinement
        self._hooks = Hooks(self._is_blank, self._is_tied, self._breach, on_met, self._has_ended)
        self._children = children
        self._shares = shares
        shares.crowd = self._crowd
        self._tell_end, self._tell_alive = on_end, on_mend
        children.mend = self._mend
        self._on_change, self._on_layers = on_change, on_layers
        self._on_proof: dict[str, Callable[[], None]] = {}
        self._proofs_failed = 0
        self._loop = asyncio.get_running_loop()
        self._roll = Roll(slots)
        self.cells = self._roll.cells
        self._wants: list[Want] = []
        self._failures: dict[Kind, int] = {}
        self._not_before: dict[Kind, float] = {}
        self._is_stopping = False
        self.stock = Stock(runtimes, preload, children, self.fill, confinement.bare_code, huge_pages)
        self._wanted_blank = self.stock.wanted(blank_cells)
        self._blank_most = self._most_of(blank_most)
        self._pace: dict[Kind, recent_demand.Pace] = {}
        self._trimmer: asyncio.TimerHandle | None = None
        self._refill: asyncio.TimerHandle | None = None
        self._calm_at = 0.0
        self._is_starting = True
        self.stock.of(self.stock.default).start()

    def settle(self) -> None:
        """The start is over: from now on as many blank cells as are wanted, and the other zygotes.

        Until then they would only take the processor from the server's first answer.
        """
        self._is_starting = False
        self.stock.start_all()
        self.fill()

    def retune(self, runtimes: tuple[Runtime, ...], settings: Settings) -> None:
        """Other numbers, or other libraries, from now on; cells that are somebody's stay as they are."""
        self._slots.resize(settings.max_cells)
        for name in self.stock.load(runtimes, settings.preload):
            log.info("zygote %s is being replaced: its libraries changed", name)
        for want in self._wants:  # of libraries that are to be imported no more, too: it still gets its cell
            self.stock.of(want.kind).start()
        self._wanted_blank = self.stock.wanted(settings.blank_cells)
        self._blank_most = self._most_of(settings.blank_cells_most)
        self._trim()
        self.fill()

    def renew_zygotes(self) -> list[str]:
        """Replace each zygote that runs, while calls go on; the runtimes' names."""
        running = self.stock.renew()
        log.info("zygotes are being replaced: %s", ", ".join(running) or "none is running")
        return running

    def is_ready(self) -> bool:
        """Whether a cell has proven its lock-down, and the default runtime has one to spare."""
        default = self.stock.default
        blank = self._roll.count(default, State.BLANK)
        return (
            self._confinement.is_proven
            and not self._confinement.breach
            and blank >= min(1, self._wanted_blank[default])
            and self.stock.of(default).is_ready
        )

    def prove(self) -> None:
        """Have one cell prove its lock-down before any function is served; it is killed afterwards."""

        def tie(cell: Cell | None, reason: str) -> None:
            if cell is None:
                self._not_proven(reason)
                return
            try:
                cell.tie(PROOF_LIMITS, None)
                self._on_proof[cell.name] = lambda: cell.kill("proven")
            except (LinkClosed, OSError) as error:
                cell.kill("not started", f"it could not be tied: {error}")
                self._not_proven(str(error))

        self.want(self.stock.default, tie)

    def _not_proven(self, reason: str) -> None:
        """The cell that should prove its lock-down ended first, by no breach: again, a few times."""
        self._proofs_failed += 1
        if self._proofs_failed >= PROOF_TRIES:
            self._breach(f"no cell could be locked down: {reason}")
        elif not self._is_stopping:
            self._loop.call_later(blank_target.backoff(self._proofs_failed), self.prove)

    def _is_tied(self, cell: Cell, proof: list[ProvenLayer]) -> None:
        if unproven := self._confinement.unproven(proof):
            self._breach(f"a cell proved nothing of {', '.join(unproven)}")
            return
        if self._confinement.believe(proof):
            self._on_layers()
        self._on_proof.pop(cell.name, lambda: None)()

    def _breach(self, reason: str) -> None:
        """A call succeeded that must not: this tier is not what it claims, so nothing more is served."""
        if self._confinement.breach:
            return
        self._confinement.breach = reason
        log.critical("CONTAINMENT BREACHED, serving stops: %s", reason)
        for want in list(self._wants):
            self._wants.remove(want)
            want.on_cell(None, BREACHED)
        for other in list(self.cells.values()):
            other.kill("breached", reason)
        self._on_layers()

    def want(self, kind: Kind, on_cell: OnCell, space: str = "", is_modest: bool = False) -> Want:
        """Ask for a blank cell for a space; ``on_cell`` may be called before this returns."""
        self.stock.of(kind).start()
        want = Want(kind, on_cell, space, is_modest)
        if self._confinement.breach:
            on_cell(None, BREACHED)
            return want
        self._wants.append(want)
        self._pace[kind] = recent_demand.after_one(
            self._pace.get(kind, recent_demand.Pace()), self._blank_most, want.since
        )
        self._trim_later()
        self.fill()
        return want

    def forget(self, want: Want) -> bool:
        """Give up on a want; False when it has already been answered."""
        if want not in self._wants:
            return False
        self._wants.remove(want)
        return True

    def _most_of(self, wanted: int) -> int:
        # Without namespaces the kernel counts all processes of a user as one function's.
        return wanted if self._confinement.has_namespaces else 0

    def _to_keep(self, kind: Kind) -> int:
        least, asked = self._wanted_blank.get(kind, 0), self._pace.get(kind, recent_demand.Pace())
        if self._is_starting:
            # A cell to spare would take the processor from the one that a call waits for.
            is_waited_for = any(want.space and want.kind == kind for want in self._wants)
            return 0 if is_waited_for else min(1, least)
        return recent_demand.to_keep(asked, least, self._blank_most, self._slots.free, self._loop.time())

    def _trim_later(self) -> None:
        if self._trimmer is None:
            self._trimmer = self._loop.call_later(TRIM_EVERY_S, self._trim)

    def _trim(self) -> None:
        """End blank cells that are kept for more demand than there is, until it is as in quiet times."""
        if self._trimmer is not None:
            self._trimmer.cancel()
            self._trimmer = None
        if self._is_stopping:
            return
        for kind, least in self._wanted_blank.items():
            wanted = self._to_keep(kind)
            blank = [cell for cell in self._roll.all(State.BLANK) if cell.kind == kind]
            for cell in blank[wanted:]:
                cell.kill("spare")
            if wanted > least or len(blank) + self._roll.count(kind, State.GROWING) > least:
                self._trim_later()

    def _crowd(self) -> tuple[list[Asking], int]:
        """Who waits, and for how many of them there is room, or a cell that begins or ends."""
        asking = [Asking(want.space, want.since) for want in self._wants if not want.is_modest]
        passing = sum(cell.state in (State.GROWING, State.DYING) for cell in self.cells.values())
        return asking, self._slots.free + passing

    def _hand_out(self, kind: Kind) -> None:
        """Blank cells to those who wait for one, each space in its turn."""
        while wants := self._first([want for want in self._wants if want.kind == kind]):
            cell = self._roll.blank(kind)
            if cell is None:
                return
            want = wants[self._shares.next([want.space for want in wants])]
            self._wants.remove(want)
            self._calm_at = self._loop.time() + blank_target.REFILL_AFTER_S
            want.on_cell(cell, "")

    def _refill_later(self) -> None:
        if self._refill is None:
            self._refill = self._loop.call_at(self._calm_at, self._refill_now)

    def _refill_now(self) -> None:
        self._refill = None
        self.fill()

    def fill(self) -> None:
        """Match what is blank with what is wanted, then start what is missing."""
        for kind in {want.kind for want in self._wants}:
            self._hand_out(kind)
        kinds = dict.fromkeys([*self._waited_for(), *self._wanted_blank])
        self._replace_stale()
        demands = self._demands(kinds)
        self._make_room(demands)
        now = self._loop.time()
        for kind, number in blank_target.shared_out(demands, self._slots.free).items():
            if number and blank_target.may_wait(demands[kind]) and now < self._calm_at:
                self._refill_later()
                continue
            # Looked at each time: one that fails at once has this begin anew, from within.
            while number and self._slots.free and self._may_grow(kind):
                self._grow(kind, self.stock.of(kind))
                number -= 1
        self._on_change()

    @staticmethod
    def _first(wants: list[Want]) -> list[Want]:
        """Those that a call or a deploy waits for; if there are none, those ahead of calls."""
        return [want for want in wants if not want.is_modest] or wants

    def _waited_for(self) -> list[Kind]:
        """The kinds that leases wait for, with what each wants in its turn; modest ones last."""
        first = self._first(self._wants)
        kinds = [want.kind for want in first]
        if len(set(kinds)) > 1:
            kinds = [kinds[index] for index in self._shares.in_turn([want.space for want in first])]
        return kinds + [want.kind for want in self._wants]

    def _may_grow(self, kind: Kind) -> bool:
        is_closed = self._is_stopping or self._confinement.breach
        is_early = self._loop.time() < self._not_before.get(kind, 0.0)
        return not is_closed and not is_early and self.stock.of(kind).is_ready

    def _demands(self, kinds: Iterable[Kind]) -> dict[Kind, blank_target.Demand]:
        blank = Counter(cell.kind for cell in self._roll.all(State.BLANK) if not self._is_stale(cell))
        growing = Counter(cell.kind for cell in self._roll.all(State.GROWING))
        pending = Counter(want.kind for want in self._wants)
        return {
            kind: blank_target.Demand(self._to_keep(kind), blank[kind], growing[kind], pending[kind])
            for kind in kinds
        }

    def _replace_stale(self) -> None:
        """Copies of a zygote that was replaced are used up, and make way as soon as there are others."""
        blank = self._roll.all(State.BLANK)
        surplus = Counter(cell.kind for cell in blank)
        for cell in filter(self._is_stale, blank):
            if self._may_grow(cell.kind) and surplus[cell.kind] > self._to_keep(cell.kind):
                surplus[cell.kind] -= 1
                cell.kill("renewed")

    def _grow(self, kind: Kind, zygote: Zygote) -> None:
        slot = self._slots.take()
        name = secrets.token_hex(5)
        try:
            cell = Cell(name, kind, self._slots.ids(slot), self._confinement, self._hooks)
        except Exception as error:  # EMFILE
            self._slots.give_back(slot)
            self._back_off(kind, str(error))
            return
        self._roll.enter(cell, slot)
        try:
            cell.grow(zygote, self._children)
        except Exception as error:  # EMFILE: this cell is never, the next ones wait
            cell.not_grown(str(error))

    def _is_blank(self, cell: Cell) -> None:
        self._failures.pop(cell.kind, None)
        self.fill()

    def _has_ended(self, cell: Cell, ending: CellEnd) -> None:
        was_to_prove = cell.name in self._on_proof
        # The accounts first, before all that could go wrong.
        steps: list[Callable[[], object]] = [lambda: self._strike_out(cell)]
        if was_to_prove:
            steps.append(lambda: self._not_proven(ending.reason))
        if ending.cause == "not started" and not self._is_stopping and ending.reason != ENDED_FIRST:
            # Else: whoever waits does so for the next zygote.
            steps.append(lambda: self._back_off(cell.kind, ending.reason))
        steps.append(lambda: self._tell_end(cell, ending))
        if not self._is_stopping:
            steps.append(self.fill)
        all_of(f"cell {cell.name}", *steps)

    def _strike_out(self, cell: Cell) -> None:
        self._roll.strike_out(cell)
        self._on_proof.pop(cell.name, None)

    def _mend(self) -> None:
        """An end went wrong somewhere: the accounts are made right from which processes there are."""
        self._roll.mend(self._children.has)
        self._tell_alive(self.cells)
        if not self._is_stopping:
            self.fill()

    def _back_off(self, kind: Kind, reason: str) -> None:
        failures = self._failures[kind] = self._failures.get(kind, 0) + 1
        delay = blank_target.backoff(failures)
        log.error("a %s cell was not started (%s); next try in %.1f s", kind.runtime, reason, delay)
        self._not_before[kind] = self._loop.time() + delay
        self._loop.call_later(delay, self.fill)
        # Whoever waits learns why instead of waiting out its time.
        for want in [want for want in self._wants if want.kind == kind]:
            self._wants.remove(want)
            want.on_cell(None, f"no cell can be started: {reason}")

    def _make_room(self, demands: Mapping[Kind, blank_target.Demand]) -> None:
        """At the limit spare cells make way for those of other kinds that are waited for.

        If that is not enough, modest wants are refused at once: fronts count on what they have asked for.
        """
        room = self._slots.free + len(self._roll.all(State.DYING))
        missing = max(0, sum(demand.owed for demand in demands.values()) - room)
        spare = self._roll.all(State.BLANK)[:missing]
        for cell in spare:
            cell.kill("made room")
        modest = [want for want in self._wants if want.is_modest and demands[want.kind].owed]
        for want in modest[::-1][: missing - len(spare)]:
            if self.forget(want):
                want.on_cell(None, "there is no room for an instance ahead of its calls")

    def _is_stale(self, cell: Cell) -> bool:
        """Of a zygote that was replaced, or died."""
        number = self.stock.of(cell.kind).number
        return bool(number) and cell.zygote_number != number

    def stop(self) -> None:
        """Kill every cell and zygote; their ends are still reported."""
        self._is_stopping = True
        self.stock.stop()
        for cell in list(self.cells.values()):
            cell.kill("shutdown")
