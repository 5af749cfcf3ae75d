"""Logging and warnings as in plain Python: no record twice, none lost, formats as the author chose them.

Each program runs in a process of its own (``fresh``), so none finds what another has set up.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from supervisor.logs import Query, Record, read
from tests.contract.call.conftest import Deploy
from tests.support.eventually import eventually
from tests.support.runtimes import RUNTIME_NAMES, runtime_or_skip
from tests.support.server import SPACE, Server

END = "this was the last"
RUNS = """
import logging, sys, warnings
log = logging.getLogger("shop")

def handle(req):
    try:
        exec(compile(req.body, "/function/program.py", "exec"), {"__name__": "program", "log": log})
    finally:
        print("this was the last")
"""
Run = Callable[[str, str], list[Record]]


@pytest.fixture(scope="module", params=RUNTIME_NAMES)
def run(request: pytest.FixtureRequest, server: Server, deploy: Deploy) -> Run:
    """``run(name, program)``: what it wrote."""
    runtime_or_skip(request.param)
    function = f"logging-{request.param.replace('.', '-')}"
    deploy(function, RUNS, template=request.param, fresh=True, max_instances=3)

    def run(name: str, program: str) -> list[Record]:
        call_id = f"{function}-{name}"
        code = "import logging, sys, warnings\n" + program
        answer = server.call(function, content=code, headers={"X-Call-Id": call_id})
        assert answer.status_code == 200, answer.text
        found: list[Record] = []

        def is_there() -> bool:
            query = Query(call_id=call_id, limit=1000)
            found[:] = read(server.data_dir / "front/logs", SPACE, function, query).records
            return any(record.text == END for record in found)

        eventually(is_there)
        return [record for record in found if record.stream != "platform" and record.text != END]

    return run


OUT, ERR = "stdout", "stderr"
# What a program writes: stream, level and text of each entry.
PROGRAMS: dict[str, tuple[str, list[tuple[str, str, str]]]] = {
    "the-page": (
        "log.setLevel(logging.INFO)\nlog.error('ERROR'); log.info('INFO'); log.debug('DEBUG')",
        [(ERR, "error", "ERROR"), (ERR, "info", "INFO")],
    ),
    "no-set-up": (
        "log.info('no'); log.warning('yes')\n"
        "print(logging.getLogger().handlers, log.hasHandlers(), logging.getLogger().level)",
        [(ERR, "warning", "yes"), (OUT, "info", "[] False 30")],
    ),
    "root-functions": (
        "logging.info('no'); logging.warning('two\\nlines'); log.error('x')",
        [(ERR, "warning", "WARNING:root:two\nlines"), (ERR, "error", "ERROR:shop:x")],
    ),
    "basic-config": (
        "logging.basicConfig(level=logging.INFO); log.info('once'); log.debug('no')",
        [(ERR, "info", "INFO:shop:once")],
    ),
    "a-format": (
        "logging.basicConfig(level='DEBUG', format='<%(levelname)s %(name)s %(message)s>')\nlog.debug('x')",
        [(ERR, "debug", "<DEBUG shop x>")],
    ),
    "to-stdout": (
        "logging.basicConfig(level='INFO', stream=sys.stdout, format='%(message)s'); log.info('x')",
        [(OUT, "info", "x")],
    ),
    "force": (
        "logging.basicConfig(format='first %(message)s')\n"
        "logging.basicConfig(format='second %(message)s'); log.error('x')\n"
        "logging.basicConfig(format='third %(message)s', force=True); log.error('x')",
        [(ERR, "error", "first x"), (ERR, "error", "third x")],
    ),
    "handlers": (
        "logging.basicConfig(format='%(message)s', handlers=[logging.StreamHandler(sys.stdout), "
        "logging.FileHandler('/tmp/a.log')])\nlog.error('x'); print(open('/tmp/a.log').read())",
        [(OUT, "error", "x"), (OUT, "info", "x"), (OUT, "info", "")],
    ),
    "a-file": (
        "logging.basicConfig(filename='/tmp/b.log', format='%(message)s')\n"
        "log.error('x'); print(repr(open('/tmp/b.log').read()))",
        [(OUT, "info", "'x\\n'")],
    ),
    "an-own-handler": (
        "log.addHandler(logging.StreamHandler()); log.warning('once')\n"
        "logging.basicConfig(); log.warning('twice')",
        [(ERR, "warning", "once"), (ERR, "warning", "twice"), (ERR, "warning", "WARNING:shop:twice")],
    ),
    "not-propagated": (
        "logging.basicConfig(); log.propagate = False\n"
        "log.addHandler(logging.StreamHandler(sys.stdout)); log.critical('x')",
        [(OUT, "critical", "x")],
    ),
    "a-level-of-the-handler": (
        "handler = logging.StreamHandler(); handler.setLevel('ERROR')\n"
        "logging.basicConfig(handlers=[handler])\n"
        "logging.getLogger().setLevel(0); log.warning('no'); log.error('x')",
        [(ERR, "error", "ERROR:shop:x")],
    ),
    "an-own-emit": (
        "class Own(logging.Handler):\n    def emit(self, record):\n"
        "        sys.stderr.write(self.format(record) + '\\n')\n"
        "log.addHandler(Own()); log.error('two\\nlines')",
        [(ERR, "error", "two\nlines")],
    ),
    "a-filter": (
        "logging.basicConfig(format='%(message)s')\n"
        "logging.getLogger().handlers[0].addFilter(lambda record: 'secret' not in record.getMessage())\n"
        "log.error('a secret'); log.error('x')",
        [(ERR, "error", "x")],
    ),
    "a-formatter": (
        "class Own(logging.Formatter):\n    def format(self, record):\n"
        "        return '%s!' % super().format(record).upper()\n"
        "handler = logging.StreamHandler(); handler.setFormatter(Own())\n"
        "log.addHandler(handler); log.error('x')",
        [(ERR, "error", "X!")],
    ),
    "dict-config": (
        "import logging.config\nlogging.config.dictConfig({'version': 1, 'formatters': {'f': "
        "{'format': '%(levelname)s=%(message)s'}}, 'handlers': {'h': {'class': "
        "'logging.StreamHandler', 'formatter': 'f', "
        "'stream': 'ext://sys.stdout'}}, 'root': {'handlers': ['h'], 'level': 'INFO'}, "
        "'disable_existing_loggers': False})\nlog.info('x')",
        [(OUT, "info", "INFO=x")],
    ),
    "file-config": (
        "import logging.config, io\nlogging.config.fileConfig(io.StringIO('''[loggers]\nkeys=root\n"
        "[handlers]\nkeys=h\n[formatters]\nkeys=f\n"
        "[logger_root]\nlevel=INFO\nhandlers=h\n[handler_h]\nclass=StreamHandler\n"
        "args=(sys.stderr,)\nformatter=f\n[formatter_f]\nformat=%(message)s in a file\n'''), "
        "disable_existing_loggers=False)\nlog.info('x')",
        [(ERR, "info", "x in a file")],
    ),
    "no-last-resort": (
        "logging.lastResort = None; log.error('x'); log.error('y')",
        [(ERR, "info", 'No handlers could be found for logger "shop"')],
    ),
    "null-handler": ("log.addHandler(logging.NullHandler()); log.error('x')", []),
    "disabled": (
        "logging.disable(logging.ERROR); log.error('x'); log.critical('y')",
        [(ERR, "critical", "y")],
    ),
    "a-level-of-its-own": (
        "logging.addLevelName(25, 'NOTICE'); logging.basicConfig(level=1); log.log(25, 'x'); log.log(5, 'y')",
        [(ERR, "info", "NOTICE:shop:x"), (ERR, "debug", "Level 5:shop:y")],
    ),
    "a-queue": (
        "import logging.handlers, queue\nqueue = queue.Queue(); stream = logging.StreamHandler()\n"
        "listener = logging.handlers.QueueListener(queue, stream); listener.start()\n"
        "log.addHandler(logging.handlers.QueueHandler(queue)); log.error('x'); listener.stop()",
        [(ERR, "error", "x")],
    ),
    "a-thread-and-a-process": (
        "import threading, os\nlogging.basicConfig(format='%(message)s')\n"
        "thread = threading.Thread(target=log.error, args=('thread',)); thread.start(); thread.join()\n"
        "pid = os.fork()\nif not pid:\n    log.error('process'); os._exit(0)\nos.waitpid(pid, 0)",
        [(ERR, "error", "thread"), (ERR, "error", "process")],
    ),
    "captured-warnings": (
        "logging.captureWarnings(True); warnings.warn('no'); logging.basicConfig(format='%(name)s')\n"
        "warnings.warn('yes')",
        [(ERR, "warning", "py.warnings")],
    ),
    "warnings": (
        "import tempfile\n"
        "for _ in range(2): warnings.warn('once')\n"
        "warnings.warn('no', DeprecationWarning); warnings.warn('no', PendingDeprecationWarning)\n"
        "open('/tmp/c', 'w').write('x')\n"
        "warnings.warn('syntax', SyntaxWarning)\nwarnings.simplefilter('always')\n"
        "warnings.warn('yes', DeprecationWarning)",
        [
            (ERR, "warning", "/function/program.py:3: UserWarning: once"),
            (ERR, "warning", "/function/program.py:6: SyntaxWarning: syntax"),
            (ERR, "warning", "/function/program.py:8: DeprecationWarning: yes"),
        ],
    ),
}


@pytest.mark.promise("S120")
def test_each_program_logs_what_it_logs_under_python(run: Run) -> None:
    for name, (program, expected) in PROGRAMS.items():
        found = [(record.stream, record.level, record.text) for record in run(name, program)]
        # Nobody says in which order two pipes are read.
        assert sorted(found) == sorted(expected), name


ONE_ENTRY = {
    "printed": "print(traceback.format_exc(), file=sys.stderr)",
    "written": "sys.stderr.write('it failed: ' + traceback.format_exc())",
    "on-stdout": "traceback.print_exc(file=sys.stdout)",
    "formatted": "logging.basicConfig(format='<%(message)s>'); log.exception('it')",
    "ignored": "class Broken:\n        def __del__(self): 1 / 0\n    Broken()",
}


def test_a_traceback_is_one_entry_whoever_writes_it_and_shows_no_line_of_ours(run: Run) -> None:
    for name, how in ONE_ENTRY.items():
        program = f"import traceback\ntry:\n    1 / 0\nexcept ZeroDivisionError:\n    {how}"
        (record,) = run(name, program)
        assert "Traceback (most recent call last):\n" in record.text, name
        assert record.text.endswith("ZeroDivisionError: division by zero") and record.level == "error", name
        assert "/function/program.py" in record.text and "/_cellblock/" not in record.text, name


def test_a_mistake_in_a_log_call_is_told_as_python_tells_it(run: Run) -> None:
    found = run("mistake", "log.error('%d', 'x', stack_info=True)")
    text = "\n".join(record.text for record in found)
    assert text.startswith("--- Logging error ---\nTraceback (most recent call last):\n")
    assert text.endswith("Message: '%d'\nArguments: ('x',)")
    stack = text.partition("Call stack:\n")[2]
    files = [line.split('"')[1] for line in stack.splitlines() if line.startswith("  File ")]
    # From the call on: what is between it and the message is logging's own.
    assert files == ["/function/handler.py", "/function/program.py"]
    assert "/_cellblock/" not in text


def test_a_stack_shows_the_authors_frames(run: Run) -> None:
    (record,) = run("stack", "def inner():\n    log.error('x', stack_info=True)\ninner()")
    assert record.text.startswith("x\nStack (most recent call last):\n")
    files = [line.split('"')[1] for line in record.text.splitlines() if line.startswith("  File ")]
    assert files == ["/function/handler.py", "/function/program.py", "/function/program.py"]


AT_IMPORT = """
import logging
logging.basicConfig(level=logging.INFO, format="<%(message)s>")
log = logging.getLogger("shop")
log.info("at import")
"""


@pytest.mark.parametrize("kind", ["def", "async def"])
def test_what_an_import_has_set_up_holds_in_every_call(server: Server, deploy: Deploy, kind: str) -> None:
    name = f"logging-import-{kind[:1]}"
    deploy(name, f"{AT_IMPORT}\n{kind} handle(req): log.info(req.path); log.debug('no')\n", max_instances=1)
    for path in ("/1", "/2"):
        assert server.call(name, path).status_code == 200
    found: list[str] = []

    def is_there() -> bool:
        records = read(server.data_dir / "front/logs", SPACE, name, Query(limit=1000)).records
        found[:] = [record.text for record in records if record.stream != "platform"]
        return "</2>" in found

    eventually(is_there)
    assert found == ["<at import>", "</1>", "</2>"]
