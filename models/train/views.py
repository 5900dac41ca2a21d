"""Random views of stored pictures for training the trunk: crops, flips, colours."""
from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from pixels import SIDE, Pixels

CROP_AREA, CROP_ASPECT = (0.7, 1.0), (0.85, 1.18)
COLOUR = 0.25  # the largest change of brightness, contrast and saturation
GREY = (0.299, 0.587, 0.114)


def crop_box(rng: np.random.Generator) -> tuple[float, float, float, float]:
    """(left, top, right, bottom) within the stored square."""
    area, aspect = rng.uniform(*CROP_AREA), np.exp(rng.uniform(*np.log(CROP_ASPECT)))
    width, height = min(SIDE, SIDE * (area * aspect) ** 0.5), min(SIDE, SIDE * (area / aspect) ** 0.5)
    left, top = rng.uniform(0, SIDE - width), rng.uniform(0, SIDE - height)
    return left, top, left + width, top + height


def random_view(pixels: np.ndarray, side: int, rng: np.random.Generator) -> np.ndarray:
    """u8 [side, side, 3]"""
    view = np.asarray(Image.fromarray(pixels).resize((side, side), Image.BILINEAR, crop_box(rng)))
    return view[:, ::-1] if rng.random() < 0.5 else view


def recoloured(x: Tensor, rng: np.random.Generator) -> Tensor:
    """[N, 3, H, W] in [0, 1] with brightness, contrast and saturation drawn for each picture."""
    brightness, contrast, saturation = torch.from_numpy(rng.uniform(1 - COLOUR, 1 + COLOUR, (3, len(x), 1, 1, 1)).astype(np.float32))
    grey = (x * torch.tensor(GREY)[:, None, None]).sum(1, keepdim=True)
    x = torch.lerp(grey, x, saturation)
    mean = grey.mean((2, 3), keepdim=True)
    return ((x - mean) * contrast + mean * brightness).clamp_(0, 1)


def random_views(drawn: list[tuple[Pixels, int]], side: int, rng: np.random.Generator) -> Tensor:
    """Views of (set, row) pairs: f32 [N, 3, side, side] in [-1, 1], channels last."""
    views = torch.from_numpy(np.stack([random_view(pixels[row], side, rng) for pixels, row in drawn]))
    x = recoloured(views.permute(0, 3, 1, 2).float() / 255, rng)
    return (x * 2 - 1).contiguous(memory_format=torch.channels_last)


def whole_views(drawn: list[tuple[Pixels, int]], flip: bool = False) -> Tensor:
    """The pictures as the product sees them (or their mirror images), in [-1, 1]."""
    views = torch.from_numpy(np.stack([pixels[row] for pixels, row in drawn])).permute(0, 3, 1, 2)
    x = views.float() / 127.5 - 1
    return (x.flip(3) if flip else x).contiguous(memory_format=torch.channels_last)
