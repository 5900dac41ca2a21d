"""What noise of 20 dB at one layer costs: why `coca-quantize int8 --calibrate` keeps layers below that.

Adds noise of a hundredth of the output's power behind one convolution or linear layer of the image encoder after the
other, and compares the image embeddings with those without noise.
"""
from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from export import Pocket, load_trained
from pixels import Pixels
from trunk import Conv
from views import whole_views

DECIBELS = 20
PICTURES = 24
ASKED = 0.995


def noisy(_layer: nn.Module, _inputs: tuple, output: Tensor) -> Tensor:
    return output + torch.randn_like(output) * output.square().mean().sqrt() * 10 ** (-DECIBELS / 20)


def layers(model: Pocket) -> list[tuple[str, nn.Module]]:
    parts = (("trunk", model.trunk), ("concept_head", model.coca.concept_head), ("image", model.coca.image))
    return [(f"{part}.{name}", layer) for part, module in parts for name, layer in module.named_modules()
            if isinstance(layer, (Conv, nn.Linear)) and name != "concept_score"]


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--checkpoint", default="pocket.pt", help="a file of the work folder")
    args = parser.parse_args()
    torch.manual_seed(0)
    model = load_trained(args.work, args.checkpoint)
    of_val = Pixels(args.work, "val")
    pixels = whole_views([(of_val, row) for row in range(PICTURES)])
    clean, found = model.coca.encode_image(model.seen(pixels))[0], []
    for name, layer in layers(model):
        hook = layer.register_forward_hook(noisy)
        cosine = (model.coca.encode_image(model.seen(pixels))[0] * clean).sum(1)
        hook.remove()
        found.append((cosine.mean().item(), cosine.min().item(), name))
    below = [entry for entry in sorted(found) if entry[0] < ASKED]
    print(f"{len(found)} layers, median cosine {np.median([mean for mean, *_ in found]):.5f}; below {ASKED}:")
    for mean, worst, name in below:
        print(f"mean {mean:.4f}  worst {worst:.4f}  {name}")


if __name__ == "__main__":
    main()
