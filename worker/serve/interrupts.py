"""Ends a call before its handler does: its time is up, its caller has hung up, or memory is at its limit.

A worker that runs a handler does not read its pipe.  So the front writes CANCEL, and has pid 1 of the cell
send LOOK_SIGNAL.  The signal's handler reads the pipe: a signal carries no data, a frame does.  A sync
handler gets an exception where it stands; a coroutine is cancelled by its loop.  Shortly before the front has
the cell killed, pid 1 sends DUMP_SIGNAL.  It writes the stack of every thread to the log, even of code that
holds the interpreter's lock and lets no Python signal handler run.

When the instance's memory reaches its limit, pid 1 sends MEMORY_SIGNAL.  A sync handler gets MemoryError
where it stands, and so does a coroutine that runs.  If only the loop runs because all calls wait, all calls
are cancelled.

All of this is a courtesy to the author.  Code that replaces our signal handlers loses its own stack, and is
killed all the same.
"""

import faulthandler
import linecache
import opcode
import signal
import sys
from typing import TYPE_CHECKING, Any, Callable, Coroutine, List, NamedTuple, Optional, Set

from function import context

from .. import logwire, wire
from ..answer.mistake import clipped
from ..capture import output_capture
from ..imports import namesakes
from ..sandbox import places
from . import current_call
from .channel import Channel

if TYPE_CHECKING:
    import asyncio

LOOK_SIGNAL = signal.SIGXCPU
DUMP_SIGNAL = signal.SIGQUIT
MEMORY_SIGNAL = signal.SIGPWR  # no library uses it, and nobody else sends it
# How long all calls are spared after a signal that came while the loop's own code ran.  A call that takes
# more memory meets the next signal within a few milliseconds, and then only that call ends.
MEMORY_PATIENCE_S = 0.02
# None before Python 3.11.
JUMP_BACKWARD = opcode.opmap.get("JUMP_BACKWARD")
MEMORY_MET = "the memory of the function's instance is at its limit"
# A shown stack has at most so many of the author's frames, the innermost ones.
FRAMES_MOST = 50
WHERE_MAX_CHARS = 512


class CodeLocation(NamedTuple):
    """A line of code that a call stands at."""

    file: str
    line: int
    function: str

    def __str__(self) -> str:
        text = "%s:%d in %s" % (self.file.rpartition("/")[2], self.line, self.function)
        return clipped(text, WHERE_MAX_CHARS)


def locations_of(frame: Any) -> List[CodeLocation]:
    """The author's own frames of a stack, innermost first; if there are none, the innermost of all."""
    own: List[CodeLocation] = []
    innermost = None
    while frame is not None and len(own) < FRAMES_MOST:
        place = CodeLocation(frame.f_code.co_filename, frame.f_lineno or 0, frame.f_code.co_name)
        innermost = innermost or place
        if place.file.startswith(places.function_dir):
            own.append(place)
        frame = frame.f_back
    return own or [place for place in (innermost,) if place]


def coroutine_locations(coroutine: Optional[Coroutine[Any, Any, Any]]) -> List[CodeLocation]:
    """The same for a coroutine that waits, found along the chain of what it awaits."""
    waiting: Any = coroutine
    found: List[CodeLocation] = []
    while waiting is not None and len(found) < FRAMES_MOST:
        frame = getattr(waiting, "cr_frame", None)
        if frame is not None and frame.f_code.co_filename.startswith(places.function_dir):
            found.insert(0, CodeLocation(frame.f_code.co_filename, frame.f_lineno or 0, frame.f_code.co_name))
        waiting = getattr(waiting, "cr_await", None)
    return found


def raise_in(frame: Any, error: BaseException) -> None:
    """Raise the exception where the function's code stands, which a signal handler has interrupted.

    CPython (from 3.11) has a flaw between two rounds of a loop that is the first statement in a ``try``: it
    looks for the exception's handler one instruction too early, before the ``try``.  There a trace function
    raises the exception at the next instruction instead.
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
    """The signal handlers of one instance, and what they know."""

    def __init__(self, channel: Channel) -> None:
        # The number of the call whose sync handler runs; 0 while our own code runs.
        self.running = 0
        # Frames that a signal handler has read and the loop has not seen yet.
        self.stash: List[wire.Frame] = []
        # Whether other code of the function runs in the main thread: its import, or methods of the object
        # that a handler has returned.
        self.is_in_tenant_code = False
        # Whether MemoryError was raised at the limit and the front does not know yet: the function may have
        # caught it.
        self.has_met_memory = False
        # The task of a coroutine that a sync handler has returned, while it runs.
        self.awaited: "Optional[asyncio.Task[Any]]" = None
        # The calls that we have cancelled, and whose stack is in the log.
        self.cancelled: Set[int] = set()
        self._channel = channel
        self._is_async = False
        self._cancel_all: Callable[[], None] = lambda: None
        self._is_cancel_due = False
        self._loop: "Optional[asyncio.AbstractEventLoop]" = None

    def install(self) -> None:
        """Hear the signals from now on; before the handler is imported."""
        # If C code crashes, the author sees where the Python code stood.
        faulthandler.enable(file=2, all_threads=False)
        faulthandler.register(DUMP_SIGNAL, file=2, all_threads=True, chain=False)
        signal.signal(LOOK_SIGNAL, self._on_look_signal)
        signal.signal(MEMORY_SIGNAL, self._on_memory_signal)

    def serve_async(self, loop: "asyncio.AbstractEventLoop", cancel_all: Callable[[], None]) -> None:
        """From now on the loop reads the pipe; ``cancel_all`` cancels all calls for want of memory."""
        self._is_async = True
        self._loop = loop
        self._cancel_all = cancel_all

    def _on_memory_signal(self, _: int, frame: Any) -> None:
        """The cell's memory is at its limit."""
        if not self._is_async:
            if self.running or self.is_in_tenant_code:
                self.has_met_memory = True
                raise_in(frame, MemoryError(MEMORY_MET))
            return  # in our own code; the front replaces the instance after this call anyway
        stack = locations_of(frame)
        if stack and stack[0].file.startswith(places.function_dir) and not self._channel.is_writing:
            self._is_cancel_due = False
            self.has_met_memory = True
            raise_in(frame, MemoryError(MEMORY_MET))
            return
        # An exception in the loop's own code would end all calls, or none.
        if not self._is_cancel_due and self._loop is not None:
            self._is_cancel_due = True
            self._loop.call_soon_threadsafe(self._loop.call_later, MEMORY_PATIENCE_S, self._cancel_if_due)

    def _cancel_if_due(self) -> None:
        if self._is_cancel_due:
            self._is_cancel_due = False
            self.has_met_memory = True
            self._cancel_all()

    def _on_look_signal(self, _: int, frame: Any) -> None:
        if self._is_async:
            self._look_at_the_loop(frame)
        elif self.running:
            call = self.running
            # Only while the handler runs.  Between calls the loop itself reads the pipe, and would wait for
            # ever for frames that were taken from it.
            self.stash += self._channel.read_ready()
            for cancel in [item for item in self.stash if item.kind == wire.CANCEL and item.call == call]:
                self.stash.remove(cancel)
                error = error_of(cancel.head[0])
                self.report(call, self._stack(frame), str(error))
                raise_in(frame, error)

    def _stack(self, frame: Any) -> List[CodeLocation]:
        """Where a sync handler stands; or the coroutine that it has returned, if the loop waits for that."""
        stack = locations_of(frame)
        if self.awaited is None or (stack and stack[0].file.startswith(places.function_dir)):
            return stack
        return coroutine_locations(self.awaited.get_coro()) or stack  # type: ignore[arg-type]

    def _look_at_the_loop(self, frame: Any) -> None:
        """Interrupt the call that blocks the loop: CANCEL was written a while ago, and nobody has read it."""
        call, stack = current_call.number(), locations_of(frame)
        if not call or not self._channel.has_input() or self._channel.is_writing:
            return
        if not stack or not stack[0].file.startswith(places.function_dir):
            return  # an exception in the loop's own code would end all calls
        error = context.CallTimeout("it kept the event loop from all other calls of this instance")
        self.report(call, stack, str(error), is_blocking=True)
        raise error

    def cancel(self, task: "asyncio.Task[None]", cancel: wire.Frame) -> None:
        """Cancel a call that is a task of the loop."""
        error = error_of(cancel.head[0])
        self.report(cancel.call, coroutine_locations(task.get_coro()), str(error))  # type: ignore[arg-type]
        task.cancel()

    def report(self, call: int, stack: List[CodeLocation], why: str, is_blocking: bool = False) -> None:
        """Say where a call stands: to the front in a few words, to the log in full."""
        self.cancelled.add(call)
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
        except Exception:  # noqa: S110 - the author has closed stderr; the front knows the location
            pass


def error_of(why: int) -> BaseException:
    """The exception that the handler gets for a reason in CANCEL."""
    if why == wire.CALLER_IS_GONE:
        return context.CallCancelled("the caller hung up")
    return context.CallTimeout("the call's time was up")
