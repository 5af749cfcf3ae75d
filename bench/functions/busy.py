"""Computes for ever, and hears no signal that Python could tell it of."""

import os


def handle(req):
    os.write(2, f"cell is {os.readlink('/proc/self/ns/pid')}\n".encode())
    while True:
        try:
            while True:
                pass
        except BaseException:  # what the platform raises at the limit
            continue
