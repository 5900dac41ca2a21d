"""int8 storage of the weights: symmetric, one scale per output channel (the first axis in torch)."""
from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from rounding import row_scales
from trunk import Conv, EfficientNetLite0

KEPT_F32 = re.compile(r"position$")  # small, and only added


class Stored(NamedTuple):
    """values ≈ data * scale along the first axis; data is int8, or f32 where nothing was rounded."""

    data: np.ndarray
    scale: np.ndarray


def quantise(weight: Tensor, least: Tensor | None = None) -> Stored:
    """int8 along the first axis, with scales of at least `least`."""
    rows, scale = weight.detach().float().flatten(1), row_scales(weight)
    if least is not None:
        scale = torch.maximum(scale, least)
    data = (rows / scale[:, None]).round().clamp(-127, 127)
    return Stored(data.reshape(weight.shape).to(torch.int8).numpy(), scale.numpy())


def dequantise(stored: Stored, axis: int = 0) -> Tensor:
    """The values; `axis` is the one that the scales belong to."""
    shape = [-1 if i == axis else 1 for i in range(stored.data.ndim)]
    return torch.from_numpy(stored.data.astype(np.float32) * stored.scale.reshape(shape))


@torch.no_grad()
def round_biases(trunk: EfficientNetLite0) -> None:
    """Puts the rounded biases of a rounded trunk into it: an int32 in units of its input's scale times its weights'."""

    def through(conv: Conv, scale: Tensor) -> Tensor:
        unit = bias_unit(conv, scale)
        conv.bias.copy_((conv.bias / unit).round() * unit)
        return conv.rounded.scale()

    scale = through(trunk.stem, trunk.rounded.scale())
    for block in trunk.blocks:
        hidden = scale if block.expand is None else through(block.expand, scale)
        hidden = through(block.project, through(block.depthwise, hidden))
        scale = block.rounded.scale() if block.residual else hidden
    through(trunk.head, scale)


def least_scale(bias: Tensor, scale: Tensor | float) -> Tensor:
    """A channel that has died keeps its bias within an int32 by its weights' scale."""
    return bias.detach().abs() / (2**30 * scale)


def bias_unit(conv: Conv, scale: Tensor) -> Tensor:
    return scale * torch.maximum(row_scales(conv.weight), least_scale(conv.bias, scale))


def weight_matrices(module: nn.Module) -> dict[str, nn.Parameter]:
    """Every weight that a bundle stores as int8."""
    return {name: p for name, p in module.named_parameters() if p.ndim >= 2 and not KEPT_F32.search(name)}


def unrounded(module: nn.Module) -> dict[str, Stored]:
    """The same weights as they are."""
    return {name: Stored(p.detach().numpy(), np.ones(len(p), np.float32)) for name, p in weight_matrices(module).items()}


@torch.no_grad()
def quantise_module(module: nn.Module) -> dict[str, Stored]:
    """Stores every weight matrix as int8 and puts the rounded values back into the module."""
    stored = {}
    for name, parameter in weight_matrices(module).items():
        stored[name] = quantise(parameter)
        parameter.copy_(dequantise(stored[name]))
    return stored
