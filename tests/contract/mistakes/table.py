"""Mistakes that people make at the command line, and what each answer has to say."""

from __future__ import annotations

from dataclasses import dataclass, field

# The files of the folder that the mistakes are made in.
FILES = {
    "hello.py": "def handle(req):\n    return {'body': 'hello'}\n",
    "empty.py": "",
    "blank.py": "\n\n",
    "notes.txt": "def handle(req): ...\n",
    "syntax.py": "def handle(req)\n    return {}\n",
    "no-handle.py": "def handler(event, context):\n    return {}\n",
    "two-arguments.py": "def handle(event, context):\n    return {}\n",
    "not-utf8.py": b"# \xff\xfe\ndef handle(req): ...\n",
    "folder/main.py": "def handle(req): ...\n",
    "ignored/handler.py": "def handle(req): ...\n",
    "ignored/.cellblockignore": "*.py\n",
    "broken.zip": b"PK\x03\x04 and no more",
    "no-handler.tar": b"\0" * 257 + b"ustar\x0000" + b"\0" * 10_000,
    "ours.toml": "workers = 0\n",
    "unknown.toml": "wrokers = 4\n",
    "no.toml": "workers = \n",
    "config/cellblock/config.toml": "",
}
BIG_FILE, BIG_BYTES = "big.py", 60_000_000

# Functions of the space ``test``, each with the options that its mistake needs.
FUNCTIONS = {
    "mistaken-hello": (FILES["hello.py"], {}),
    "mistaken-eats": (
        "def handle(req):\n    return {'body': str(len(bytearray(400 << 20)))}\n",
        {"memory": 64},
    ),
    "mistaken-dials": (
        "import socket\ndef handle(req):\n    socket.create_connection(('192.0.2.1', 80), 5)\n",
        {},
    ),
    "mistaken-sleeps": ("import time\ndef handle(req):\n    time.sleep(9)\n", {"timeout": 0.3}),
    "mistaken-raises": ("def handle(req):\n    return 1 / 0\n", {}),
    "mistaken-imports": ("import no_such_module\ndef handle(req): ...\n", {}),
    "mistaken-returns": ("def handle(req):\n    return [1]\n", {}),
    "mistaken-exits": ("import os\ndef handle(req):\n    os._exit(3)\n", {}),
}


@dataclass(frozen=True)
class Mistake:
    """``words`` may have ``{closed}``, ``{port}`` and the like in them; ``says`` is in the one line.

    ``code`` is the exit code.  ``variables`` are set for it.
    """

    words: str
    code: int
    says: tuple[str, ...]
    variables: dict[str, str] = field(default_factory=dict)
    has_output: bool = False  # an answer's body goes to stdout all the same


def usage(words: str, *says: str, **variables: str) -> Mistake:
    """The command line or a local file is at fault."""
    return Mistake(words, 2, says, variables)


def refused(words: str, *says: str, **variables: str) -> Mistake:
    """The server says no."""
    return Mistake(words, 1, says, variables)


def answered(words: str, *says: str) -> Mistake:
    """A call that failed: its answer is on stdout."""
    return Mistake(words, 1, says, has_output=True)


def unreachable(words: str, *says: str, **variables: str) -> Mistake:
    """Nobody answers."""
    return Mistake(words, 3, says, variables)


TYPED = (
    usage("deplyo hello.py", "no such command 'deplyo'", "'deploy'", "cellblock --help"),
    usage("functions lst", "no such command 'lst'", "'list'", "cellblock functions --help"),
    usage("secrets sett A b", "no such command 'sett'", "'set'"),
    usage("deploy hello.py --nmae x", "no such option: --nmae", "--name", "cellblock deploy --help"),
    usage("top --intervall 3", "no such option: --intervall", "--interval"),
    usage("deploy", "missing argument 'PATH'", "cellblock deploy --help"),
    usage("deploy hello.py empty.py", "one too many", "empty.py"),
    usage("invoke", "missing argument 'NAME'", "cellblock invoke --help"),
    usage("functions rollback mistaken-hello last", "'VERSION'", "a whole number"),
    usage("logs --tail many", "'--tail'", "a whole number"),
    usage("logs --level loud", "'--level'", "'debug'", "'critical'"),
    usage("top --interval 0", "'--interval'", "0.2"),
    usage("deploy hello.py --set timeout", "--set 'timeout'", "--set KEY=VALUE"),
    usage("deploy hello.py --set =1", "--set '=1'", "--set KEY=VALUE"),
    usage("deploy hello.py --set cpu=1 --set cpu=2", "--set cpu is given twice"),
    usage("deploy hello.py --set cpu=1 --unset cpu", "--unset cpu", "leave one of the two out"),
    usage("deploy hello.py --unset cpu=1", "--unset 'cpu=1'", "--unset KEY"),
    usage("deploy hello.py --env REGION", "--env 'REGION'", "--env KEY=VALUE"),
    usage("invoke mistaken-hello --header none", "--header 'none'", "'Name: value'"),
    usage("invoke mistaken-hello --data @absent", "absent", "No such file"),
    usage("invoke mistaken-hello --method 'GET /'", "--method", "POST, GET, PUT, PATCH or DELETE"),
    usage("spaces suspnd demo", "no such command 'suspnd'", "'suspend'"),
    usage("spaces remove demo", "--confirm demo", "twice"),
    usage("spaces remove demo --confirm dmeo", "--confirm demo", "twice"),
    usage("audit --lines few", "'--lines'", "a whole number"),
    usage("--space demo serve", "--space", "cellblock serve takes none"),
    usage("--token abc version", "--token", "cellblock version takes none"),
)

FILES_MISTAKEN = (
    usage("deploy helo.py", "helo.py", "No such file", "did you mean 'hello.py'?"),
    usage("deploy nothing-like-it", "No such file", "a folder with a handler.py"),
    usage("deploy empty.py", "it is empty", "def handle(req)"),
    usage("deploy blank.py", "it is empty", "def handle(req)"),
    usage("deploy notes.txt", "give a .py file"),
    usage("deploy folder", "no handler.py in it", "at its root"),
    usage("deploy ignored", ".cellblockignore excludes handler.py", "take that line out"),
    usage("deploy /dev/null", "neither a file nor a folder"),
    usage("deploy 'not\0a name'", "null byte"),
    refused("deploy syntax.py", "syntax.py:1:", "SyntaxError", "expected ':'"),
    refused("deploy no-handle.py", "handle"),
    refused("deploy two-arguments.py", "one argument"),
    refused("deploy not-utf8.py", "utf-8"),
    refused("deploy broken.zip", "zip"),
    refused("deploy no-handler.tar", "handler.py"),
    refused(f"deploy {BIG_FILE}", "larger than the 50 MiB", "bundle_max_bytes"),
)

OPTIONS_MISTAKEN = (
    refused(
        "deploy hello.py --set bogus=1",
        "options.bogus",
        "no such field",
    ),
    refused("deploy hello.py --set timout=1", "options.timout", "did you mean 'timeout'?"),
    refused("deploy hello.py --unset memroy", "options.memroy", "did you mean 'memory'?"),
    refused("deploy hello.py --set memory=256MB", "options.memory", "a whole number without a unit", "MiB"),
    refused("deploy hello.py --set timeout=10s", "options.timeout", "a number without a unit", "seconds"),
    refused("deploy hello.py --set timeout=0", "options.timeout", "above 0"),
    refused("deploy hello.py --set memory=9999999", "options.memory", "at most 1048576"),
    refused("deploy hello.py --set memory=9000", "options.memory", "ceiling of 2048", "at most 2048"),
    refused("deploy hello.py --set public=yes-please", "options.public", "true or false"),
    refused("deploy hello.py --set network=egres", "options.network", "'none' or 'host'"),
    refused("deploy hello.py --set network=host", "options.network", "ask the operator"),
    refused("deploy hello.py --set min_instances=11", "min_instances", "max_instances"),
    refused("deploy hello.py --env LD_PRELOAD=x", "'LD_PRELOAD' is reserved"),
    refused("deploy hello.py --runtime python2.7", "'python2.7' is not known", "python3"),
    refused("deploy hello.py --name Hello_World", "name", "lowercase letters"),
)

NAMES_MISTAKEN = (
    refused("deploy hello.py -s demmo", "no space 'demmo'", "did you mean 'demo'?"),
    refused("secrets set KEY value -s demmo", "no space 'demmo'", "did you mean 'demo'?"),
    refused("functions list -s typo", "no space 'typo'"),
    refused("secrets list -s typo", "no space 'typo'"),
    refused("variables list -s typo", "no space 'typo'"),
    refused("logs -s typo", "no space 'typo'"),
    refused("audit -s typo", "no space 'typo'"),
    refused("spaces show demmo", "no space 'demmo'", "did you mean 'demo'?"),
    refused("spaces suspend demmo", "no space 'demmo'", "did you mean 'demo'?"),
    refused("spaces remove demmo --confirm demmo", "no space 'demmo'", "did you mean 'demo'?"),
    refused("spaces create demo", "already exists"),
    refused("spaces create Demo", "name", "lowercase letters"),
    refused("audit --since yesterday", "since"),
    refused("instances -s typo", "no space 'typo'"),
    refused("top --once -s typo", "no space 'typo'"),
    refused("functions list -s Test", "space", "lowercase letters"),
    refused("functions show mistaken-helo", "did you mean 'mistaken-hello'?"),
    refused("functions rm mistaken-helo", "did you mean 'mistaken-hello'?"),
    refused("functions versions mistaken-helo", "did you mean 'mistaken-hello'?"),
    refused("functions rollback mistaken-hello 7", "no version 7", "versions"),
    refused("functions rollback mistaken-hello", "version 1 is the oldest that it has"),
    refused("code mistaken-helo", "did you mean 'mistaken-hello'?"),
    refused("logs mistaken-helo", "did you mean 'mistaken-hello'?"),
    refused("instances mistaken-helo", "did you mean 'mistaken-hello'?"),
    answered("invoke mistaken-helo", "404", "did you mean 'mistaken-hello'?"),
    refused("secrets rm MISTAKEN_KEI", "did you mean 'MISTAKEN_KEY'?"),
    refused("variables rm MISTAKEN", "variable not found"),
    refused("logs mistaken-hello --since yesterday", "since", "10m"),
    refused("logs mistaken-hello --until 25:00", "until"),
)

CALLS_FAILED = (
    answered("invoke mistaken-eats", "502", "memory", "64 MiB"),
    answered("invoke mistaken-dials", "500", "PermissionError", "network"),
    answered("invoke mistaken-sleeps", "504", "0.3 s", "handler.py:3"),
    answered("invoke mistaken-raises", "500", "ZeroDivisionError at line 2"),
    answered("invoke mistaken-imports", "no_such_module"),
    answered("invoke mistaken-returns", "502", "list"),
    answered("invoke mistaken-exits", "502", "3"),
    answered("invoke mistaken-hello -X BREW", "405"),
)

CONNECTIONS = (
    refused("functions list --token wrong", "does not know this token", "CELLBLOCK_TOKEN"),
    refused("functions list", "wants a token", "CELLBLOCK_TOKEN", CELLBLOCK_TOKEN=""),
    usage("functions list --token 'a b'", "cannot use the token", "without blanks"),
    usage("functions list --url nowhere", "'nowhere'", "http://HOST:PORT"),
    usage("functions list --url http://user@host", "user name"),
    unreachable("functions list --url http://127.0.0.1:{closed}", "Connection refused", "cellblock serve"),
    unreachable(
        "functions list --url https://127.0.0.1:{port}", "does not speak TLS", "http://127.0.0.1:{port}"
    ),
    unreachable("functions list", "cannot reach", CELLBLOCK_URL="http://no-such-host.invalid"),
    unreachable("logs --url http://127.0.0.1:{closed} -f", "Connection refused"),
    refused("functions list --url {url}/elsewhere", "there is nothing at", "/docs"),
    usage("functions list", "config.toml", "correct it", XDG_CONFIG_HOME="{folder}/broken"),
)

SETTINGS_MISTAKEN = (
    usage("runtimes list", "CELLBLOCK_WORKRES", "did you mean 'workers'?", "unset it", CELLBLOCK_WORKRES="4"),
    usage("runtimes list", "CELLBLOCK_XYZZY", "docs/settings.md", CELLBLOCK_XYZZY="4"),
    usage("runtimes list", "workers", "at least 1", CELLBLOCK_WORKERS="0"),
    usage("runtimes list", "bind", "HOST:PORT", CELLBLOCK_BIND="nowhere"),
    usage("runtimes list", "JSON", CELLBLOCK_PRELOAD="numpy"),
    usage("runtimes list --config absent.toml", "absent.toml", "no such file"),
    usage("runtimes list --config no.toml", "no.toml"),
    usage("runtimes list --config unknown.toml", "wrokers", "did you mean 'workers'?"),
    usage("runtimes list --config ours.toml", "workers", "at least 1"),
)

# These begin a server, so each is a process.
STARTS = (
    usage("serve --data-dir data", "CELLBLOCK_WORKRES", "did you mean 'workers'?", CELLBLOCK_WORKRES="4"),
    usage("serve --data-dir /proc/x", "data directory /proc/x", "--data-dir"),
    usage("serve --data-dir hello.py", "data directory", "--data-dir"),
    usage("serve --data-dir data --bind 127.0.0.1:{port}", "Address already in use", "--bind"),
    usage("serve --data-dir data --runtimes-dir absent", "not installed", "cellblock setup"),
    usage("serve --worker 2", "no such option: --worker", "--workers"),
)

IN_PROCESS = (
    *TYPED,
    *FILES_MISTAKEN,
    *OPTIONS_MISTAKEN,
    *NAMES_MISTAKEN,
    *CALLS_FAILED,
    *CONNECTIONS,
    *SETTINGS_MISTAKEN,
)
