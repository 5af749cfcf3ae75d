"""Forks as long as it may, and each child does."""

import os


def handle(req):
    os.write(2, f"cell is {os.readlink('/proc/self/ns/pid')}\n".encode())
    while True:
        try:
            while True:
                os.fork()
        except BaseException:  # no more processes, or what the platform raises at the limit
            continue
