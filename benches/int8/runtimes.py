"""Image embeddings of a static int8 bundle in ONNX Runtime, OpenVINO and coca, against a reference in f32.

    pip install numpy onnx onnxruntime openvino pillow
    python benches/int8/runtimes.py F32 INT8 PICTURES [target/release/coca]

Says how many operators each runtime computes in 8 bits. Both bundles squash their pictures, as the embedded model does.
"""
from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import openvino as ov
from PIL import Image

ENCODER = "image_encoder.onnx"


def pixels(bundle: Path, folder: Path) -> Iterator[np.ndarray]:
    """[1, 3, H, W] of every picture of a folder, in the order of their names."""
    image = json.loads((bundle / "coca.json").read_text())["image"]
    assert image["resize"] == "squash"
    for path in sorted(folder.iterdir()):
        squashed = Image.open(path).convert("RGB").resize((image["width"], image["height"]), Image.BICUBIC)
        value = (np.asarray(squashed, np.float32) / 255 - image["mean"]) / image["std"]
        yield value.astype(np.float32).transpose(2, 0, 1)[None]


def in_onnx_runtime(bundle: Path, pictures: list[np.ndarray], level: ort.GraphOptimizationLevel) -> np.ndarray:
    options = ort.SessionOptions()
    options.graph_optimization_level, options.log_severity_level = level, 3
    with tempfile.TemporaryDirectory() as folder:
        options.optimized_model_filepath = str(Path(folder) / ENCODER)
        session = ort.InferenceSession(bundle / ENCODER, options, providers=["CPUExecutionProvider"])
        nodes = onnx.load(Path(folder) / ENCODER, load_external_data=False).graph.node
    counts = Counter(node.op_type for node in nodes)
    print(f"{bundle}: ONNX Runtime, {level.name}: " + ", ".join(f"{n} {op}" for op, n in sorted(counts.items()) if "Conv" in op or "QLinear" in op))
    return np.concatenate([session.run(["image_embedding"], {"pixel_values": x})[0] for x in pictures])


def in_openvino(bundle: Path, pictures: list[np.ndarray]) -> np.ndarray:
    core = ov.Core()
    model = core.read_model(bundle / ENCODER)
    model.reshape(list(pictures[0].shape))
    compiled = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    infos = [op.get_rt_info() for op in compiled.get_runtime_model().get_ops()]
    layers = [tuple(info[key].astype(str) for key in ("layerType", "runtimePrecision")) for info in infos]
    counts = Counter(precision for kind, precision in layers if kind == "Convolution")
    print(f"{bundle}: OpenVINO: convolutions by precision: {dict(counts)}")
    output = next(o for o in compiled.outputs if "image_embedding" in o.get_names())
    return np.concatenate([compiled([x])[output].copy() for x in pictures])


def in_coca(coca: str, bundle: Path, folder: Path) -> np.ndarray:
    with tempfile.NamedTemporaryFile(suffix=".npy") as file:
        command = [coca, "embed", folder, "--model", bundle, "--format", "npy", "--output", file.name, "--quiet"]
        subprocess.run(command, check=True)
        return np.load(file.name)


def compare(name: str, a: np.ndarray, b: np.ndarray) -> None:
    cosines = (a * b).sum(1)
    print(f"{name}: cosine mean {cosines.mean():.5f}, worst {cosines.min():.5f}")


def main() -> None:
    exact, rounded, folder = map(Path, sys.argv[1:4])
    pictures = list(pixels(exact, folder))
    every, none = ort.GraphOptimizationLevel.ORT_ENABLE_ALL, ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    reference = in_onnx_runtime(exact, pictures, every)
    found = {f"ONNX Runtime, {level.name}": in_onnx_runtime(rounded, pictures, level) for level in (every, none)}
    found["OpenVINO"] = in_openvino(rounded, pictures)
    if len(sys.argv) > 4:
        found["coca"] = in_coca(sys.argv[4], rounded, folder)
    for name, embeddings in found.items():
        compare(f"{name} against f32", embeddings, reference)
    base = f"ONNX Runtime, {none.name}"
    for name, embeddings in found.items():
        if name != base:
            compare(f"{name} against {base}", embeddings, found[base])


if __name__ == "__main__":
    main()
