"""A function has around it what ``python handler.py`` has, on every interpreter."""

from __future__ import annotations

import pytest

from tests.contract.surroundings.conftest import Deploy, body, seen, twice
from tests.support.runtimes import on_every_runtime, runtime_or_skip
from tests.support.server import Server

ALIKE = {
    "argv": "sys.argv",
    "orig_argv": "getattr(sys, 'orig_argv', None)",
    "executable": "sys.executable",
    "flags": "sys.flags",
    "fields": "(sys.flags[0], len(sys.flags), sys.flags.utf8_mode, sys.flags.n_fields)",
    "xoptions": "sys._xoptions",
    "usage": "__import__('argparse').ArgumentParser().format_usage()",
    "terminals": "[os.isatty(n) for n in range(3)] + [sys.stdin.isatty(), sys.stdout.isatty()]",
    "stdin": "(sys.stdin.read(), sys.stdin.fileno())",
    "input": "input()",
    "exit": "(exit, quit, copyright, credits, license, help)",
    "exited": "exit('only POST')",
    "left": "quit(3)",
    "umask": "(lambda mask: (os.umask(mask), mask)[1])(os.umask(0))",
    "cwd": "os.getcwd()",
    "home": "(os.path.expanduser('~'), os.environ['HOME'], __import__('pathlib').Path.home())",
    "user": "(__import__('getpass').getuser(), os.getuid(), __import__('pwd').getpwuid(os.getuid()))",
    "group": "__import__('grp').getgrgid(os.getgid())",
    "login": "os.getlogin()",
    "encodings": "(sys.getfilesystemencoding(), open('/etc/hosts').encoding.lower())",
    "preferred": "__import__('locale').getpreferredencoding()",
    "locale": "__import__('locale').setlocale(__import__('locale').LC_ALL)",
    "streams": "[stream.encoding.lower() for stream in (sys.stdin, sys.stdout, sys.stderr)]",
    "tempfile": "__import__('tempfile').gettempdir()",
    "time": "(__import__('time').tzname, __import__('time').localtime(0)[:6])",
    "host": "(os.uname(), __import__('socket').gethostname(), open('/etc/hostname').read())",
    "hosts": "__import__('socket').gethostbyname(__import__('socket').gethostname())",
    "service": "__import__('socket').getservbyname('https', 'tcp')",
    "type": "__import__('mimetypes').guess_type('a.webp')",
    "certificates": "__import__('ssl').create_default_context().cert_store_stats()['x509_ca'] > 0",
    "owner": "__import__('pathlib').Path('/usr/bin').owner()",
    "release": "sorted(open('/etc/os-release'))[:1]",
    "libraries": "[__import__(name).__file__ for name in ('requests', 'werkzeug', 'function')]",
    "options": "(sys.warnoptions, sys.dont_write_bytecode, sys.getrecursionlimit())",
}


@on_every_runtime
@pytest.mark.promise("S133")
def test_a_function_has_around_it_what_python_has_around_a_program(
    server: Server, deploy: Deploy, runtime_name: str
) -> None:
    runtime_or_skip(runtime_name)
    function, program = seen(server.call(deploy("around", twice(ALIKE), template=runtime_name, timeout=30)))
    assert function == program
    # And the control: these are what they should be, in both.
    assert function["argv"] == "['/function/handler.py']"
    assert function["usage"].startswith("'usage: handler.py")
    assert (function["exited"], function["left"]) == ("SystemExit: only POST", "SystemExit: 3")
    assert function["umask"] == str(0o022)
    assert function["stdin"] == "('', 0)" and function["input"].startswith("EOFError")
    assert function["login"].startswith("OSError: [Errno 6]"), "as in a container"
    assert "'cell'" in function["user"] and function["cwd"] == "'/function'"


def test_nothing_of_the_zygotes_is_in_the_program_that_was_started(server: Server, deploy: Deploy) -> None:
    source = (
        "import sys\ndef handle(req):\n"
        "    main = sys.modules['__main__']\n"
        "    return {'body': {'main': [n for n in vars(main) if not n.startswith('__')]}}\n"
    )
    assert body(server.call(deploy("main", source))) == {"main": []}


EXITS = """
import os, sys
CALLS = []
def handle(req):
    what = req.body.decode()
    CALLS.append(what)
    if what == "object":
        class Said:
            def __str__(self):
                return "an object"
        raise SystemExit(Said())
    if what == "thread":
        import threading
        thread = threading.Thread(target=sys.exit, args=("of a thread",))
        thread.start()
        thread.join()
        return {"body": "went on, %d calls" % len(CALLS)}
    eval(what)
"""


@pytest.mark.promise("S134")
def test_exit_in_every_form_ends_the_call_with_its_message_and_not_the_instance(
    server: Server, deploy: Deploy
) -> None:
    name = deploy("exits", EXITS, max_instances=1)
    for said, message in (
        ("exit('only POST')", "only POST"), ("quit('only POST')", "only POST"), ("sys.exit('bye')", "bye"),
        ("exit()", "None"), ("sys.exit()", ""), ("sys.exit(0)", "0"), ("sys.exit(3)", "3"),
        ("quit(-1)", "-1"), ("sys.exit(('a', 1))", "('a', 1)"), ("object", "an object"),
    ):  # fmt: skip
        answer = server.call(name, content=said)
        details = answer.json()["error"]["details"]
        assert (answer.status_code, details["exception_type"]) == (500, "SystemExit"), said
        assert details["exception_info"] == message, said
    # The same instance all the while: it has counted.
    assert server.call(name, content="thread").text == "went on, 11 calls"
    crashed = server.call(name, content="os._exit(3)")
    assert crashed.status_code == 502 and "code 3" in crashed.json()["error"]["message"]
