"""All cells of the server: starts blank ones ahead of demand, and hands them to the leases that wait.

It decides little itself: ``blank_target`` and ``recent_demand`` say how many cells to start and to keep,
``fairness`` whose turn it is, ``cell_states`` which state may follow which.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import Counter
from collections.abc import Callable, Container, Iterable, Mapping

from supervisor.datagrams import LinkClosed
from supervisor.errors import BREACHED
from supervisor.link_records import CellEnd
from supervisor.runtimes import Runtime
from supervisor.settings.declarations import Settings
from supervisor.warden.all_steps import take_all_steps
from supervisor.warden.cells.cell_states import CellState
from supervisor.warden.cells.confinement import PROOF_LIMITS, CellKind, Confinement
from supervisor.warden.cells.held_cell import Cell, Hooks
from supervisor.warden.cells.uid_pool import UidPool
from supervisor.warden.leases.fairness import WaitingLease
from supervisor.warden.leases.space_shares import SpaceShares
from supervisor.warden.processes import Children
from supervisor.warden.supply import blank_target, recent_demand
from supervisor.warden.supply.roll import CellRoll
from supervisor.warden.supply.zygote_choice import ZygoteChoice
from supervisor.warden.supply.zygote_handle import ENDED_FIRST, Zygote
from worker.setup_messages import ProvenLayer

log = logging.getLogger("cellblock.cells")

# How often blank cells that were kept after a burst are counted, and surplus ones killed.
TRIM_EVERY_S = 1.0
# How many cells may fail to prove their lock-down at the start before this counts as a breach.
PROOF_TRIES = 3
# Called with a blank cell, or with None and the reason why there is none.
OnCell = Callable[[Cell | None, str], None]


class CellRequest:
    """A lease that waits for a blank cell.  One that ``is_modest`` never takes a cell from another lease."""

    def __init__(self, kind: CellKind, on_cell: OnCell, space: str, is_modest: bool) -> None:
        self.kind = kind
        self.on_cell = on_cell
        self.space = space
        self.is_modest = is_modest
        self.since = asyncio.get_running_loop().time()


class Registry:
    """Starts cells, hands them out, and is told of their ends."""

    def __init__(
        self,
        runtimes: tuple[Runtime, ...],
        *,
        preload: tuple[str, ...],
        huge_pages: bool,
        blank_cells: int,
        blank_most: int,
        slots: UidPool,
        confinement: Confinement,
        children: Children,
        shares: SpaceShares,
        on_end: Callable[[Cell, CellEnd], None],
        on_mend: Callable[[Container[str]], None],
        on_met: Callable[[Cell, str, int], None],
        on_change: Callable[[], None],
        on_layers: Callable[[], None],
    ) -> None:
        self._slots, self._confinement = slots, confinement
        self._hooks = Hooks(self._is_blank, self._is_tied, self._breach, on_met, self._has_ended)
        self._children, self._shares = children, shares
        shares.waiting_leases = self._waiting_leases
        self._tell_end, self._tell_alive = on_end, on_mend
        children.mend = self._mend
        self._on_change, self._on_layers = on_change, on_layers
        self._on_proof: dict[str, Callable[[], None]] = {}
        self._loop = asyncio.get_running_loop()
        self._roll = CellRoll(slots)
        self.cells = self._roll.cells
        self._requests: list[CellRequest] = []
        self._failures: dict[CellKind, int] = {}
        self._not_before: dict[CellKind, float] = {}
        self.zygotes = ZygoteChoice(runtimes, preload, children, self.fill, confinement.bare_code, huge_pages)
        self._wanted_blank = self.zygotes.wanted(blank_cells)
        self._blank_most = self._most_of(blank_most)
        self._recent_demand: dict[CellKind, recent_demand.RecentDemand] = {}
        self._trimmer: asyncio.TimerHandle | None = None
        self._refill: asyncio.TimerHandle | None = None
        self._calm_at, self._proofs_failed = 0.0, 0
        self._is_starting, self._is_stopping = True, False
        self.zygotes.of(self.zygotes.default).start()

    def settle(self) -> None:
        """The start is over: start the other zygotes, and all blank cells that are wanted.

        Before, they would have taken the processor from the server's first answer.
        """
        self._is_starting = False
        self.zygotes.start_all()
        self.fill()

    def retune(self, runtimes: tuple[Runtime, ...], settings: Settings) -> None:
        """Apply new settings and libraries.  Cells that are tied stay as they are."""
        self._slots.resize(settings.max_cells)
        for name in self.zygotes.load(runtimes, settings.preload):
            log.info("zygote %s is being replaced: its libraries changed", name)
        for request in self._requests:  # its zygote may just have been stopped, but it still gets a cell
            self.zygotes.of(request.kind).start()
        self._wanted_blank = self.zygotes.wanted(settings.blank_cells)
        self._blank_most = self._most_of(settings.blank_cells_most)
        self._trim()
        self.fill()

    def renew_zygotes(self) -> list[str]:
        """Replace each running zygote while calls go on.  Returns their runtimes' names."""
        running = self.zygotes.renew()
        log.info("zygotes are being replaced: %s", ", ".join(running) or "none is running")
        return running

    def is_ready(self) -> bool:
        """Whether a cell has proven its lock-down, and the default runtime has a blank cell."""
        default = self.zygotes.default
        blank = self._roll.count(default, CellState.BLANK)
        return (
            self._confinement.is_proven
            and not self._confinement.breach
            and blank >= min(1, self._wanted_blank[default])
            and self.zygotes.of(default).is_ready
        )

    def prove(self) -> None:
        """Have one cell prove its lock-down before any function is served.  It is killed afterwards."""

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

        self.request_cell(self.zygotes.default, tie)

    def _not_proven(self, reason: str) -> None:
        """The cell that should prove its lock-down ended before it did.  Try again, a few times."""
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
        """Stop serving: a system call succeeded that must not, so the tier does not hold."""
        if self._confinement.breach:
            return
        self._confinement.breach = reason
        log.critical("CONTAINMENT BREACHED, serving stops: %s", reason)
        for request in list(self._requests):
            self._requests.remove(request)
            request.on_cell(None, BREACHED)
        for other in list(self.cells.values()):
            other.kill("breached", reason)
        self._on_layers()

    def request_cell(
        self, kind: CellKind, on_cell: OnCell, space: str = "", is_modest: bool = False
    ) -> CellRequest:
        """Ask for a blank cell, on behalf of a space.  ``on_cell`` may be called before this returns."""
        self.zygotes.of(kind).start()
        request = CellRequest(kind, on_cell, space, is_modest)
        if self._confinement.breach:
            on_cell(None, BREACHED)
            return request
        self._requests.append(request)
        demand = self._demand_for(kind)
        self._recent_demand[kind] = recent_demand.after_request(demand, self._blank_most, request.since)
        self._trim_later()
        self.fill()
        return request

    def cancel_request(self, request: CellRequest) -> bool:
        """Withdraw a request.  False if it has been answered already."""
        if request not in self._requests:
            return False
        self._requests.remove(request)
        return True

    def _most_of(self, wanted: int) -> int:
        # Without namespaces the kernel counts all processes of a user against the limit of each cell.
        return wanted if self._confinement.has_namespaces else 0

    def _demand_for(self, kind: CellKind) -> recent_demand.RecentDemand:
        return self._recent_demand.get(kind, recent_demand.RecentDemand())

    def _to_keep(self, kind: CellKind) -> int:
        least = self._wanted_blank.get(kind, 0)
        if self._is_starting:
            # A spare cell would take the processor from the cell that a call waits for.
            is_waited_for = any(request.space and request.kind == kind for request in self._requests)
            return 0 if is_waited_for else min(1, least)
        demand, now = self._demand_for(kind), self._loop.time()
        return recent_demand.blank_cells_to_keep(demand, least, self._blank_most, self._slots.free, now)

    def _trim_later(self) -> None:
        if self._trimmer is None:
            self._trimmer = self._loop.call_later(TRIM_EVERY_S, self._trim)

    def _trim(self) -> None:
        """Kill the blank cells that recent demand no longer calls for, until only the least are kept."""
        if self._trimmer is not None:
            self._trimmer.cancel()
            self._trimmer = None
        if self._is_stopping:
            return
        for kind, least in self._wanted_blank.items():
            wanted = self._to_keep(kind)
            blank = [cell for cell in self._roll.all(CellState.BLANK) if cell.kind == kind]
            for cell in blank[wanted:]:
                cell.kill("spare")
            if wanted > least or len(blank) + self._roll.count(kind, CellState.GROWING) > least:
                self._trim_later()

    def _waiting_leases(self) -> tuple[list[WaitingLease], int]:
        """The waiting leases, and how many slots are free or belong to a cell that is starting or ending."""
        asking = [WaitingLease(one.space, one.since) for one in self._requests if not one.is_modest]
        passing = sum(cell.state in (CellState.GROWING, CellState.DYING) for cell in self.cells.values())
        return asking, self._slots.free + passing

    def _hand_out(self, kind: CellKind) -> None:
        """Hand blank cells to the waiting leases, in the order of ``fairness``."""
        while requests := self._first([request for request in self._requests if request.kind == kind]):
            cell = self._roll.blank(kind)
            if cell is None:
                return
            request = requests[self._shares.next([request.space for request in requests])]
            self._requests.remove(request)
            self._calm_at = self._loop.time() + blank_target.REFILL_AFTER_S
            request.on_cell(cell, "")

    def _refill_later(self) -> None:
        if self._refill is None:
            self._refill = self._loop.call_at(self._calm_at, self._refill_now)

    def _refill_now(self) -> None:
        self._refill = None
        self.fill()

    def fill(self) -> None:
        """Hand out blank cells, then start those that are missing."""
        for kind in {request.kind for request in self._requests}:
            self._hand_out(kind)
        kept = (kind for kind, number in self._wanted_blank.items() if number)
        kinds = dict.fromkeys([*self._waited_for(), *kept])
        self._replace_stale()
        demands = self._demands(kinds)
        self._make_room(demands)
        now = self._loop.time()
        for kind, number in blank_target.starts_by_kind(demands, self._slots.free).items():
            if number and blank_target.can_refill_wait(demands[kind]) and now < self._calm_at:
                self._refill_later()
                continue
            # Check each time: a start that fails at once calls ``fill`` again from within.
            while number and self._slots.free and self._may_grow(kind):
                self._grow(kind, self.zygotes.of(kind))
                number -= 1
        self._on_change()

    @staticmethod
    def _first(requests: list[CellRequest]) -> list[CellRequest]:
        """The requests for a call or a deploy; if there are none, the modest ones."""
        return [request for request in requests if not request.is_modest] or requests

    def _waited_for(self) -> list[CellKind]:
        """The kinds of cells that leases wait for, in the order of their turns; modest ones last."""
        first = self._first(self._requests)
        kinds = [request.kind for request in first]
        if len(set(kinds)) > 1:
            kinds = [kinds[index] for index in self._shares.in_turn([request.space for request in first])]
        return kinds + [request.kind for request in self._requests]

    def _may_grow(self, kind: CellKind) -> bool:
        is_closed = self._is_stopping or self._confinement.breach
        is_early = self._loop.time() < self._not_before.get(kind, 0.0)
        return not is_closed and not is_early and self.zygotes.of(kind).is_ready

    def _demands(self, kinds: Iterable[CellKind]) -> dict[CellKind, blank_target.Demand]:
        blank = Counter(cell.kind for cell in self._roll.all(CellState.BLANK) if not self._is_stale(cell))
        growing = Counter(cell.kind for cell in self._roll.all(CellState.GROWING))
        pending = Counter(request.kind for request in self._requests)
        return {
            kind: blank_target.Demand(self._to_keep(kind), blank[kind], growing[kind], pending[kind])
            for kind in kinds
        }

    def _replace_stale(self) -> None:
        """Kill blank cells of a replaced zygote once there are enough newer ones."""
        blank = self._roll.all(CellState.BLANK)
        stale = [cell for cell in blank if self._is_stale(cell)]
        surplus = Counter(cell.kind for cell in blank) if stale else Counter()
        for cell in stale:
            if self._may_grow(cell.kind) and surplus[cell.kind] > self._to_keep(cell.kind):
                surplus[cell.kind] -= 1
                cell.kill("renewed")

    def _grow(self, kind: CellKind, zygote: Zygote) -> None:
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
        except Exception as error:  # EMFILE
            cell.not_grown(str(error))

    def _is_blank(self, cell: Cell) -> None:
        self._failures.pop(cell.kind, None)
        self.fill()

    def _has_ended(self, cell: Cell, ending: CellEnd) -> None:
        was_to_prove = cell.name in self._on_proof
        # The list of cells first, before anything that could fail.
        steps: list[Callable[[], object]] = [lambda: self._remove(cell)]
        if was_to_prove:
            steps.append(lambda: self._not_proven(ending.reason))
        if ending.cause == "not started" and not self._is_stopping and ending.reason != ENDED_FIRST:
            # After ENDED_FIRST leases just wait for the next zygote.
            steps.append(lambda: self._back_off(cell.kind, ending.reason))
        steps.append(lambda: self._tell_end(cell, ending))
        if not self._is_stopping:
            steps.append(self.fill)
        take_all_steps(f"cell {cell.name}", *steps)

    def _remove(self, cell: Cell) -> None:
        self._roll.remove(cell)
        self._on_proof.pop(cell.name, None)

    def _mend(self) -> None:
        """Handling an end has failed: correct the accounts from the processes that live."""
        self._roll.mend(self._children.has)
        self._tell_alive(self.cells)
        if not self._is_stopping:
            self.fill()

    def _back_off(self, kind: CellKind, reason: str) -> None:
        failures = self._failures[kind] = self._failures.get(kind, 0) + 1
        delay = blank_target.backoff(failures)
        log.error("a %s cell was not started (%s); next try in %.1f s", kind.runtime, reason, delay)
        self._not_before[kind] = self._loop.time() + delay
        self._loop.call_later(delay, self.fill)
        # Tell the waiting leases why, so that they do not wait until they time out.
        for request in [request for request in self._requests if request.kind == kind]:
            self._requests.remove(request)
            request.on_cell(None, f"no cell can be started: {reason}")

    def _make_room(self, demands: Mapping[CellKind, blank_target.Demand]) -> None:
        """At the limit of cells kill spare ones.  If that is not enough, refuse modest requests at once."""
        room = self._slots.free + len(self._roll.all(CellState.DYING))
        missing = max(0, sum(demand.owed for demand in demands.values()) - room)
        spare = self._roll.all(CellState.BLANK)[:missing]
        for cell in spare:
            cell.kill("made room")
        modest = [request for request in self._requests if request.is_modest and demands[request.kind].owed]
        for request in modest[::-1][: missing - len(spare)]:
            if self.cancel_request(request):
                request.on_cell(None, "there is no room for an instance ahead of its calls")

    def _is_stale(self, cell: Cell) -> bool:
        """Whether the cell was cloned from a zygote that was replaced or died."""
        number = self.zygotes.of(cell.kind).number
        return bool(number) and cell.zygote_number != number

    def stop(self) -> None:
        """Kill all cells and zygotes.  Their ends are still reported."""
        self._is_stopping = True
        self.zygotes.stop()
        for cell in list(self.cells.values()):
            cell.kill("shutdown")
