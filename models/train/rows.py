"""Runs a stored image encoder over every picture, and keeps what its embedding layers read.

The first row of the pooler and the mean feature: of the weights as they are stored, the rounded trunk included.
"""
from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import onnx
import onnxruntime

from data import load_pictures
from features import load_view
from verify import unfused

VIEWS = ("whole", "flip")
SETS = ("photos", "caltech", "imagenet")
ROWS = {"pooled": "image.pooled_embedding", "mean": "image.mean_embedding"}


def rows_path(work: Path, name: str, view: str) -> Path:
    return work / "rows" / f"{name}-{view}.npz"


def load_rows(work: Path, name: str) -> dict[str, np.ndarray]:
    """f32 [views, pictures, …] for each of ROWS."""
    views = [np.load(rows_path(work, name, view)) for view in VIEWS]
    return {row: np.stack([view[row] for view in views]) for row in ROWS}


def with_rows_as_outputs(bundle: Path) -> onnxruntime.InferenceSession:
    """The image encoder, whose outputs are the inputs of two embedding layers."""
    model = onnx.load(str(bundle / "image_encoder.onnx"))
    read = {node.input[1]: node.input[0] for node in model.graph.node if node.op_type == "MatMul"}
    del model.graph.output[:]
    for layer in ROWS.values():
        model.graph.output.append(onnx.helper.make_tensor_value_info(read[f"{layer}.weight.f32"], onnx.TensorProto.FLOAT, None))
    return onnxruntime.InferenceSession(model.SerializeToString(), unfused())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--bundle", type=Path, required=True)
    args = parser.parse_args()
    session = with_rows_as_outputs(args.bundle)
    (args.work / "rows").mkdir(parents=True, exist_ok=True)
    for name in SETS:
        for view in VIEWS:
            rows = [session.run(None, {"pixel_values": load_view(args.data, picture, view)[None]})
                    for picture in load_pictures(args.data, name)]
            columns = (np.concatenate(column) for column in zip(*rows))
            np.savez(rows_path(args.work, name, view), **dict(zip(ROWS, columns)))
            print(f"{name} {view}: {len(rows)} pictures", flush=True)


if __name__ == "__main__":
    main()
