#!/usr/bin/env python3
"""Runs `coca watch` for an hour as a board would, looks at it from outside, and writes RESULTS.md.

    benches/watch/hour.py --coca target/release/coca --photos DIR [--minutes 60] [--max-fps 4] [--threads 1]
        [--build release] [--results RESULTS.md] [--record RUN.json [--again]] [-- --caption-every 10]

DIR is the folder that stands in for the camera. The command's JSON lines tell latency, frames and captions; `/proc` tells
memory and processor time; `/metrics`, `/healthz`, `/snapshot.jpg` and the PNG are fetched every ten seconds, as a
dashboard would, and halfway the label list is edited through the page. Ends with status 1 if memory grew by more than
5 % and 8 MB after the tenth minute, if anything that was fetched failed, or if SIGTERM took longer than a second.

Needs Python 3.9 and nothing else.
"""

import argparse
import datetime
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

LABELS = "person,cat,dog,bird,horse,cow,car,bus,train,boat,airplane,bicycle,food,table,beach,street,snow,kitchen"
OTHER_LABELS = ["man", "woman", "child", "animal", "vehicle", "building", "water", "tree"]
TICKS = os.sysconf("SC_CLK_TCK")
# Seconds between two looks from outside.
PERIOD = 10


class Watch:
    def __init__(self, options, folder):
        self.png = Path(folder) / "now.png"
        self.messages = open(Path(folder) / "messages", "w+")
        self.reports, self.captions, self.samples, self.failures = [], 0, [], []
        command = [
            options.coca, "watch", "--source", f"dir:{options.photos}?fps=5", "--labels", LABELS, "--format", "jsonl",
            "--display", f"png:{self.png}?size=640x480&every=2", "--display", f"web:127.0.0.1:{options.port}",
            "--max-fps", str(options.max_fps), "--threads", str(options.threads), *options.more,
        ]
        self.address = f"http://127.0.0.1:{options.port}"
        self.start = time.monotonic()
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self.messages, text=True)
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.process.stdout:
            report = json.loads(line)
            self.reports.append((time.monotonic() - self.start, report["latency_ms"], report["frame"], report["dropped"]))
            self.captions += "caption" in report

    def wait_for_first_report(self):
        """The clock starts with it."""
        while not self.reports and self.process.poll() is None:
            time.sleep(0.1)
        self.start, self.reports = time.monotonic(), []

    def fetch(self, path, **options):
        try:
            with urllib.request.urlopen(urllib.request.Request(self.address + path, **options), timeout=5) as answer:
                return answer.read()
        except OSError as error:
            self.failures.append(f"{self.elapsed():.0f} s, {path}: {error}")
            return b""

    def elapsed(self):
        return time.monotonic() - self.start

    def sample(self):
        process = Path("/proc") / str(self.process.pid)
        status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
        kilobytes = lambda key: int(status[key].split()[0])
        fields = (process / "stat").read_text().rpartition(") ")[2].split()
        self.samples.append({
            "s": round(self.elapsed(), 1), "rss_mb": kilobytes("VmRSS") / 1000, "anonymous_mb": kilobytes("RssAnon") / 1000,
            "cpu_s": (int(fields[11]) + int(fields[12])) / TICKS, "threads": int(status["Threads"]),
            "files": len(list((process / "fd").iterdir())),
        })

    def look(self):
        self.sample()
        metrics = self.fetch("/metrics").decode()
        if metrics and "\ncoca_frame " not in metrics:
            self.failures.append(f"{self.elapsed():.0f} s, /metrics: no coca_frame")
        if not self.fetch("/snapshot.jpg").startswith(b"\xff\xd8"):
            self.failures.append(f"{self.elapsed():.0f} s, /snapshot.jpg: not a JPEG")
        self.fetch("/healthz")
        if self.png.exists() and not self.png.read_bytes().endswith(b"IEND\xaeB`\x82"):
            self.failures.append(f"{self.elapsed():.0f} s, the PNG is not whole")

    def edit(self):
        body = json.dumps({"labels": LABELS.split(",") + OTHER_LABELS}).encode()
        self.fetch("/labels", data=body, headers={"Content-Type": "application/json"})

    def end(self):
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(30)
        took = time.monotonic() - began
        if status != 0 or took > 1:
            self.failures.append(f"SIGTERM: status {status} after {took:.2f} s")
        self.messages.seek(0)
        return took, self.messages.read().splitlines()


def run(options):
    with tempfile.TemporaryDirectory() as folder:
        watch, is_edited = Watch(options, folder), False
        watch.wait_for_first_report()
        end = 60 * options.minutes
        while watch.elapsed() < end and watch.process.poll() is None:
            time.sleep(max(0, min(PERIOD - watch.elapsed() % PERIOD, end - watch.elapsed())))
            watch.look()
            if not is_edited and watch.elapsed() > end / 2:
                watch.edit()
                is_edited = True
        took, messages = watch.end()
        return {
            "date": datetime.date.today().isoformat(), "build": options.build, "photos": len(os.listdir(options.photos)),
            "max_fps": options.max_fps, "threads": options.threads, "more": options.more, "machine": machine(),
            "load": os.getloadavg()[2], "end_s": took, "messages": messages, "failures": watch.failures,
            "captions": watch.captions, "samples": watch.samples, "reports": watch.reports,
            "version": subprocess.run([options.coca, "--version"], capture_output=True, text=True).stdout.strip(),
        }


def machine():
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    name = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())
    return f"{name}, {os.cpu_count()} cores"


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")


def rows(record):
    """What was so at minute 1, 10, 30, 60 and at the end: each over the time since the row before."""
    last = record["samples"][-1]["s"]
    moments = [minute * 60 for minute in [1, 10, 30, 60] if minute * 60 < last - PERIOD] + [last]
    since, cpu = 0, 0
    for moment in moments:
        sample = min(record["samples"], key=lambda sample: abs(sample["s"] - moment))
        latencies = [latency for at, latency, _, _ in record["reports"] if since <= at < sample["s"]]
        dropped = max((dropped for at, _, _, dropped in record["reports"] if at < sample["s"]), default=0)
        yield (
            f"| {sample['s'] / 60:.0f} | {sample['rss_mb']:.1f} | {sample['anonymous_mb']:.1f} | {sample['threads']} | {sample['files']} "
            f"| {len(latencies) / (sample['s'] - since):.2f} | {percentile(latencies, .5):.0f} | {percentile(latencies, .95):.0f} "
            f"| {percentile(latencies, .99):.0f} | {max(latencies, default=0):.0f} | {dropped} "
            f"| {100 * (sample['cpu_s'] - cpu) / (sample['s'] - since):.0f} % |"
        )
        since, cpu = sample["s"], sample["cpu_s"]


def growth(record):
    """Megabytes of memory of its own: the most in minutes 5 to 10, or the first half of a shorter run, and the most at any time after."""
    samples = record["samples"]
    last = samples[-1]["s"]
    begin, end = min(300, last / 4), min(600, last / 2)
    settled = max(sample["anonymous_mb"] for sample in samples if begin <= sample["s"] <= end)
    return settled, max(sample["anonymous_mb"] for sample in samples if sample["s"] >= end)


def write(record, path):
    settled, most = growth(record)
    options = f"--max-fps {record['max_fps']} --threads {record['threads']} {' '.join(record['more'])}".strip()
    fetched = len(record["samples"])
    text = f"""# An hour of `coca watch`

Written by `hour.py`. A folder of {record['photos']} photos at 5 a second, the embedded model, {len(LABELS.split(','))} labels (more from
halfway on), `png:` and `web:` displays, JSON lines read by the script; `{options}`.

| minute | resident, MB | of it anonymous | threads | open files | labelled a second | latency, median ms | 95 % | 99 % | most | dropped so far | processor |
|---|---|---|---|---|---|---|---|---|---|---|---|
{chr(10).join(rows(record))}

Rates, latencies and processor time (of one core) are over the time since the row before. Latency is counted from the moment
when a frame comes: the newest one has been there for up to 200 ms, a frame's time, when the rate's limit lets it be labelled.

- anonymous memory: at most {settled:.1f} MB from minute 5 to 10, at most {most:.1f} MB after; the edit of the labels loads the text encoder
- frames labelled: {len(record['reports'])}; captions: {record['captions']}
- `/metrics`, `/snapshot.jpg`, `/healthz` and the PNG were looked at {fetched} times; failures: {len(record['failures'])}
- SIGTERM to the end: {record['end_s']:.2f} s
- last message: {record['messages'][-1] if record['messages'] else 'none'}
- machine: {record['machine']}, load average at the end {record['load']:.1f}; {record['version']}, {record['build']} build
- date: {record['date']}
"""
    text += "".join(f"- failed: {failure}\n" for failure in record["failures"])
    path.write_text(text)
    print(text)
    return 1 if record["failures"] or most > max(1.05 * settled, settled + 8) else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--coca", default="target/release/coca")
    parser.add_argument("--photos", required=True)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--max-fps", type=float, default=4)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--port", type=int, default=8087)
    parser.add_argument("--build", default="release")
    parser.add_argument("--results", type=Path, default=Path(__file__).parent / "RESULTS.md")
    parser.add_argument("--record", type=Path)
    parser.add_argument("more", nargs="*", default=["--caption-every", "10"], help="more options of coca watch")
    parser.add_argument("--again", action="store_true", help="write the results of the run that --record kept")
    options = parser.parse_args()
    record = json.loads(options.record.read_text()) if options.again else run(options)
    if options.record and not options.again:
        options.record.write_text(json.dumps(record))
    return write(record, options.results)


if __name__ == "__main__":
    sys.exit(main())
