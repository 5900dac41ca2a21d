"""Reads a stored bundle back into PyTorch, so that training can go on from it.

Everything but the trunk, which is frozen: training reads its pretrained weights. Writes a checkpoint.
"""
from __future__ import annotations

import argparse
import json
import math
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from model import CoCa, Config, ImageHead
from quantise import Stored, dequantise

PARTS = ("image_encoder", "text_encoder", "cross_kv", "caption_decoder")


def stored_tensors(bundle: Path) -> dict[str, Tensor]:
    """Every initializer of the four parts by name; int8 weights multiplied by their scales."""
    tensors: dict[str, np.ndarray] = {}
    for part in PARTS:
        graph = onnx.load(str(bundle / f"{part}.onnx")).graph
        stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
        for node in graph.node:
            if node.op_type == "DequantizeLinear":
                data, scale = (stored[name] for name in node.input[:2])
                axis = next(attribute.i for attribute in node.attribute if attribute.name == "axis")
                tensors[node.input[0]] = dequantise(Stored(data, scale), axis).numpy()
        tensors = stored | tensors
    return {name: torch.from_numpy(np.array(value)) for name, value in tensors.items()}


def restore_linear(layer: nn.Linear, tensors: dict[str, Tensor], name: str, factor: float) -> None:
    """Graphs hold weights as (in, out), with `factor` multiplied in."""
    layer.weight.copy_(tensors[f"{name}.weight"].T / factor)
    if layer.bias is not None:
        layer.bias.copy_(tensors[f"{name}.bias"] / factor)


def restore_query(image: ImageHead, stored: Tensor, factor: float) -> None:
    """The graph holds projected queries [1, heads, Q, D / heads]: the projection's bias becomes the first, alone."""
    image.pooler.query.bias.copy_(stored[0, :, 0].flatten() / factor)
    image.pooler.query.weight.zero_()


@torch.no_grad()
def load_bundle(bundle: Path) -> CoCa:
    tensors = stored_tensors(bundle)
    entry = json.loads((bundle / "coca.json").read_text(encoding="utf-8"))
    hidden = tensors["concept_head.expand.weight"].shape[1]
    concepts = len(tensors["image.concept_words"])
    model = CoCa(Config(vocabulary=entry["text"]["vocab_size"], concepts=concepts, concept_hidden=hidden))
    image, width = model.image, model.config.width
    attention_scale = (width // model.config.heads) ** -0.5
    for name, module in model.named_modules():
        if name in ("image.concept_score", "image.pooler.query", "image.norm_query"):
            continue
        if isinstance(module, nn.Linear):
            restore_linear(module, tensors, name, attention_scale if name.endswith(".query") else 1.0)
        elif isinstance(module, nn.LayerNorm):
            module.weight.copy_(tensors[f"{name}.weight"])
            module.bias.copy_(tensors[f"{name}.bias"])
    for parameter in model.norm_final.parameters():
        parameter.mul_(width ** 0.5)
    for name, buffer in model.concept_head.named_buffers():
        buffer.copy_(tensors[f"concept_head.{name}"])
    restore_query(image, tensors["image.pooler.queries"], attention_scale)
    image.cell_position.copy_(tensors["image.cell_position"])
    image.concept_words.weight.copy_(tensors["image.concept_words"])
    image.concept_score.weight[:, 0] = tensors["image.concept_score.weight"]
    image.concept_score.bias.copy_(tensors["image.concept_score.bias"])
    model.token_embedding.weight.copy_(tensors["token_embedding"] / width ** 0.5)
    model.position.copy_(tensors["position_table"])
    model.logit_scale.fill_(math.log(entry["logit_scale"]))
    return model.eval()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", default="stored.pt", help="a file of the work folder")
    args = parser.parse_args()
    model = load_bundle(args.bundle)
    torch.save({"config": model.config, "model": model.state_dict()}, args.work / args.out)


if __name__ == "__main__":
    main()
