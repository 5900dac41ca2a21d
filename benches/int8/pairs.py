"""Pairs of int8 weights whose products with unsigned bytes do not fit the 16 bits that AVX2's `vpmaddubsw` adds them in.

    pip install numpy onnx
    python benches/int8/pairs.py BUNDLE

ONNX Runtime takes three instructions for a vector of products (`vpmaddubsw`, `vpmaddwd`, `vpaddd`) and saturates such pairs; the exact
product of `coca-kernels` takes a fourth (`vpsignb`). Weights could be split into a part without such pairs and a rest, zero but for
few groups of four inputs, whose vectors are multiplied once more: three instructions for each vector, and three for each that has a
rest. This counts those vectors, in the weights of a bundle and in normally distributed ones.
"""
from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

MOST = 128  # 255 × 128 fits, 255 × 129 does not
COLUMNS = 8  # of a vector, four inputs each


def report(name: str, weights: list[np.ndarray]) -> None:
    """`weights`: int8 [inputs, outputs] each."""
    pairs, vectors = zip(*(overflows(matrix.astype(int)) for matrix in weights))
    pairs, vectors = np.concatenate(pairs), np.concatenate(vectors)
    print(f"{name}: {100 * pairs.mean():.1f} % of the pairs, {100 * vectors.mean():.0f} % of the vectors: "
          f"{3 * (1 + vectors.mean()):.1f} instructions for a vector instead of 4")


def overflows(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Whether each pair does not fit, and whether any pair of each vector does not."""
    inputs, outputs = weights.shape[0] // 4 * 4, weights.shape[1] // COLUMNS * COLUMNS
    pairs = weights[:inputs, :outputs].reshape(inputs // 2, 2, outputs)
    over = (pairs.clip(min=0).sum(1) > MOST) | (pairs.clip(max=0).sum(1) < -MOST)
    vectors = over.reshape(inputs // 4, 2, outputs // COLUMNS, COLUMNS).any((1, 3))
    return over.ravel(), vectors.ravel()


def int8_matrices(path: Path) -> list[np.ndarray]:
    weights = [t for t in onnx.load(path).graph.initializer if t.data_type == onnx.TensorProto.INT8 and len(t.dims) == 2]
    return [numpy_helper.to_array(t) for t in weights]


def normal(inputs: int, outputs: int = 1024) -> np.ndarray:
    """Normally distributed weights with a scale for each output."""
    drawn = np.random.default_rng(0).standard_normal((inputs, outputs))
    return np.round(drawn / np.abs(drawn).max(0) * 127).astype(np.int8)


def main() -> None:
    for part in ("text_encoder.onnx", "caption_decoder.onnx"):
        report(part, int8_matrices(Path(sys.argv[1]) / part))
    for inputs in (256, 768, 3072):
        report(f"normal weights of {inputs} inputs", [normal(inputs)])


if __name__ == "__main__":
    main()
