"""Writes the bundle: weights, four ONNX parts, tokenizer and coca.json."""
from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from features import load_trunk, seen
from generate import DecodingSettings, repeatable_tokens
from model import CoCa, Config
from parts import Parts
from quantise import Stored, quantise_module, round_biases, unrounded
from tokenizer import END, PAD, START, load_tokenizer
from train_int8 import with_rounders
from trunk import IMAGE_MEAN, IMAGE_SIZE, IMAGE_STD, EfficientNetLite0

CONCEPT_TOKENS = 7  # trained with 12; without the less certain ones more of what captions say is true
TEMPLATE = "a photo of a {}."
LICENCE = ("research and non-commercial use: trained on COCO and Flickr8k photos (Flickr licences, research use) "
           "and ImageNet pictures (research); trunk weights Apache-2.0")


class Pocket(nn.Module):
    """Trunk and CoCa head together: pixels in."""

    def __init__(self, trunk: EfficientNetLite0, config: Config, concepts: list[str]) -> None:
        super().__init__()
        self.trunk, self.coca, self.concepts = trunk, CoCa(config), concepts

    def seen(self, pixels: torch.Tensor) -> torch.Tensor:
        """Mean feature and middle moments: [N, 1280 + 384]."""
        return seen(self.trunk, pixels)


def load_trained(work: Path, checkpoint: str) -> Pocket:
    saved = torch.load(work / checkpoint, weights_only=False)
    model = Pocket(load_trunk(work / "trunk.pt"), replace(saved["config"], concept_tokens=CONCEPT_TOKENS), saved["concepts"])
    model.coca.load_state_dict(saved["model"])
    return model.eval()


def load_stored(work: Path, checkpoint: str, store: Callable[[nn.Module], dict[str, Stored]]) -> tuple[Pocket, dict[str, Stored]]:
    """The model and the weights that `store` gives of it."""
    model = load_trained(work, checkpoint)
    return model, store(model.coca)


def load_quantised(work: Path, checkpoint: str) -> tuple[Pocket, dict[str, Stored]]:
    """The model with every weight rounded to what the bundle stores and the trunk rounding as it runs, and the stored weights."""
    model, stored = load_stored(work, checkpoint, quantise_module)
    model.trunk = with_rounders(EfficientNetLite0())
    model.trunk.load_state_dict(torch.load(work / "int8.pt")["trunk"])
    round_biases(model.trunk)
    return model.eval(), stored


def file_entry(path: Path) -> dict:
    content = path.read_bytes()
    return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def description(config: Config, scale: float, settings: DecodingSettings, repeatable: list[int], written: list[Path],
                precision: str) -> dict:
    """The content of coca.json; the other files are `written` already."""
    return {
        "format": 1, "name": "pocket", "architecture": "coca", "precision": precision,
        "licence": LICENCE, "source": "models/train",
        "image": {"width": IMAGE_SIZE, "height": IMAGE_SIZE, "mean": IMAGE_MEAN, "std": IMAGE_STD,
                  "resize": "squash", "interpolation": "bicubic"},
        "text": {"context_length": config.context_length, "vocab_size": config.vocabulary,
                 "start_id": START, "end_id": END, "pad_id": PAD, "cleaning": "none", "truncate_to_end": True},
        "dimensions": {"embedding": config.embedding, "image_tokens": config.concept_tokens,
                       "image_width": config.width, "decoder_width": config.width,
                       "unimodal_layers": config.unimodal_layers, "multimodal_layers": config.multimodal_layers},
        "logit_scale": round(scale, 4),
        "template": TEMPLATE,
        "caption": {"search": "log_prob", "beams": settings.beams, "beam_groups": 1,
                    "max_tokens": settings.max_tokens, "min_tokens": settings.min_tokens,
                    "length_penalty": settings.length_penalty, "no_repeat_ngram": settings.no_repeat_ngram,
                    "once_except": repeatable, "suppress": [PAD, START]},
        "files": {path.name: file_entry(path) for path in sorted(written)},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="the bundle's folder")
    parser.add_argument("--checkpoint", default="pocket.pt", help="a file of the work folder")
    parser.add_argument("--f32", action="store_true", help="round nothing: what `coca-quantize int8` can be tried on")
    args = parser.parse_args()
    model, stored = load_stored(args.work, args.checkpoint, unrounded) if args.f32 else load_quantised(args.work, args.checkpoint)
    tokenizer = load_tokenizer(args.work)
    args.out.mkdir(parents=True, exist_ok=True)
    parts = Parts(model.coca, model.trunk, stored)
    written = [graph.save(args.out) for graph in parts.all()]
    for weights in parts.files.values():
        written.append(args.out / weights.name)
        written[-1].write_bytes(weights.content)
    written.append(args.out / "tokenizer.json")
    tokenizer.save(str(written[-1]), pretty=False)
    entry = description(model.coca.config, model.coca.scale().item(), DecodingSettings(),
                        repeatable_tokens(tokenizer), written, "f32" if args.f32 else "int8")
    (args.out / "coca.json").write_text(json.dumps(entry, separators=(",", ":")) + "\n", encoding="utf-8")
    print(f"{sum(p.numel() for p in model.parameters()):,} parameters, "
          f"{sum(path.stat().st_size for path in written):,} bytes")


if __name__ == "__main__":
    main()
