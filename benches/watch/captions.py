#!/usr/bin/env python3
"""Measures what captions cost the labels of `coca watch`: latency and frames a second with captions and without, by turns.

    benches/watch/captions.py --model VIT-B-32-INT8 --coca target/release/coca [--coca OTHER] [--rounds 12]
        [--seconds 20] [--threads 2] [-- --source …]

Each round runs every command without captions and with captions written one after the other
(`--caption-every 0.1`). A round gives ratios; the medians of the ratios are printed, with the least disturbed
round beside them, so that what else the machine does weighs on both sides alike.
`random_checkpoint.py` makes a model of the right size. Needs Python 3.9 and nothing else.
"""

import argparse
import datetime
import json
import os
import platform
import statistics
import subprocess

SOURCE = ["--source", "test"]


def percentile(values, share):
    values = sorted(values)
    return values[min(len(values) - 1, int(share * len(values)))]


def watch(coca, options, captions):
    """Latencies in milliseconds, frames a second, captions written and their median latency."""
    command = [
        coca, "watch", "--model", options.model, "--labels", "person,cat,dog,car", "--format", "jsonl", "--quiet",
        "--threads", str(options.threads), "--fps", "60", "--duration", str(options.seconds), *(options.more or SOURCE),
        *(["--caption-every", "0.1"] if captions else ["--caption-on", "never"]),
    ]
    lines = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()
    # The first frames wait for pages and, with captions, for the decoder to be loaded.
    reports = [json.loads(line) for line in lines]
    written = [report["caption"]["latency_ms"] for report in reports if report.get("caption")]
    if captions:
        first = next((i for i, report in enumerate(reports) if report.get("caption")), None)
        if first is None:
            raise SystemExit(f"{coca}: no caption in {options.seconds} s: take more --seconds, or a quieter machine")
        reports = reports[first:]
    reports = reports[len(reports) // 10 :]
    latencies = [report["latency_ms"] for report in reports]
    frames = reports[-1]["frame"] - reports[0]["frame"]
    return {
        "p50": statistics.median(latencies), "p95": percentile(latencies, 0.95),
        "labelled": len(reports) / max(frames, 1), "captions": len(written),
        "caption_ms": statistics.median(written) if written else None,
    }


def compare(name, rounds):
    ratio = lambda key: [on[key] / off[key] for off, on in rounds]
    p95, rate = ratio("p95"), ratio("labelled")
    off = [off for off, _ in rounds]
    on = [on for _, on in rounds]
    median = lambda runs, key: statistics.median(run[key] for run in runs)
    print(f"| {name} | {median(off, 'p50'):.0f} / {median(off, 'p95'):.0f} | {median(on, 'p50'):.0f} / {median(on, 'p95'):.0f} "
          f"| {statistics.median(p95):.2f} (least {min(p95):.2f}) | {statistics.median(rate):.2f} (most {max(rate):.2f}) "
          f"| {median(on, 'caption_ms') / 1000:.2f} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--coca", action="append", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("more", nargs="*")
    options = parser.parse_args()
    rounds = {coca: [] for coca in options.coca}
    for number in range(options.rounds):
        for coca, runs in rounds.items():
            runs.append([watch(coca, options, captions) for captions in (False, True)])
        print(f"round {number + 1}: load {os.getloadavg()[0]:.1f}", flush=True)
    print("\n| command | without captions, ms: median / 95 % | with captions | ratio of the 95 % | ratio of frames "
          "labelled | a caption, s |\n|---|---|---|---|---|---|")
    for coca, runs in rounds.items():
        compare(coca, runs)
    print(f"\n{options.rounds} rounds of {options.seconds} s each, {options.threads} threads; {platform.machine()}, "
          f"{os.cpu_count()} cores; {datetime.date.today()}")


main()
