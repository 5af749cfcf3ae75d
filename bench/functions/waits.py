"""A function of 5 ms that waits, as one that asks somebody else does."""

import time


def handle(req):
    time.sleep(0.005)
