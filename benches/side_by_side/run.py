"""Times coca beside ONNX Runtime, OpenVINO and open_clip, and writes one table of ratios.

    python benches/side_by_side/run.py --peers DIR --out OUT --model BUNDLE [--coca target/release/coca]
        [--rounds 5] [--budget 3] [--cores 0,1] [--only image,step] [--results RESULTS.md]

DIR holds measure.py, which times a peer; OUT what prepare.py made there; BUNDLE the model imported from OUT/checkpoint
and quantised. Both sides run interleaved, pinned to the same cores, and each figure is the median over the rounds of the
runs' medians: absolute times move with the machine, ratios less. Ends with status 1 when a ratio misses its floor.
"""

import argparse
import datetime
import importlib.metadata
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field

LABELS = "person cat dog bird horse car bus train boat house tree flower mountain beach street kitchen".split()
FLAGS = "avx2 fma f16c avx512f avx512bw avx512_vnni avx_vnni amx_int8 asimd asimddp asimdhp i8mm sve".split()
PACKAGES = "onnxruntime openvino torch open_clip_torch transformers numpy".split()
RUNTIME, STATIC, OPEN_CLIP = "ort-int8", "openvino-int8", "torch"
PEERS = {RUNTIME: "ONNX Runtime int8", STATIC: "OpenVINO static int8", OPEN_CLIP: "open_clip generate"}


@dataclass
class Row:
    name: str
    part: list  # what `coca bench --part` gets; empty for the start of a process
    engine: str
    task: str
    floor: float
    aim: float
    threads: int = 1
    ours: list = field(default_factory=list)
    theirs: list = field(default_factory=list)


def rows():
    step = ["step", "--past", "10", "--beams"]
    return [
        Row("image, 1 thread", ["image"], RUNTIME, "image", 1.15, 1.5),
        Row("image, 1 thread", ["image"], STATIC, "image", 1.0, 1.3),
        Row("image, 2 threads", ["image"], RUNTIME, "image", 1.15, 1.5, threads=2),
        Row("step, 1 beam past 10", step + ["1"], RUNTIME, "step1", 2.2, 2.5),
        Row("step, 6 beams past 10", step + ["6"], RUNTIME, "step6", 2.2, 2.5),
        Row("text, a label of 5 tokens", ["text", "--tokens", "5"], RUNTIME, "text1", 4.0, 7.0),
        Row("caption, 6 beams in 3 groups, 20 tokens", ["caption", "--beams", "6", "--max-tokens", "20"], OPEN_CLIP,
            "generate", 45.0, 80.0),
        Row("load of image + label table, 1 thread ¹", [], RUNTIME, "image", 2.0, 5.0),
        Row("load of image + label table, 2 threads ¹", [], RUNTIME, "image", 2.0, 5.0, threads=2),
    ]


class Bench:
    def __init__(self, arguments, folder):
        self.arguments = arguments
        self.cores = arguments.cores.split(",")
        self.table = os.path.join(folder, "labels.table")
        labels = os.path.join(folder, "labels.txt")
        with open(labels, "w") as file:
            file.write("\n".join(LABELS))
        self.kernels = set()
        self.run(self.cores, *self.coca("labels", "build", "--labels-file", labels, "-o", self.table))

    def coca(self, *arguments, threads=1):
        return [self.arguments.coca, *arguments, "--model", self.arguments.model, "--threads", str(threads), "--quiet"]

    def run(self, cores, *command):
        """What the command prints, pinned to the cores."""
        pinned = ["taskset", "-c", ",".join(cores), *command]
        finished = subprocess.run(pinned, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if finished.returncode:
            sys.exit(f"{' '.join(command)} ended with status {finished.returncode}:\n{finished.stderr.strip()}")
        return finished.stdout

    def round(self, row):
        cores = self.cores[: row.threads]
        if len(cores) < row.threads:
            sys.exit(f"{row.name}: expected {row.threads} cores, found --cores {self.arguments.cores}")
        row.ours.append(self.ours(row.part, cores) if row.part else self.load(cores))
        task = [os.path.join(self.arguments.peers, "measure.py"), self.arguments.out, row.task, "--engine", row.engine]
        limits = ["--threads", str(row.threads), "--budget", str(self.arguments.budget)]
        answer = json.loads(self.run(cores, sys.executable, *task, *limits).splitlines()[-1])
        row.theirs.append(answer["median_ms" if row.part else "load_ms"])

    def ours(self, part, cores):
        threads = len(cores)
        answer = json.loads(self.run(cores, *self.coca("bench", "--part", *part, "--format", "json", threads=threads)))
        if answer["threads"] != threads:
            sys.exit(f"{part[0]}: expected {threads} threads, coca used {answer['threads']}")
        self.kernels.add(f"{answer['part']}: {answer['precision']}, {answer['kernel']}")
        return answer["median_ms"]

    def load(self, cores):
        """A whole process that labels one picture, less the encoding; its files are in the page cache by now."""
        command = self.coca("classify", self.arguments.photo, "--table", self.table, threads=len(cores))
        times = []
        for _ in range(5):
            start = time.perf_counter()
            self.run(cores, *command)
            times.append((time.perf_counter() - start) * 1e3)
        return statistics.median(times) - self.ours(["image"], cores)


def step_bytes(model):
    """Bytes of weights that a step reads: all of the decoder's but the tables that it looks rows up in."""
    import onnx

    graph = onnx.load(os.path.join(model, "caption_decoder.onnx"), load_external_data=False).graph
    readers = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)

    def is_table(name):
        nodes = readers.get(name, [])
        through = [is_table(n.output[0]) for n in nodes if n.op_type in ("DequantizeLinear", "Cast")]
        others = [n.op_type == "Gather" and n.input[0] == name for n in nodes if n.op_type not in ("DequantizeLinear", "Cast")]
        return bool(nodes) and all(through + others)

    lengths = [int(entry.value) for tensor in graph.initializer if not is_table(tensor.name)
               for entry in tensor.external_data if entry.key == "length"]
    return sum(lengths)


def bandwidth(cores):
    """Bytes a second that one core reads from memory: the best of several passes over an array larger than any cache."""
    program = ("import os; os.environ['OPENBLAS_NUM_THREADS'] = os.environ['MKL_NUM_THREADS'] = '1'\n"
               "import numpy as n, time\na = n.ones(1 << 27, n.float32); best = 9e9\n"
               "for _ in range(7):\n t = time.perf_counter(); a.dot(a); best = min(best, time.perf_counter() - t)\n"
               "print(a.nbytes / best)")
    command = ["taskset", "-c", cores[0], sys.executable, "-c", program]
    return float(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def machine():
    with open("/proc/cpuinfo") as file:
        lines = [line.split(":", 1) for line in file if ":" in line]
    found = {}
    for key, value in lines:
        found.setdefault(key.strip(), value.strip())
    flags = set((found.get("flags") or found.get("Features") or "").split())
    name = found.get("model name") or found.get("CPU part") or platform.machine()
    return name, [flag for flag in FLAGS if flag in flags]


def versions():
    found = []
    for package in PACKAGES:
        try:
            found.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            found.append(f"{package} absent")
    return [f"Python {platform.python_version()}", *found]


def ratio(row):
    return statistics.median(row.theirs) / statistics.median(row.ours)


def verdict(row):
    return reached(ratio(row), row)


def reached(ratio, row):
    return "aim" if ratio >= row.aim else "floor" if ratio >= row.floor else "missed"


def commit():
    found = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=os.path.dirname(os.path.abspath(__file__)),
                           stdout=subprocess.PIPE, text=True)
    return found.stdout.strip()


def report(bench, measured, info, read):
    name, flags = machine()
    arguments = bench.arguments
    lines = ["# Side by side", "",
             f"Medians in ms; rounds: {arguments.rounds}, interleaved, pinned to the same cores. Written by `run.py`.", "",
             "| part | against | coca | peer | ratio | floor | aim | reached |", "|---|---|---|---|---|---|---|---|"]
    for row in measured:
        peer = PEERS[row.engine] + ("" if row.part else ", session creation")
        ours, theirs = statistics.median(row.ours), statistics.median(row.theirs)
        lines.append(f"| {row.name} | {peer} | {ours:.2f} | {theirs:.2f} | {ratio(row):.2f}× | {row.floor:g}× | "
                     f"{row.aim:g}× | {verdict(row)} |")
    lines += ["", "¹ The whole process of `coca classify IMAGE --table TABLE`, from start to end, less the time that `coca "
              "bench --part image` takes: loading, and the reading of a JPEG beside it."]
    steps = [row for row in measured if row.part[:1] == ["step"]]
    if steps:
        size = step_bytes(arguments.model)
        shares = ", ".join(f"{row.name} {size / read / statistics.median(row.ours) * 1e5:.0f} %" for row in steps)
        lines += ["", f"Of the memory bandwidth (one core reads {read / 1e9:.1f} GB/s; a step reads {size / 1e6:.0f} MB of "
                  f"weights; aim 85 %): {shares}."]
    sources = commit()
    lines += ["", f"- machine: {name}; {' '.join(flags)}",
              f"- coca {info['version']}{f' (sources at {sources})' if sources else ''}; model {info['name']}, stored as "
              f"{info['stored_precision']}",
              *(f"- coca computed {kernel}" for kernel in sorted(bench.kernels)),
              f"- peers: {', '.join(versions())}",
              f"- date: {datetime.date.today().isoformat()}", ""]
    return "\n".join(lines)


def parse():
    here = os.path.dirname(os.path.abspath(__file__))
    root = os.path.dirname(os.path.dirname(here))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--coca", default=os.path.join(root, "target/release/coca"))
    parser.add_argument("--photo", default=os.path.join(root, "tests/photos/cat.jpg"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--budget", type=float, default=3.0)
    parser.add_argument("--cores", default="0,1")
    parser.add_argument("--only", default="", help="parts, separated by commas: image, step, text, caption, load")
    parser.add_argument("--results", default=os.path.join(here, "RESULTS.md"))
    arguments = parser.parse_args()
    if arguments.rounds < 1:
        parser.error(f"--rounds: expected 1 or more, found {arguments.rounds}")
    return arguments


def main():
    arguments = parse()
    only = tuple(arguments.only.split(","))
    measured = [row for row in rows() if row.name.startswith(only)]
    if not measured:
        sys.exit(f"--only: expected image, step, text, caption or load, found {arguments.only}")
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(arguments, folder)
        info = json.loads(bench.run(bench.cores, *bench.coca("info", "--format", "json")))
        for turn in range(arguments.rounds):
            for row in measured:
                print(f"round {turn + 1} of {arguments.rounds}: {row.name}, {PEERS[row.engine]}", file=sys.stderr)
                bench.round(row)
    text = report(bench, measured, info, bandwidth(bench.cores))
    with open(arguments.results, "w") as file:
        file.write(text)
    print(text)
    sys.exit(any(verdict(row) == "missed" for row in measured))


if __name__ == "__main__":
    main()
