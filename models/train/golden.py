"""Writes golden values of the stored model, made with PyTorch, for the runtime's tests."""
from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch

from batches import encode
from export import Pocket, load_quantised
from features import seen
from names import DEFAULT_TEMPLATE
from tokenizer import START, load_tokenizer
from trunk import IMAGE_MEAN, IMAGE_SIZE, IMAGE_STD

FORMULA = ("pixel(x, y, c) = (x*7 + y*13 + c*101 + (x*y) % 29) % 256 at 224x224; "
           "channel c normalised as (pixel / 255 - 0.5) / 0.5; layout [c, y, x]")
LABELS = ["dog", "golden retriever", "Grand Piano", "jack-o'-lantern", "stop sign", "water lilly", "naïve café 7", "umbrella"]
CAPTION = "a black dog runs on the"


def synthetic_pixels() -> torch.Tensor:
    y, x = np.mgrid[:IMAGE_SIZE, :IMAGE_SIZE]
    pixels = np.stack([(x * 7 + y * 13 + c * 101 + (x * y) % 29) % 256 for c in range(3)]).astype(np.float32) / 255
    shape = (3, 1, 1)
    return torch.from_numpy((pixels - np.float32(IMAGE_MEAN).reshape(shape)) / np.float32(IMAGE_STD).reshape(shape))[None]


def rounded(values: torch.Tensor) -> list[float]:
    return [round(value, 6) for value in values.tolist()]


@torch.no_grad()
def golden(model: Pocket, work: Path) -> dict:
    tokenizer, coca = load_tokenizer(work), model.coca
    length = coca.config.context_length
    # Twice the words that are read: of nearly equal ones another may come last. In f64, so that no code depends on the order of a sum.
    words = coca.image.concept_tokens
    coca.image.concept_tokens *= 2
    embedding, tokens = coca.encode_image(seen(model.trunk.double(), synthetic_pixels().double()).float())
    texts = []
    for label in LABELS:
        text = DEFAULT_TEMPLATE.format(label)
        ids = encode(tokenizer, [text], length)[0]
        texts.append({"text": text, "ids": ids, "embedding": rounded(coca.encode_text(torch.tensor([ids]))[0, :16])})
    ids = ([START] + tokenizer.encode(CAPTION).ids)[:8]
    cross, steps = coca.cross_kv(tokens[:, :words]), []
    for end in range(1, len(ids) + 1):
        top = coca.last_logits(torch.tensor([ids[:end]]), cross)[0].topk(5)
        steps.append({"top_ids": top.indices.tolist(), "top_logits": rounded(top.values)})
    return {
        "image": FORMULA,
        "image_embedding": rounded(embedding[0, :16]),
        "image_tokens": [rounded(row) for row in tokens[0]],
        "texts": texts,
        "caption": {"ids": ids, "steps": steps},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="the JSON file to write")
    parser.add_argument("--checkpoint", default="pocket.pt")
    args = parser.parse_args()
    model, _ = load_quantised(args.work, args.checkpoint)
    args.out.write_text(json.dumps(golden(model, args.work), ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
