"""Processes: shells, executables of the bundle, pipes, signals, zombies, ends."""

from __future__ import annotations

from tests.contract.plain.program import Program

PROGRAMS: dict[str, str | Program] = {
    "a command's output is captured": Program(
        """
        import subprocess
        def handle(req):
            done = subprocess.run(["echo", "hello"], capture_output=True, text=True, check=True)
            return {"body": {"out": done.stdout, "err": done.stderr, "code": done.returncode}}
        """,
        fresh=True,
    ),
    "a command of a shell has pipes and variables": """
        import subprocess
        def handle(req):
            return {"body": subprocess.check_output("X=3; echo b a | tr ' ' '\\\\n' | sort; echo $X", shell=True)}
    """,
    "what a child writes to its inherited streams comes out": Program(
        """
        import subprocess
        def handle(req):
            subprocess.run(["sh", "-c", "echo out; echo err >&2"], check=True)
        """,
        loose="a child's",
    ),
    "os.system gives the exit status": Program(
        """
        import os
        def handle(req):
            return {"body": {"status": os.waitstatus_to_exitcode(os.system("echo hi; exit 3"))}}
        """,
        loose="a child's",
    ),
    "a command that fails raises with its code and its words": """
        import subprocess
        def handle(req):
            try:
                subprocess.run(["sh", "-c", "echo bad >&2; exit 7"], check=True, capture_output=True)
            except subprocess.CalledProcessError as error:
                return {"body": {"code": error.returncode, "err": error.stderr.decode(), "text": str(error)}}
    """,
    "a command that is not there is a FileNotFoundError": """
        import subprocess
        def handle(req):
            subprocess.run(["no-such-command"])
    """,
    "a command past its time is ended": """
        import subprocess
        def handle(req):
            try:
                subprocess.run(["sleep", "60"], timeout=0.05)
            except subprocess.TimeoutExpired as error:
                return {"body": {"cmd": error.cmd, "limit": error.timeout > 0}}
    """,
    "input is passed on": """
        import subprocess
        def handle(req):
            return {"body": subprocess.run(["cat"], input=req.body, capture_output=True).stdout}
    """,
    "an executable of the bundle runs": Program(
        """
        import subprocess
        def handle(req):
            return {"body": subprocess.check_output(["./bin/tool", "pears"])}
        --- bin/tool +x
        #!/bin/sh
        echo "tool got $1"
        """,
        fresh=True,
    ),
    "an executable of the bundle keeps its bits, others have none": """
        import os
        def handle(req):
            return {"body": {name: os.access(name, os.X_OK) for name in ("bin/tool", "handler.py", "note.txt")}}
        --- bin/tool +x
        #!/bin/sh
        --- note.txt
        hello
    """,
    "a script of the bundle runs by sys.executable": """
        import subprocess, sys
        def handle(req):
            return {"body": subprocess.check_output([sys.executable, "script.py", "a"])}
        --- script.py
        import sys
        print(sys.argv[1:], __name__)
    """,
    "a file that is not executable is a PermissionError": """
        import subprocess
        def handle(req):
            subprocess.run(["./tool"])
        --- tool
        #!/bin/sh
    """,
    "a child has the signal that ended it": """
        import signal, subprocess
        def handle(req):
            child = subprocess.Popen(["sleep", "60"])
            child.send_signal(signal.SIGTERM)
            return {"body": {"code": child.wait(5)}}
    """,
    "a handler for a signal of one's own is called": """
        import os, signal
        def handle(req):
            seen = []
            signal.signal(signal.SIGUSR1, lambda number, frame: seen.append(number))
            os.kill(os.getpid(), signal.SIGUSR1)
            return {"body": {"seen": seen}}
    """,
    "an alarm interrupts": Program(
        """
        import signal, time
        def ring(number, frame):
            raise TimeoutError("rang")
        def handle(req):
            signal.signal(signal.SIGALRM, ring)
            signal.setitimer(signal.ITIMER_REAL, 0.02)
            try:
                time.sleep(5)
            except TimeoutError as error:
                return {"body": str(error)}
        """,
    ),
    "the usual signals are at their defaults": """
        import signal
        def handle(req):
            names = ("SIGTERM", "SIGCHLD", "SIGALRM", "SIGUSR1", "SIGPIPE", "SIGHUP")
            return {"body": {name: str(signal.getsignal(getattr(signal, name))) for name in names}}
    """,
    "a pipe without a reader is a BrokenPipeError": """
        import os
        def handle(req):
            read, write = os.pipe()
            os.close(read)
            os.write(write, b"x")
    """,
    "a zombie is collected by its parent": """
        import os
        def handle(req):
            child = os.fork()
            if child == 0:
                os._exit(5)
            return {"body": {"code": os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}}
    """,
    "without children there is nothing to wait for": """
        import os
        def handle(req):
            os.waitpid(-1, os.WNOHANG)
    """,
    "a child that is left behind is ended at the latest with the instance": Program(
        """
        import subprocess
        child = None
        def handle(req):
            global child
            if child is None:
                child = subprocess.Popen(["sleep", "60"])
                return {"body": "started"}
            running = child.poll() is None
            child.kill(); child.wait()
            return {"body": str(running)}
        """,
        calls=({}, {}),
    ),
    "fork gives the child its own copy": """
        import os
        def handle(req):
            items, (read, write) = [1], os.pipe()
            child = os.fork()
            if child == 0:
                items.append(2)
                os.write(write, str(items).encode())
                os._exit(0)
            os.waitpid(child, 0)
            return {"body": {"child": os.read(read, 100).decode(), "parent": str(items)}}
    """,
    "os.register_at_fork is heeded": Program(
        """
        import os
        seen = []
        os.register_at_fork(before=lambda: seen.append("before"), after_in_parent=lambda: seen.append("parent"))
        def handle(req):
            child = os.fork()
            if child == 0:
                os._exit(0)
            os.waitpid(child, 0)
            return {"body": {"seen": seen}}
        """,
        only="sync",
    ),
    "posix_spawn and execv work": """
        import os
        def handle(req):
            read, write = os.pipe()
            actions = [(os.POSIX_SPAWN_DUP2, write, 1)]
            child = os.posix_spawn("/bin/echo", ["echo", "spawned"], os.environ, file_actions=actions)
            os.waitpid(child, 0)
            return {"body": os.read(read, 100)}
    """,
    "a process group can be ended at once": """
        import os, signal, subprocess
        def handle(req):
            child = subprocess.Popen(["sh", "-c", "sleep 60 & sleep 60"], start_new_session=True)
            os.killpg(child.pid, signal.SIGKILL)
            return {"body": {"code": child.wait(5)}}
    """,
    "popen lines are read as they come": """
        import subprocess
        def handle(req):
            with subprocess.Popen(["printf", "a\\\\nb\\\\n"], stdout=subprocess.PIPE, text=True) as child:
                return {"body": {"lines": [line.strip() for line in child.stdout]}}
    """,
    "a child's umask, folder and environment can be set": """
        import subprocess, tempfile
        def handle(req):
            done = subprocess.run(
                ["sh", "-c", "pwd -P; echo $A"], cwd="/", env={"A": "1"}, capture_output=True, text=True
            )
            return {"body": done.stdout}
    """,
    "the usual commands of a Debian system are there": """
        import shutil
        def handle(req):
            names = ("sh", "bash", "cat", "ls", "grep", "sed", "awk", "tar", "gzip", "date", "env", "find", "xargs")
            return {"body": {name: shutil.which(name) is not None for name in names}}
    """,
    "resource limits can be read and lowered": """
        import resource
        def handle(req):
            soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
            resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
            return {"body": {"now": resource.getrlimit(resource.RLIMIT_NOFILE)[0], "some": soft > 64}}
    """,
    "atexit is called at the end": Program(
        """
        import atexit
        atexit.register(print, "goodbye")
        def handle(req):
            return {"body": "hello"}
        """,
        options={"idle_seconds": 0.2},
        ends=True,
        loose="after the call",
        varies=True,
    ),
    "an interrupt is a KeyboardInterrupt": """
        import os, signal, time
        def handle(req):
            try:
                os.kill(os.getpid(), signal.SIGINT)
                time.sleep(1)
            except KeyboardInterrupt:
                return {"body": "interrupted"}
    """,
}
