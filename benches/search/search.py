#!/usr/bin/env python3
"""Exact search on one core: coca's index beside numpy's f32 product and usearch's exact search, in turns.

    cargo build --release -p coca-index --example made_up_index
    target/release/examples/made_up_index make /tmp/million 1000000 512 /tmp/million.f32
    taskset -c 0 python3 benches/search/search.py target/release/examples/made_up_index /tmp/million /tmp/million.f32 512

Needs numpy; usearch is left out where it is not installed. Set OPENBLAS_NUM_THREADS=1 and OMP_NUM_THREADS=1.
"""

import os
import re
import statistics
import subprocess
import sys
import time

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy

try:
    from usearch.index import MetricKind, search as usearch_search
except ImportError:
    usearch_search = None

ROUNDS = 7
TOP_K = 10


def coca(program, folder, width):
    environment = {**os.environ, "WIDTH": str(width)}
    out = subprocess.run([program, "search", folder, "5"], capture_output=True, text=True, check=True, env=environment)
    return float(re.search(r"min ([0-9.]+) ms", out.stdout)[1]), out.stdout.splitlines()[1]


def timed(work):
    start = time.perf_counter()
    work()
    return (time.perf_counter() - start) * 1e3


def main():
    program, folder, vectors, width = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
    rows = numpy.fromfile(vectors, dtype=numpy.float32).reshape(-1, width)
    query = numpy.random.default_rng(1).standard_normal(width).astype(numpy.float32)
    query /= numpy.linalg.norm(query)

    def numpy_search():
        scores = rows @ query
        best = numpy.argpartition(scores, -TOP_K)[-TOP_K:]
        return best[numpy.argsort(-scores[best])]

    times = {"coca": [], "numpy f32": []}
    if usearch_search:
        times["usearch exact f32"] = []
    memory = ""
    for _ in range(ROUNDS):
        milliseconds, memory = coca(program, folder, width)
        times["coca"].append(milliseconds)
        times["numpy f32"].append(timed(numpy_search))
        if usearch_search:
            exact = lambda: usearch_search(rows, query, TOP_K, MetricKind.IP, exact=True, threads=1)
            times["usearch exact f32"].append(timed(exact))
    print(f"{len(rows):,} × {width}, {ROUNDS} rounds in turns")
    for name, values in times.items():
        ratio = statistics.median(values) / statistics.median(times["coca"])
        print(f"{name:18} min {min(values):7.1f} ms  median {statistics.median(values):7.1f} ms  {ratio:5.2f} × coca")
    print("coca's memory:", memory)


if __name__ == "__main__":
    main()
