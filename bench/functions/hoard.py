"""Holds a gibibyte, every page of it touched, and hears nothing."""

import os
import time

KEPT = bytearray(b"x") * (1 << 30)


def handle(req):
    os.write(2, f"cell is {os.readlink('/proc/self/ns/pid')}\n".encode())
    while True:
        try:
            time.sleep(60)
        except BaseException:  # what the platform raises at the limit
            continue
