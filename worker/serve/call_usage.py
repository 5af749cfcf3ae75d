"""What one call uses: time, processor time, and the peak memory of its instance."""

import resource
import time
from typing import Tuple

from ..sandbox import rlimits

# A shorter call has waited for no child process: a fork alone takes longer.
CHILD_US = 500


class CallUsage:
    """The usage of one call, measured from the moment when this object is made.

    The class attributes are the state of this process: one worker serves one function, so ``loop`` sets
    them once and no call pays for an object that carries them.
    """

    __slots__ = ("began", "cpu")

    # Memory that does not count as the function's: pages shared with the zygote when the worker started, and
    # pages of files that the import has mapped.
    base_kib = 0
    # The function's memory limit, and the private memory of this process before it had a function.
    limit_kib, base_own_kib = 1 << 40, 0

    def __init__(self) -> None:
        self.began = time.perf_counter()
        self.cpu = time.process_time()

    def fields(self) -> Tuple[int, int, int]:
        """Microseconds passed, microseconds of processor time, peak memory of the instance in KiB."""
        exec_us = int((time.perf_counter() - self.began) * 1e6)
        used = resource.getrusage(resource.RUSAGE_SELF)
        cpu_us = int((used.ru_utime + used.ru_stime - self.cpu) * 1e6)
        peak_kib = used.ru_maxrss
        if exec_us >= CHILD_US:  # the warden knows the sum over all processes, but not at once
            peak_kib = max(peak_kib, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
        return exec_us, max(0, cpu_us), max(0, peak_kib - self.base_kib)

    def is_full(self, peak_kib: int) -> bool:
        """Whether the instance uses more memory than its limit, though no signal has said so yet.

        The peak includes files that were imported late, so it is no reason by itself.
        """
        if peak_kib < self.limit_kib:
            return False
        return rlimits.file_and_own_kib()[1] - self.base_own_kib >= self.limit_kib
