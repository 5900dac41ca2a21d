"""Holds the bundle's ONNX parts against PyTorch with the same, dequantised weights."""
from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch

from export import Pocket, load_quantised
from model import MASKED
from tokenizer import END, PAD, START
from trunk import IMAGE_SIZE

TOLERANCE = 1e-4
IMAGE_TOLERANCE = 2e-2  # the trunk's codes: a value half-way between two may become either
PARTS = ("image_encoder", "text_encoder", "cross_kv", "caption_decoder")


def unfused() -> onnxruntime.SessionOptions:
    """int8 weights are multiplied as f32."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return options


class Bundle:
    """The parts, run by ONNX Runtime; the decoder's cache is kept here."""

    def __init__(self, folder: Path) -> None:
        self.session = {}
        for part in PARTS:
            onnx.checker.check_model(str(folder / f"{part}.onnx"), full_check=True)
            self.session[part] = onnxruntime.InferenceSession(str(folder / f"{part}.onnx"), unfused())

    def run(self, part: str, **inputs: np.ndarray) -> dict[str, np.ndarray]:
        session = self.session[part]
        return dict(zip([o.name for o in session.get_outputs()], session.run(None, inputs)))

    def decode(self, ids: np.ndarray, cross: dict[str, np.ndarray], steps: list[int]) -> np.ndarray:
        """Logits after `ids` [B, L], fed in runs of the given lengths through the cache."""
        inputs = self.session["caption_decoder"].get_inputs()
        past = {i.name: np.zeros((len(ids), 0, i.shape[2]), np.float32) for i in inputs if i.name.startswith("past")}
        done, out = 0, {}
        for length in steps:
            total = done + length
            mask = np.triu(np.full((total, total), MASKED, np.float32), 1)[done:]
            out = self.run("caption_decoder", input_ids=ids[:, done:total], position=np.arange(done, total),
                           text_mask=np.repeat(mask[None], len(ids), 0), causal_mask=mask, **past, **cross)
            past = {name: np.concatenate([rows, out[name.replace("past", "new")]], 1) for name, rows in past.items()}
            done = total
        return out["logits"]


def check(name: str, got: np.ndarray, expected: torch.Tensor | np.ndarray, tolerance: float = TOLERANCE) -> None:
    error = float(np.abs(got - np.asarray(expected)).max())
    print(f"{name}: largest difference {error:.2e}")
    if not error <= tolerance:
        raise SystemExit(f"{name} differs by {error:.2e}, more than {tolerance}")


def nearest(rows: np.ndarray, among: np.ndarray) -> np.ndarray:
    """For each row of a picture the most similar one of the others."""
    distance = np.abs(rows[:, :, None] - among[:, None]).max(-1)
    return np.take_along_axis(among, distance.argmin(-1)[..., None], 1)


@torch.no_grad()
def verify(bundle: Bundle, model: Pocket) -> None:
    rng, coca = np.random.default_rng(0), model.coca
    pixels = rng.uniform(-1, 1, (2, 3, IMAGE_SIZE, IMAGE_SIZE)).astype(np.float32)
    image = bundle.run("image_encoder", pixel_values=pixels)
    # Words of nearly equal probability may change places, and the last ones of those that are read give way to the next.
    coca.image.concept_tokens *= 2
    embedding, tokens = coca.encode_image(model.seen(torch.from_numpy(pixels)))
    check("image_embedding", image["image_embedding"], embedding, IMAGE_TOLERANCE)
    check("image_tokens", nearest(image["image_tokens"], tokens.numpy()), image["image_tokens"], IMAGE_TOLERANCE)

    ids = np.full((3, coca.config.context_length), PAD, np.int64)
    for row, length in zip(ids, (1, 7, coca.config.context_length - 2)):
        row[:length + 2] = [START, *rng.integers(END + 1, coca.config.vocabulary, length), END]
    text = bundle.run("text_encoder", input_ids=ids)["text_embedding"]
    check("text_embedding", text, coca.encode_text(torch.from_numpy(ids)))
    for row, length in zip((0, 1), (3, 9)):
        for pads in (0, 1, 4):
            short = bundle.run("text_encoder", input_ids=ids[row:row + 1, :length + pads])["text_embedding"]
            check(f"text padded by {pads}", short, text[row:row + 1])

    first = bundle.run("cross_kv", image_tokens=image["image_tokens"][:1])
    expected = coca.cross_kv(torch.from_numpy(image["image_tokens"][:1]))
    for i, pair in enumerate(expected):
        for kind, value in zip(("key", "value"), pair):
            check(f"cross_{kind}.{i}", first[f"cross_{kind}.{i}"], value)
    prompt = rng.integers(END + 1, coca.config.vocabulary, (3, 10))
    prompt[:, 0] = START
    full = coca.last_logits(torch.from_numpy(prompt), [(k.expand(3, -1, -1), v.expand(3, -1, -1)) for k, v in expected])
    for steps in ([10], [1] * 10, [4, 1, 3, 2]):
        check(f"logits in runs of {steps}", bundle.decode(prompt, first, steps), full)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--checkpoint", default="pocket.pt")
    args = parser.parse_args()
    verify(Bundle(args.bundle), load_quantised(args.work, args.checkpoint)[0])


if __name__ == "__main__":
    main()
