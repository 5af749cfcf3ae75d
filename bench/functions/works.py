"""A function of 5 ms of the processor."""

import time


def handle(req):
    until = time.perf_counter() + 0.005
    while time.perf_counter() < until:
        sum(range(100))
