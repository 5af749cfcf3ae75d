"""F. Resources: a function that takes all it can get, with small limits, beside another tenant's.

In every test the neighbour is called from the first moment to the last, and afterwards the server
holds what it held before (``tests.escape.neighbour``).
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest

from tests.escape.attacks import resources
from tests.escape.conftest import Target
from tests.escape.neighbour import SMALL, Field, field_of
from tests.support.groups import groups_of
from tests.support.patience import FACTOR
from tests.support.processes import all_gone_within, descendants_of, is_deaf, pid_namespace, watch
from tests.support.together import together

Targets = Callable[[str, frozenset[str]], Target]

# After its time limit: the kill, the reaping, and two cores that others use.
GRACE_SECONDS = 5.0
GONE_SECONDS = 5.0
STORM = 30

pytestmark = [pytest.mark.needs_sandbox, pytest.mark.timeout(90)]


@pytest.fixture
def field(targets: Targets) -> Iterator[Field]:
    """A complete server, an attacker and a neighbour; the checks are made when the test has ended."""
    with field_of(targets("A", frozenset()).server) as entered:
        yield entered


def assert_ended_at_its_limit(field: Field, code: str) -> None:
    """504, not before the time limit and not long after it."""
    outcome = field.attack(code)
    assert outcome.status == 504
    assert SMALL["timeout"] <= outcome.seconds < SMALL["timeout"] + GRACE_SECONDS


@pytest.mark.parametrize(
    "path", ["/tmp/full", "/dev/shm/full"], ids=["013-tmp", "014-shared-memory"]
)  # fmt: skip
@pytest.mark.parametrize("before", ["pass", "os.unlink(file.name)"], ids=["named", "deleted"])
def test_013_014_a_full_folder_of_memory_is_its_own_tenants_trouble(
    field: Field, path: str, before: str
) -> None:
    code = resources.FILL.format(path=path, mebibytes=20, before=before)
    assert field.attack(code).found == "ENOSPC"


def test_013_a_folder_full_of_empty_files_is_its_own_tenants_trouble(field: Field) -> None:
    assert field.attack(resources.INODES).found == ["ENOSPC", True]


@pytest.mark.promise("T41")
def test_056_a_fork_bomb_is_stopped_at_its_limit_and_its_neighbour_answers(field: Field) -> None:
    result, made = field.attack(resources.FORKS).found
    assert result == "EAGAIN"
    assert 0 < made < SMALL["processes"]


def test_056_a_fork_bomb_that_never_stops_is_ended_with_all_its_processes(field: Field) -> None:
    """At its limit of memory, which many processes reach soon, or of time."""
    assert field.attack(resources.ENDLESS_FORKS).status in (502, 504)


def test_056_a_thread_bomb_is_stopped_at_its_limit_and_its_neighbour_answers(field: Field) -> None:
    result, made = field.attack(resources.THREADS).found
    assert result == "RuntimeError"
    assert 0 < made < SMALL["processes"]


def test_056_a_zombie_bomb_is_stopped_at_its_limit_and_its_neighbour_answers(field: Field) -> None:
    result, made = field.attack(resources.ZOMBIES).found
    assert result == "EAGAIN"
    assert 0 < made < SMALL["processes"]


def test_056_a_daemon_that_nobody_is_the_parent_of_is_gone_with_its_cell(field: Field) -> None:
    before = set(descendants_of(field.server.pid))
    assert field.attack(resources.DAEMON).found == "ok"
    now = descendants_of(field.server.pid)
    deaf = [pid for pid in now if pid not in before and is_deaf(pid)]
    assert deaf, "the daemon"
    # Its pid 1 may be older than the attack: a cell that somebody asked for and did not need.
    assert sum(pid_namespace(pid) == pid_namespace(deaf[0]) for pid in now) >= 3, "pid 1, worker, daemon"
    watched = watch(deaf)
    field.clean_up()
    assert all_gone_within(watched, GONE_SECONDS)


@pytest.mark.promise("T34")
def test_057_memory_that_a_function_eats_ends_its_own_cell_only(field: Field) -> None:
    assert field.attack(resources.MEMORY).status == 502, "one instruction took it all: nobody could hear"
    assert field.attack(resources.MEMORY_OF_CHILDREN).status == 502
    assert field.attack("found = 'back'").found == "back"


def test_057_memory_that_a_grandchild_eats_is_its_own_cells_end(field: Field) -> None:
    """v2 ends them all by itself; v1 the grandchild only, which the warden hears, maybe after the answer."""
    outcome = field.attack("sys.modules['marked'] = sys\n" + resources.MEMORY_OF_A_GRANDCHILD)
    assert outcome.status == 502 or groups_of(field.server.data_dir)["memory"][1] == 1
    deadline = time.monotonic() + GONE_SECONDS
    while field.attack("found = 'marked' in sys.modules").found is not False:
        assert time.monotonic() < deadline, "half a cell goes on"
    assert field.attack("found = 'back'").found == "back"


def test_058_pipes_hold_no_more_than_the_cells_memory(field: Field) -> None:
    """Their pages are the cell's; a user has 64 MiB of them in all besides."""
    outcome = field.attack(resources.PIPES, open_files=2100, timeout=20.0)
    assert outcome.status == 502 or outcome.found[0] in ("EPERM", "EAGAIN"), outcome.found


def test_058_socket_buffers_hold_no_more_than_the_cells_memory(field: Field) -> None:
    outcome = field.attack(resources.SOCKET_BUFFERS, open_files=600, timeout=20.0 * FACTOR)
    assert outcome.status == 502 or outcome.found[0] in ("ENOBUFS", "ENOMEM")


def test_058_descriptors_in_flight_count_as_open_ones(field: Field) -> None:
    assert field.attack(resources.IN_FLIGHT).found == "ETOOMANYREFS"


def test_058_no_memory_can_be_locked(field: Field) -> None:
    assert field.attack(resources.MLOCK).found in ("EPERM", "ENOMEM")


@pytest.mark.promise("S44")
def test_059_spinning_processes_get_their_share_of_the_processor(field: Field) -> None:
    assert field.attack(resources.SPIN, **resources.TENTH).found < 0.2


@pytest.mark.parametrize("code", ["DEAF", "STOPPED"])
def test_059_a_function_that_is_deaf_to_signals_or_stopped_ends_at_its_limit(field: Field, code: str) -> None:
    assert_ended_at_its_limit(field, getattr(resources, code))


def test_059_control_a_supervisor_that_asks_politely_is_not_heard() -> None:
    program = "import signal; signal.signal(15, signal.SIG_IGN); print(flush=True); signal.pause()"
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.terminate()
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.5)
        process.kill()


def test_060_descriptors_end_at_their_limit(field: Field) -> None:
    assert field.attack(resources.DESCRIPTORS).found == "EMFILE"


def test_060_epolls_in_epolls_end_at_the_kernels_depth(field: Field) -> None:
    result, depth = field.attack(resources.NESTED_EPOLL).found
    assert result in ("EINVAL", "ELOOP")
    assert depth < 10


def test_060_timers_end_at_their_limit(field: Field) -> None:
    assert field.attack(resources.TIMERS).found in ("EAGAIN", "EPERM")


def test_060_queued_signals_end_at_their_limit(field: Field) -> None:
    assert field.attack(resources.QUEUED_SIGNALS).found in ("EAGAIN", "EPERM")


@pytest.mark.parametrize("code", ["DEEP_RECURSION", "ZIP_BOMB"])
def test_061_input_that_blows_up_ends_its_own_cell_only(field: Field, code: str) -> None:
    outcome = field.attack(getattr(resources, code), timeout=20.0 * FACTOR)
    assert outcome.status == 502 or outcome.found == "MemoryError"
    assert field.attack("found = 'back'").found == "back"


@pytest.mark.parametrize("code", ["HUGE_INT", "REDOS"])
def test_061_input_that_takes_for_ever_ends_at_its_limit(field: Field, code: str) -> None:
    assert_ended_at_its_limit(field, getattr(resources, code))


def test_061_a_bomb_of_syntax_raises_or_ends_its_own_cell_only(field: Field) -> None:
    outcome = field.attack(resources.AST_BOMB, timeout=20.0)
    assert outcome.status == 502 or outcome.found in ("MemoryError", "RecursionError", "SyntaxError")


def test_061_control_in_one_process_with_others_everybody_dies() -> None:
    program = f"import sys, threading\nthreading.Thread(target=exec, args=({resources.DEEP_RECURSION!r},"
    program += " {'sys': sys})).start()\nthreading.Event().wait(30)"
    done = subprocess.run([sys.executable, "-c", program], timeout=30, check=False)
    assert done.returncode == -signal.SIGSEGV


def test_062_a_storm_of_programs_gets_its_share_of_the_processor(field: Field) -> None:
    assert field.attack(resources.EXECS, **resources.TENTH).found < 0.2


def test_062_a_storm_of_crashes_leaves_no_core_file_and_its_neighbour_answers(field: Field) -> None:
    field.attacker.deploy("crash", resources.CRASH, **SMALL)
    answers = together([lambda: field.attacker.call("crash").status_code for _ in range(STORM)])
    assert set(answers) <= {502, 503}
    assert 502 in answers
    field.attacker.remove("crash")


@pytest.mark.parametrize("code", ["ASLEEP_IN_C", "HELD_VFORK"])
def test_063_a_function_that_hears_nothing_ends_at_its_limit(field: Field, code: str) -> None:
    assert_ended_at_its_limit(field, getattr(resources, code))
