"""Ending a call before its handler does: its time is up, or its caller has hung up.

A worker that runs a handler does not read its pipe.  So the front writes CANCEL and has pid 1 of the
cell send LOOK_SIGNAL, whose handler looks into the pipe: a signal says nothing, frames do.  An ordinary
handler gets an exception where it stands, a coroutine is cancelled by its loop.  Shortly before the
front has the whole cell killed, DUMP_SIGNAL makes every thread's stack appear in the log, even of code
that holds the interpreter's lock and hears no other signal.

At its limit of memory the warden has pid 1 send MEMORY_SIGNAL: an ordinary handler gets MemoryError where
it stands, and so does a coroutine that runs; where only the loop runs, because all calls wait, they are
cancelled.

All of this is a courtesy to the author: code that takes these signals away from us loses its own
stack, and is killed all the same.
"""

import faulthandler
import linecache
import opcode
import signal
import sys
from typing import TYPE_CHECKING, Any, Callable, Coroutine, List, NamedTuple, Optional, Set

from function import context

from .. import logwire, wire
from ..capture import output_capture
from ..imports import namesakes
from ..sandbox import places
from . import current_call
from .channel import Channel

if TYPE_CHECKING:
    import asyncio

LOOK_SIGNAL = signal.SIGXCPU
DUMP_SIGNAL = signal.SIGQUIT
MEMORY_SIGNAL = signal.SIGPWR  # no library's, and nobody else sends it
# From a signal that came while the loop's own code ran to the end of all calls, unless one of them meets the
# next signal: who takes more gets that within a few milliseconds.
MEMORY_PATIENCE_S = 0.02
# From Python 3.11.
JUMP_BACKWARD = opcode.opmap.get("JUMP_BACKWARD")
MEMORY_MET = "the memory of the function's instance is at its limit"
# What of a stack is shown: the author's innermost frames.
FRAMES_MOST = 50
WHERE_MAX_CHARS = 512


class Place(NamedTuple):
    """A line of code: file and function as the author knows them."""

    file: str
    line: int
    function: str

    def __str__(self) -> str:
        text = "%s:%d in %s" % (self.file.rpartition("/")[2], self.line, self.function)
        return text[:WHERE_MAX_CHARS].encode("utf-8", "replace").decode()


def places_of(frame: Any) -> List[Place]:
    """The author's own frames of a stack, innermost first; where there is none, the innermost of all."""
    own: List[Place] = []
    innermost = None
    while frame is not None and len(own) < FRAMES_MOST:
        place = Place(frame.f_code.co_filename, frame.f_lineno or 0, frame.f_code.co_name)
        innermost = innermost or place
        if place.file.startswith(places.function_dir):
            own.append(place)
        frame = frame.f_back
    return own or [place for place in (innermost,) if place]


def places_of_coroutine(coroutine: Optional[Coroutine[Any, Any, Any]]) -> List[Place]:
    """The same of a coroutine that waits, found along what it awaits."""
    waiting: Any = coroutine
    found: List[Place] = []
    while waiting is not None and len(found) < FRAMES_MOST:
        frame = getattr(waiting, "cr_frame", None)
        if frame is not None and frame.f_code.co_filename.startswith(places.function_dir):
            found.insert(0, Place(frame.f_code.co_filename, frame.f_lineno or 0, frame.f_code.co_name))
        waiting = getattr(waiting, "cr_await", None)
    return found


def raise_in(frame: Any, error: BaseException) -> None:
    """Raise it where the function's code stands.

    Between two rounds of a loop that is the first thing in a ``try``, CPython (from 3.11) looks for the
    handler of an exception one instruction too early, before the ``try``: one of that is raised by the next
    instruction, which a trace function comes before.
    """
    code = frame.f_code
    is_between = 0 <= frame.f_lasti < len(code.co_code) and code.co_code[frame.f_lasti] == JUMP_BACKWARD
    if not is_between or sys.gettrace() is not None:
        raise error

    def step(_frame: Any, event: str, _argument: Any) -> Any:
        if event != "opcode":
            return step
        sys.settrace(None)
        _frame.f_trace = None
        raise error

    frame.f_trace, frame.f_trace_opcodes = step, True
    sys.settrace(lambda *_: None)


class Interrupts:
    """Of one instance; made before its module is imported."""

    def __init__(self, channel: Channel) -> None:
        # The call that an ordinary handler is busy with; 0 while our own code runs.
        self.running = 0
        # Frames that the signal's handler read and the loop has not seen.
        self.stash: List[wire.Frame] = []
        # Other code of the function runs in this thread: its import, or what becomes of its answer.
        self.is_open = False
        # MemoryError was raised at the limit, and who caught it, if anybody, has not been told of.
        self.has_met = False
        # The coroutine that an ordinary handler gave, while it runs.
        self.awaited: "Optional[asyncio.Task[Any]]" = None
        # Calls that were told to end: where each stood is in the log.
        self.told: Set[int] = set()
        self._channel = channel
        self._is_async = False
        self._cancel_all: Callable[[], None] = lambda: None
        self._is_owed = False
        self._loop: "Optional[asyncio.AbstractEventLoop]" = None
        # Of a crash in C the author sees where his code stood.
        faulthandler.enable(file=2, all_threads=False)
        faulthandler.register(DUMP_SIGNAL, file=2, all_threads=True, chain=False)
        signal.signal(LOOK_SIGNAL, self._look)
        signal.signal(MEMORY_SIGNAL, self._at_the_limit)

    def serve_async(self, loop: "asyncio.AbstractEventLoop", cancel_all: Callable[[], None]) -> None:
        """From now on a loop reads the pipe; ``cancel_all`` ends its calls for want of memory."""
        self._is_async = True
        self._loop = loop
        self._cancel_all = cancel_all

    def _at_the_limit(self, _: int, frame: Any) -> None:
        """The cell's memory is at its limit."""
        if not self._is_async:
            if self.running or self.is_open:
                self.has_met = True
                raise_in(frame, MemoryError(MEMORY_MET))
            return  # our own code: whatever runs besides, the instance ends after this call
        stack = places_of(frame)
        if stack and stack[0].file.startswith(places.function_dir) and not self._channel.is_writing:
            self._is_owed = False
            self.has_met = True
            raise_in(frame, MemoryError(MEMORY_MET))
            return
        # In the loop's own code an exception would end everybody's calls, or none.
        if not self._is_owed and self._loop is not None:
            self._is_owed = True
            self._loop.call_soon_threadsafe(self._loop.call_later, MEMORY_PATIENCE_S, self._cancel_if_owed)

    def _cancel_if_owed(self) -> None:
        if self._is_owed:
            self._is_owed = False
            self.has_met = True
            self._cancel_all()

    def _look(self, _: int, frame: Any) -> None:
        if self._is_async:
            self._look_at_the_loop(frame)
        elif self.running:
            call = self.running
            # Only while the handler runs: between calls the loop itself reads, and would wait for these.
            self.stash += self._channel.read_ready()
            for cancel in [item for item in self.stash if item.kind == wire.CANCEL and item.call == call]:
                self.stash.remove(cancel)
                error = error_of(cancel.head[0])
                self.report(call, self._stack(frame), str(error))
                raise_in(frame, error)

    def _stack(self, frame: Any) -> List[Place]:
        """Where an ordinary handler stands; if it gave a coroutine, and the loop waits, where that does."""
        stack = places_of(frame)
        if self.awaited is None or (stack and stack[0].file.startswith(places.function_dir)):
            return stack
        return places_of_coroutine(self.awaited.get_coro()) or stack  # type: ignore[arg-type]

    def _look_at_the_loop(self, frame: Any) -> None:
        """CANCEL was written a while ago, and the loop has not read it: somebody keeps it from turning."""
        call, stack = current_call.number(), places_of(frame)
        if not call or not self._channel.has_input() or self._channel.is_writing:
            return
        if not stack or not stack[0].file.startswith(places.function_dir):
            return  # in the loop's own code: an exception there would end everybody's calls
        error = context.CallTimeout("it kept the event loop from all other calls of this instance")
        self.report(call, stack, str(error), is_blocking=True)
        raise error

    def cancel(self, task: "asyncio.Task[None]", cancel: wire.Frame) -> None:
        """CANCEL of a call that is a task of our loop."""
        error = error_of(cancel.head[0])
        self.report(cancel.call, places_of_coroutine(task.get_coro()), str(error))  # type: ignore[arg-type]
        task.cancel()

    def report(self, call: int, stack: List[Place], why: str, is_blocking: bool = False) -> None:
        """Say where a call stands: to the front in a few words, to the log in full."""
        self.told.add(call)
        self._channel.send(wire.WHERE, call, (str(stack[0]) if stack else "", int(is_blocking)))
        lines = ["%s; it was here (most recent call last):" % why]
        for place in reversed(stack):
            lines.append('  File "%s", line %d, in %s' % place)
            with namesakes.ours:
                code = linecache.getline(place.file, place.line).strip()
            if code:
                lines.append("    %s" % code)
        try:
            output_capture.put_entry("\n".join(lines), "error", kind=logwire.END)
        except Exception:  # noqa: S110 - the author's own doing; the front has its few words
            pass


def error_of(why: int) -> BaseException:
    """What the handler gets."""
    if why == wire.CALLER_IS_GONE:
        return context.CallCancelled("the caller hung up")
    return context.CallTimeout("the call's time was up")
