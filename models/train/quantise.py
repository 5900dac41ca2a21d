"""int8 storage of the weights: symmetric, one scale per output channel (the first axis in torch)."""
from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

# Small tensors that are added stay f32, and so do the trunk's depthwise and first convolutions: 0.2 M
# weights, whose rounding costs more accuracy than that of all the others.
KEPT_F32 = re.compile(r"(position|queries|depthwise\.weight)$|^stem\.|^blocks\.[0-3]\.")


class Int8(NamedTuple):
    """values ≈ data * scale along the first axis."""

    data: np.ndarray
    scale: np.ndarray


def quantise(weight: Tensor) -> Int8:
    rows = weight.detach().float().flatten(1)
    scale = rows.abs().amax(1).clamp(min=1e-12) / 127
    data = (rows / scale[:, None]).round().clamp(-127, 127)
    return Int8(data.reshape(weight.shape).to(torch.int8).numpy(), scale.numpy())


def dequantise(stored: Int8) -> Tensor:
    shape = (-1,) + (1,) * (stored.data.ndim - 1)
    return torch.from_numpy(stored.data.astype(np.float32) * stored.scale.reshape(shape))


@torch.no_grad()
def quantise_module(module: nn.Module) -> dict[str, Int8]:
    """Stores every weight matrix as int8 and puts the rounded values back into the module."""
    stored = {}
    for name, parameter in module.named_parameters():
        if parameter.ndim >= 2 and not KEPT_F32.search(name):
            stored[name] = quantise(parameter)
            parameter.copy_(dequantise(stored[name]))
    return stored
