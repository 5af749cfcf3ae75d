"""The environment: time zone, locale, home, arguments, devices, scratch files, who one is."""

from __future__ import annotations

from tests.contract.plain.program import Differs, Program

PROGRAMS: dict[str, str | Program] = {
    "TZ sets the local time": Program(
        """
        import datetime, time
        def handle(req):
            at = 1700000000
            return {"body": {
                "time": time.strftime("%Y %H:%M %Z", time.localtime(at)),
                "datetime": datetime.datetime.fromtimestamp(at).astimezone().tzname(),
                "names": list(time.tzname),
            }}
        """,
        environment={"TZ": "America/New_York"},
        varies=True,
        fresh=True,
    ),
    "TZ with rules of its own sets the local time": Program(
        """
        import time
        def handle(req):
            return {"body": time.strftime("%H:%M %Z", time.localtime(1700000000))}
        """,
        environment={"TZ": "XST-3:30"},
    ),
    "without TZ the local time is UTC": """
        import time
        def handle(req):
            return {"body": {"zone": time.tzname[0], "offset": time.timezone}}
    """,
    "a program can set TZ itself": """
        import os, time
        os.environ["TZ"] = "Asia/Tokyo"
        time.tzset()
        def handle(req):
            return {"body": time.strftime("%H:%M %Z", time.localtime(0))}
    """,
    "zoneinfo knows the zones": Program(
        """
        import datetime, zoneinfo
        def handle(req):
            zone = zoneinfo.ZoneInfo("Europe/Madrid")
            return {"body": datetime.datetime(2026, 7, 1, tzinfo=zone).isoformat()}
        """,
        varies=True,
    ),
    "a variable of the function's own is in os.environ": Program(
        """
        import os
        AT_IMPORT = os.environ["FRUIT"]
        def handle(req):
            return {"body": {"import": AT_IMPORT, "call": os.getenv("FRUIT"), "absent": os.getenv("VEG")}}
        """,
        environment={"FRUIT": "pear"},
    ),
    "a variable is passed on to children": Program(
        """
        import subprocess
        def handle(req):
            return {"body": subprocess.run(["sh", "-c", "echo $FRUIT"], capture_output=True, text=True).stdout}
        """,
        environment={"FRUIT": "pear"},
    ),
    "os.environ, putenv and getenv agree": """
        import os
        def handle(req):
            os.environ["FRUIT"] = "pear"
            os.environ.pop("VEG", None)
            seen = os.popen("echo $FRUIT").read()
            del os.environ["FRUIT"]
            return {"body": {"seen": seen, "after": os.getenv("FRUIT")}}
    """,
    "the home is a folder that can be written": """
        import os, pathlib
        def handle(req):
            home = pathlib.Path.home()
            (home / "note").write_text("x")
            return {"body": {"home": str(home), "same": os.path.expanduser("~") == os.environ["HOME"]}}
    """,
    "sys.argv is the script alone": Program(
        """
        import sys
        def handle(req):
            return {"body": {"argv": sys.argv}}
        """,
        varies=True,
    ),
    "argparse finds no arguments and has the script's name": """
        import argparse
        parser = argparse.ArgumentParser(description="a shop")
        parser.add_argument("--fruit", default="pear")
        def handle(req):
            return {"body": {"fruit": parser.parse_args().fruit, "prog": parser.prog}}
    """,
    "sys.executable runs Python of the same version": Program(
        """
        import subprocess, sys
        def handle(req):
            code = "import sys; print(sys.version_info[:2])"
            done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
            return {"body": {"same": done.stdout.strip() == str(sys.version_info[:2]), "err": done.stderr}}
        """,
        varies=True,
    ),
    "a child of sys.executable has the installed libraries": """
        import subprocess, sys
        def handle(req):
            code = "import idna; print('there')"
            return {"body": subprocess.check_output([sys.executable, "-c", code])}
    """,
    "flags of the interpreter are the usual ones": Program(
        """
        import sys
        def handle(req):
            names = ("debug", "optimize", "inspect", "verbose", "bytes_warning", "quiet", "interactive")
            return {"body": {name: getattr(sys.flags, name) for name in names}}
        """,
    ),
    "files, streams and arguments are UTF-8": Program(
        """
        import locale, os, sys, tempfile
        def handle(req):
            with tempfile.TemporaryFile("w+") as file:
                encoding = file.encoding
            return {"body": {
                "file": encoding.lower(), "fs": sys.getfilesystemencoding(), "default": sys.getdefaultencoding(),
                "stdout": sys.stdout.encoding.lower(), "preferred": locale.getpreferredencoding(False).lower(),
            }}
        """,
        varies=True,
    ),
    "text of any script is printed": """
        import sys
        def handle(req):
            print("Stra\\u00dfe \\u4e2d \\U0001f350")
            print("\\u00e9", file=sys.stderr)
    """,
    "a lone surrogate on stderr is escaped": """
        import sys
        def handle(req):
            print("\\udc80", file=sys.stderr)
    """,
    "a lone surrogate on stdout is escaped too": Program(
        """
        def handle(req):
            print("\\udc80")
        """,
        differs=Differs("text that is not UTF-8", stdout="\\udc80"),
    ),
    "the locale can be set to C and to C.UTF-8": """
        import locale
        def handle(req):
            return {"body": {
                "first": locale.setlocale(locale.LC_ALL), "C": locale.setlocale(locale.LC_ALL, "C"),
                "user": locale.setlocale(locale.LC_ALL, ""),
            }}
    """,
    "an unknown locale is refused": """
        import locale
        def handle(req):
            try:
                locale.setlocale(locale.LC_ALL, "xx_YY")
            except locale.Error as error:
                return {"body": str(error)}
    """,
    "getpass.getuser, USER and the password file agree": """
        import getpass, os, pwd
        def handle(req):
            return {"body": {"user": getpass.getuser(), "login": os.environ["LOGNAME"]}}
    """,
    "os.getlogin has no terminal to ask": """
        import os
        def handle(req):
            try:
                return {"body": os.getlogin()}
            except OSError as error:
                return {"body": type(error).__name__}
    """,
    "standard input is empty": """
        import sys
        def handle(req):
            return {"body": {"read": sys.stdin.read(), "tty": sys.stdin.isatty()}}
    """,
    "input() meets the end of the file": """
        def handle(req):
            return {"body": input()}
    """,
    "the platform module knows where it is": """
        import platform, sys
        def handle(req):
            return {"body": {
                "system": platform.system(), "python": platform.python_version() == sys.version.split()[0],
                "implementation": platform.python_implementation(), "machine": platform.machine(),
            }}
    """,
    "processor and memory figures can be asked for": """
        import os, resource
        def handle(req):
            return {"body": {
                "cpus": os.cpu_count() > 0, "mine": len(os.sched_getaffinity(0)) > 0,
                "page": os.sysconf("SC_PAGE_SIZE"), "used": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss > 0,
            }}
    """,
    "/proc/self tells of the process": """
        import os
        def handle(req):
            with open("/proc/self/status") as file:
                name = file.readline().split()[0]
            return {"body": {"field": name, "pid": int(os.readlink("/proc/self")) == os.getpid()}}
    """,
    "a warning is shown once a place as Python's filters have it": """
        import warnings
        def old():
            warnings.warn("old", stacklevel=2)
        def handle(req):
            for _ in range(3):
                old()
            warnings.warn("older", DeprecationWarning)
            warnings.warn("user", UserWarning)
    """,
    "an unclosed file costs no line of the log": """
        import json
        def handle(req):
            return {"body": json.load(open("data.json"))}
        --- data.json
        {"pear": 2}
    """,
    "PYTHONWARNINGS of the function's own is heeded": Program(
        """
        import warnings
        def handle(req):
            warnings.warn("older", DeprecationWarning)
        """,
        environment={"PYTHONWARNINGS": "default"},
    ),
    "certificates of the system are found": """
        import ssl
        def handle(req):
            return {"body": {"some": len(ssl.create_default_context().get_ca_certs()) > 0}}
    """,
    "a name of this host resolves to it": """
        import socket
        def handle(req):
            return {"body": {"localhost": socket.gethostbyname("localhost"), "name": bool(socket.gethostname())}}
    """,
    "a server on loopback needs the option network": Program(
        """
        import http.server, threading, urllib.request
        class Hello(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200); self.end_headers(); self.wfile.write(b"hello")
            def log_message(self, *args): pass
        def handle(req):
            try:
                server = http.server.HTTPServer(("127.0.0.1", 0), Hello)
            except PermissionError:
                return {"body": "refused"}
            with server:
                thread = threading.Thread(target=server.handle_request)
                thread.start()
                text = urllib.request.urlopen("http://127.0.0.1:%d/" % server.server_port).read()
                thread.join()
            return {"body": text.decode()}
        """,
        differs=Differs(
            "the network",
            answers=({"status": 200, "type": "text/plain; charset=utf-8", "body": "refused"},),
            stderr="network: no internet socket…network = host…",
        ),
    ),
    "sockets of the Unix kind and socket pairs work": """
        import os, socket, tempfile
        def handle(req):
            path = os.path.join(tempfile.mkdtemp(), "s")
            with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
                server.bind(path); server.listen(); client.connect(path)
                client.sendall(b"over a path")
                one, _ = server.accept()
                with one:
                    return {"body": one.recv(100)}
    """,
    "random numbers differ between two starts": """
        import random, secrets, uuid
        def handle(req):
            return {"body": {"different": len({random.random(), random.random()}), "uuid": len(str(uuid.uuid4()))}}
    """,
    "a seeded generator gives what it gives everywhere": """
        import random
        def handle(req):
            return {"body": {"n": random.Random(7).random()}}
    """,
    "the host has a name of its own": Program(
        """
        import platform, socket
        def handle(req):
            return {"body": {"socket": socket.gethostname(), "platform": platform.node()}}
        """,
        differs=Differs(
            "names",
            answers=(
                {"status": 200, "type": "application/json", "body": {"socket": "cell", "platform": "cell"}},
            ),
        ),
    ),
    "limits of the interpreter are the usual ones": """
        import sys
        def handle(req):
            return {"body": {"recursion": sys.getrecursionlimit(), "switch": sys.getswitchinterval()}}
    """,
}
