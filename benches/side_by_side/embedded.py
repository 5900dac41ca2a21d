"""Times the embedded model's image encoder beside ONNX Runtime and OpenVINO, and writes a table of ratios.

    pip install numpy onnx onnxruntime openvino
    cargo build --release
    python benches/side_by_side/embedded.py [--coca target/release/coca] [--rounds 7] [--budget 2] [--cores 0,1]

The peers run the bundle's own graph: whole, and its convolutions alone, up to the mean over the grid. Where coca is held to
AVX2, ONNX Runtime is too (avx2_alone.py). All run by turns, pinned to the same cores, a process each; a figure is the median
over the rounds of the runs' medians. Ends with status 1 when a ratio misses its floor.
"""

import argparse
import datetime
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import avx2_alone
from run import commit, machine, reached, versions

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
ENCODER = "image_encoder.onnx"
TIMED, GRAPH, BUDGET = "--timed", "--graph", "--budget"


@dataclass(frozen=True)
class Contender:
    """One way to run the encoder: a graph in a runtime, or `coca bench`."""

    name: str
    runtime: str
    graph: str = ""
    threads: int = 1
    cpu: str = ""  # the instruction set that it is held to; for coca a COCA_CPU

    def __str__(self):
        return f"{self.name}, {self.threads} thread{'s' * (self.threads > 1)}"


@dataclass
class Row:
    ours: Contender
    theirs: Contender
    floor: float
    aim: float


COCA, COCA_TWO = Contender("coca", "coca"), Contender("coca", "coca", threads=2)
COCA_AVX2, COCA_AVX_VNNI = (Contender(f"coca, COCA_CPU={cpu}", "coca", cpu=cpu) for cpu in ("avx2", "avx-vnni"))
ORT_TRUNK, ORT_WHOLE = Contender("ONNX Runtime, trunk alone", "ort", "trunk"), Contender("ONNX Runtime, whole", "ort", "whole")
ORT_AVX2 = Contender("ONNX Runtime, whole, AVX2 alone", "ort", "whole", cpu="avx2")
VINO_TRUNK, VINO_WHOLE = Contender("OpenVINO, trunk alone", "openvino", "trunk"), Contender("OpenVINO, whole", "openvino", "whole")
ROWS = [
    Row(COCA, ORT_TRUNK, 1.4, 1.7),
    Row(COCA, VINO_TRUNK, 0.95, 1.2),
    Row(COCA, ORT_WHOLE, 1.8, 2.2),
    Row(COCA, VINO_WHOLE, 0.95, 1.2),
    Row(COCA_TWO, COCA, 1.6, 1.8),
    Row(COCA_AVX2, ORT_AVX2, 1.0, 1.2),
    Row(COCA_AVX_VNNI, ORT_WHOLE, 1.0, 1.2),
]


def cut_trunk(encoder, out):
    """The convolutions alone: up to the first mean behind the last of them."""
    import onnx

    nodes = onnx.load(encoder, load_external_data=False).graph.node
    last = max(at for at, node in enumerate(nodes) if node.op_type == "Conv")
    mean = next(node for node in nodes[last:] if node.op_type == "ReduceMean")
    onnx.utils.extract_model(str(encoder), str(out), ["pixel_values"], [mean.output[0]])


def runner(runtime, graph, threads):
    """A function that runs the graph once."""
    import numpy as np

    pixels = np.random.default_rng(0).uniform(-1, 1, (1, 3, 224, 224)).astype(np.float32)
    if runtime == "ort":
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        session = ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        return lambda: session.run(None, {"pixel_values": pixels})
    import openvino as ov

    core = ov.Core()
    model = core.read_model(graph)
    model.reshape(list(pixels.shape))
    hints = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
    request = core.compile_model(model, "CPU", hints).create_infer_request()
    return lambda: request.infer({"pixel_values": pixels})


def timed(runtime, graph, threads, budget):
    """Prints the median of a peer's runs in ms."""
    run, times = runner(runtime, graph, threads), []
    for _ in range(10):
        run()
    until = time.perf_counter() + budget
    while time.perf_counter() < until:
        start = time.perf_counter()
        run()
        times.append((time.perf_counter() - start) * 1e3)
    print(statistics.median(times))


@dataclass
class Bench:
    arguments: argparse.Namespace
    graphs: dict
    avx2_alone: dict  # the environment in which ONNX Runtime sees AVX2 and nothing beyond it
    kernels: dict = field(default_factory=dict)

    def median(self, contender):
        """Of one process, pinned to as many cores as it has threads."""
        cores = self.arguments.cores.split(",")[:contender.threads]
        finished = subprocess.run(["taskset", "-c", ",".join(cores), *self.command(contender)],
                                  env={**os.environ, **self.environment(contender)}, check=True, stdout=subprocess.PIPE, text=True)
        if contender.runtime != "coca":
            return float(finished.stdout)
        answer = json.loads(finished.stdout)
        self.kernels[contender] = f"{answer['precision']}, {answer['kernel']}"
        return answer["median_ms"]

    def environment(self, contender):
        if not contender.cpu:
            return {}
        return {"COCA_CPU": contender.cpu} if contender.runtime == "coca" else self.avx2_alone

    def command(self, contender):
        if contender.runtime == "coca":
            return [self.arguments.coca, "bench", "--part", "image", "--threads", str(contender.threads), "--format", "json", "--quiet"]
        return [sys.executable, __file__, TIMED, contender.runtime, GRAPH, str(self.graphs[contender.graph]),
                "--threads", str(contender.threads), BUDGET, str(self.arguments.budget)]


def report(bench, medians):
    name, flags = machine()
    lines = ["# The embedded model side by side", "",
             f"Medians in ms of {bench.arguments.rounds} rounds, by turns, pinned to the same cores. Written by `embedded.py`.", "",
             "| | against | coca | peer | ratio | floor | aim | reached |", "|---|---|---|---|---|---|---|---|"]
    for row in ROWS:
        ours, theirs = medians[row.ours], medians[row.theirs]
        lines.append(f"| {row.ours} | {row.theirs} | {ours:.2f} | {theirs:.2f} | {theirs / ours:.2f}× | {row.floor:g}× | {row.aim:g}× | "
                     f"{verdict(row, medians)} |")
    lines += ["", f"- machine: {name}; {' '.join(flags)}", f"- sources at {commit()}",
              *(f"- {contender}: {kernel}" for contender, kernel in bench.kernels.items()),
              f"- peers: {', '.join(text for text in versions() if text.split()[0] in ('Python', 'onnxruntime', 'openvino', 'numpy'))}",
              f"- date: {datetime.date.today().isoformat()}", ""]
    return "\n".join(lines)


def verdict(row, medians):
    return reached(medians[row.theirs] / medians[row.ours], row)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--coca", default=str(ROOT / "target/release/coca"))
    parser.add_argument("--model", type=Path, default=ROOT / "models/pocket-vision", help="the folder of the image encoder")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument(BUDGET, type=float, default=2.0, help="seconds of each peer's process")
    parser.add_argument("--cores", default="0,1")
    parser.add_argument("--results", type=Path, default=HERE / "RESULTS-embedded.md")
    parser.add_argument(TIMED, choices=("ort", "openvino"), help=argparse.SUPPRESS)
    parser.add_argument(GRAPH, help=argparse.SUPPRESS)
    parser.add_argument("--threads", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.timed:
        return timed(arguments.timed, arguments.graph, arguments.threads, arguments.budget)
    contenders = list(dict.fromkeys(contender for row in ROWS for contender in (row.ours, row.theirs)))
    medians = {contender: [] for contender in contenders}
    with tempfile.TemporaryDirectory() as folder:
        graphs = {"whole": arguments.model / ENCODER, "trunk": Path(folder) / "trunk.onnx"}
        cut_trunk(graphs["whole"], graphs["trunk"])
        bench = Bench(arguments, graphs, avx2_alone.environment(Path(folder)))
        for turn in range(arguments.rounds):
            print(f"round {turn + 1} of {arguments.rounds}", file=sys.stderr)
            for contender in contenders:
                medians[contender].append(bench.median(contender))
    medians = {contender: statistics.median(times) for contender, times in medians.items()}
    text = report(bench, medians)
    arguments.results.write_text(text)
    print(text)
    return any(verdict(row, medians) == "missed" for row in ROWS)


if __name__ == "__main__":
    sys.exit(main())
