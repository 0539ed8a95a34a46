"""Time contenders side by side: interleaved, repeated, medians; and the name of the processor."""

import platform
import statistics
import time
from pathlib import Path


def interleaved(runs, repeats=7):
    """Return the median seconds of each run() of a dict, measured in turns after one turn to warm up."""
    seconds = {name: [] for name in runs}
    for turn in range(repeats + 1):
        for name, run in runs.items():
            time.sleep(0.2)  # threads of the last one that wait for work stop spinning
            began = time.perf_counter()
            run()
            if turn:
                seconds[name].append(time.perf_counter() - began)
    return {name: statistics.median(values) for name, values in seconds.items()}


def median_of(call, repeats):
    """Return the median seconds of one call."""
    seconds = []
    for _ in range(repeats):
        began = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds)


def processor():
    """Return the name of this machine's processor."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":")[1].strip()
    return platform.processor()
