"""Forks as long as it may, and each child does; only the kill ends it.

The signal with which the platform asks first is taken away: its exception may come where nothing catches it.
"""

import os
import signal


def handle(req):
    signal.signal(signal.SIGXCPU, signal.SIG_IGN)
    os.write(2, f"cell is {os.readlink('/proc/self/ns/pid')}\n".encode())
    while True:
        try:
            while True:
                os.fork()
        except BaseException:  # no more processes
            continue
