#!/usr/bin/env python3
"""Indexing and searching a folder of pictures with the command: time beside decoding and encoding alone, and memory.

    python3 benches/search/index.py make FOLDER COUNT WIDTH HEIGHT    # made-up pictures, JPEG; needs numpy and pillow
    python3 benches/search/index.py COCA FOLDER [ROUNDS]

Decoding and encoding alone is `coca embed` on one core; two cores at their best index in half of that. By turns; needs Linux.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

QUERY = "a red flower"
SEARCHES = 9


def make(folder, count, width, height):
    import numpy
    from PIL import Image

    rng = numpy.random.default_rng(0)
    for number in range(count):
        path = folder / f"{number // 1000:03}" / f"{number:06}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 256, (4, 4, 3), dtype=numpy.uint8)
        Image.fromarray(pixels).resize((width, height), Image.Resampling.BILINEAR).save(path, quality=85)


def run(cores, *command):
    """Seconds, and the largest resident memory in MB."""
    start = time.perf_counter()
    process = subprocess.Popen(["taskset", "-c", cores, *map(str, command)], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        sys.exit(f"{command}: status {os.waitstatus_to_exitcode(status)}")
    return time.perf_counter() - start, usage.ru_maxrss / 1000


def measure(coca, folder, rounds):
    alone, indexed = [], []
    with tempfile.TemporaryDirectory() as scratch:
        for number in range(rounds):
            index = Path(scratch) / str(number)
            alone.append(run("0", coca, "embed", folder, "--threads", 1, "--format", "npy", "-o", f"{scratch}/rows.npy", "-q"))
            indexed.append(run("0,1", coca, "index", folder, "--index", index, "--threads", 2, "-q"))
        searched = [run("0", coca, "search", QUERY, "--index", index, "--threads", 1, "--min-z", "-9") for _ in range(SEARCHES)]
    report = {"decoding and encoding alone, one core": alone, "indexing, two cores": indexed, "start to answer, one core": searched}
    for name, runs in report.items():
        seconds, memory = zip(*runs)
        print(f"{name}: median {statistics.median(seconds):.3f} s, min {min(seconds):.3f} s, at most {max(memory):.0f} MB")
    median = [statistics.median(seconds for seconds, _ in runs) for runs in (alone, indexed)]
    print(f"share of two cores' best: {median[0] / 2 / median[1]:.3f}")


if __name__ == "__main__":
    if sys.argv[1] == "make":
        make(Path(sys.argv[2]), *map(int, sys.argv[3:6]))
    else:
        measure(sys.argv[1], sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else 3)
