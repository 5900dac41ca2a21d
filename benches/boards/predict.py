"""predict.py BUNDLE…: how long a frame and a caption should take on boards that nobody has timed yet.

A prediction from three numbers a board: multiply-adds a cycle that llvm-mca gives our inner loops
(../llvm_mca/RESULTS.md), the clock, and the rate at which memory is read. Needs onnx and numpy.
"""
from __future__ import annotations

import argparse
import json
from collections import Counter
from dataclasses import dataclass
from math import prod
from pathlib import Path

import onnx

CORES_SHARE = 0.85  # of the cores' added speed that sharing a layer keeps
CAPTION_STEPS = 11  # tokens after the start of a usual caption of the embedded model's
BEAMS = 4
KINDS = ("linear", "pointwise", "filters", "f32")


@dataclass
class Board:
    name: str
    core: str
    cores: int
    ghz: float
    linear: float  # multiply-adds a cycle and core, from llvm-mca: linear layers in int8,
    pointwise: float  # 1 × 1 convolutions in int8,
    filters: float  # depthwise convolutions and the stem in int8,
    f32: float  # and everything in floating point
    bandwidth: float  # GB/s that all cores together read


# Filters: the stem's 10.8 M, 13.0 M of 3 × 3 and 21.5 M of 5 × 5, each by its loop, of whose products those with weights of zero are
# not counted. Memory: the data sheets' transfer rate × width, of which a half is counted on.
BOARDS = [
    Board("Raspberry Pi Zero 2 W", "Cortex-A53", 4, 1.0, 256 / 61, 256 / 61, 2.9, 256 / 88, 0.5 * 3.6),
    Board("Raspberry Pi 4", "Cortex-A72", 4, 1.8, 256 / 32, 256 / 32, 5.9, 256 / 64, 0.5 * 12.8),
    Board("Raspberry Pi 5", "Cortex-A76", 4, 2.4, 1536 / 48, 1536 / 51, 10.1, 256 / 35, 0.5 * 17.1),
    Board("Jetson Orin Nano", "Cortex-A78AE", 6, 1.5, 1536 / 48, 1536 / 51, 10.1, 256 / 35, 0.5 * 68.0),
]


@dataclass
class Cost:
    """Of one run: multiply-adds, and bytes that come from memory."""

    macs: Counter
    bytes: int

    def seconds(self, board: Board, threads: int) -> float:
        cores = 1 + (threads - 1) * CORES_SHARE
        cycles = sum(macs / getattr(board, kind) for kind, macs in self.macs.items())
        return max(cycles / (board.ghz * 1e9 * cores), self.bytes / (board.bandwidth * 1e9))


def cost(path: Path, sizes: dict[str, int]) -> Cost:
    """Counts the products of a graph whose open dimensions have these sizes."""
    model = onnx.load(path, load_external_data=False)
    for tensor in [*model.graph.input, *model.graph.output]:
        for dim in tensor.type.tensor_type.shape.dim:
            if dim.dim_param:
                terms = [sizes[term] for term in dim.dim_param.split(" + ")]
                dim.ClearField("dim_param")
                dim.dim_value = sum(terms)
    inferred = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    shapes = {t.name: tuple(t.dims) for t in model.graph.initializer}
    for tensor in [*inferred.input, *inferred.value_info, *inferred.output]:
        shapes[tensor.name] = tuple(d.dim_value for d in tensor.type.tensor_type.shape.dim)
    kinds = {t.name: t.data_type for t in model.graph.initializer}
    widths = {onnx.TensorProto.INT8: 1, onnx.TensorProto.FLOAT16: 2}
    stored = {}  # a weight by the name of what the product reads: its numbers, bytes of each
    for name, kind in kinds.items():
        stored[name] = (shapes[name], widths.get(kind, 4))
    for node in model.graph.node:
        if node.op_type in ("DequantizeLinear", "Cast", "Transpose", "Identity") and node.input[0] in stored:
            stored[node.output[0]] = (shapes.get(node.output[0], stored[node.input[0]][0]), stored[node.input[0]][1])
    total, read = Counter(), 0
    for node in model.graph.node:
        if node.op_type not in ("MatMul", "Gemm", "Conv"):
            continue
        weight = stored.get(node.input[1])
        out = shapes[node.output[0]]
        if node.op_type == "Conv":
            macs = prod(out) * prod(weight[0][1:])
        else:
            macs = prod(out) * shapes[node.input[0]][-1]
        total[rate_of(node, weight)] += macs
        read += prod(weight[0]) * weight[1] if weight else 4 * prod(shapes[node.input[1]])
    return Cost(total, read)


def rate_of(node: onnx.NodeProto, weight: tuple[tuple[int, ...], int] | None) -> str:
    """The rate that a product is computed at; `weight`: shape and bytes of a number, if it is stored."""
    if weight is None or weight[1] != 1:
        return "f32"
    if node.op_type != "Conv":
        return "linear"
    return "pointwise" if prod(weight[0][2:]) == 1 else "filters"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundles", nargs="+", type=Path)
    for bundle in parser.parse_args().bundles:
        config = json.loads((bundle / "coca.json").read_text())
        start = {"N": 1, "L": 8, "S": 1, "B": BEAMS, "P": CAPTION_STEPS // 2}
        parts = {name: cost(bundle / f"{name}.onnx", start) for name in ("image_encoder", "cross_kv", "caption_decoder")}
        print(f"\n## {config['name']}\n\n| part | multiply-adds: linear | pointwise | filters | f32 | weights, keys and values |\n|---|---|---|---|---|---|")
        for name, part in parts.items():
            macs = " | ".join(f"{part.macs[of_kind] / 1e6:.1f} M" for of_kind in KINDS)
            print(f"| {name} | {macs} | {part.bytes / 1e6:.1f} MB |")
        print(f"\n| board | cores | a frame, 1 thread | a frame, all | frames a second | a caption ({CAPTION_STEPS} steps, {BEAMS} beams), all |\n|---|---|---|---|---|---|")
        for board in BOARDS:
            frame = [parts["image_encoder"].seconds(board, n) for n in (1, board.cores)]
            caption = frame[1] + parts["cross_kv"].seconds(board, board.cores) + CAPTION_STEPS * parts["caption_decoder"].seconds(board, board.cores)
            print(f"| {board.name} | {board.cores} × {board.core}, {board.ghz} GHz | {1e3 * frame[0]:.0f} ms | {1e3 * frame[1]:.0f} ms "
                  f"| {1 / frame[1]:.0f} | {1e3 * caption:.0f} ms |")


if __name__ == "__main__":
    main()
