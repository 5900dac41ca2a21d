"""Runs the frozen trunk once over every picture and view, and keeps the grids and the middle features' moments on disk.

Views: `whole` (the picture squashed to 224x224, as the runtime does), `flip`, and random crops.
"""
from __future__ import annotations

import argparse
import random
import time
import zlib
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from data import Picture, load_pictures
from model import moments
from precision import autocast
from trunk import GRID_CELLS, GRID_WIDTH, IMAGE_MEAN, IMAGE_SIZE, IMAGE_STD, MIDDLE_WIDTH, load_pretrained

# (set, view) in the order in which training first needs them.
PLAN = (
    ("val", "whole"), ("photos", "whole"), ("caltech", "whole"), ("imagenet", "whole"),
    ("photos", "flip"), ("caltech", "flip"), ("imagenet", "flip"), ("photos", "crop1"),
)


def to_pixels(image: Image.Image) -> np.ndarray:
    """A picture squashed to the model's size and normalised: f32 [3, 224, 224]."""
    image = image.convert("RGB").resize((IMAGE_SIZE, IMAGE_SIZE), Image.BICUBIC)
    pixels = np.asarray(image, np.float32) / 255.0
    return ((pixels - np.float32(IMAGE_MEAN)) / np.float32(IMAGE_STD)).transpose(2, 0, 1)


def crop_box(width: int, height: int, rng: random.Random) -> tuple[int, int, int, int]:
    """A box that keeps 45 to 90 % of the picture's area."""
    area, aspect = rng.uniform(0.45, 0.9), rng.uniform(0.8, 1.25)
    w = min(width, round(width * (area * aspect) ** 0.5))
    h = min(height, round(height * (area / aspect) ** 0.5))
    left, top = rng.randint(0, width - w), rng.randint(0, height - h)
    return left, top, left + w, top + h


def load_view(data: Path, picture: Picture, view: str) -> np.ndarray:
    image = Image.open(data / picture.file).convert("RGB")
    if view == "flip":
        image = image.transpose(Image.FLIP_LEFT_RIGHT)
    elif view.startswith("crop"):
        rng = random.Random(zlib.crc32(f"{picture.file}/{view}".encode()))
        image = image.crop(crop_box(*image.size, rng))
        if rng.random() < 0.5:
            image = image.transpose(Image.FLIP_LEFT_RIGHT)
    return to_pixels(image)


def feature_path(work: Path, name: str, view: str, kind: str) -> Path:
    return work / "features" / f"{name}-{view}.{kind}.npy"


def load_features(work: Path, name: str, view: str = "whole") -> np.ndarray:
    """f16 [pictures, 49, 1280], memory-mapped."""
    return np.load(feature_path(work, name, view, "grid"), mmap_mode="r")


def load_middle(work: Path, name: str, view: str = "whole") -> np.ndarray:
    """f32 [pictures, 384]: what `moments` makes of the middle features."""
    return np.load(feature_path(work, name, view, "middle"))


@torch.no_grad()
def extract(data: Path, name: str, view: str, trunk: torch.nn.Module, batch: int = 32) -> tuple[np.ndarray, np.ndarray]:
    pictures = load_pictures(data, name)
    grid = np.zeros((len(pictures), GRID_CELLS, GRID_WIDTH), np.float16)
    middle = np.zeros((len(pictures), 2 * MIDDLE_WIDTH), np.float32)
    for start in range(0, len(pictures), batch):
        chunk = pictures[start:start + batch]
        pixels = torch.from_numpy(np.stack([load_view(data, p, view) for p in chunk]))
        # Pictures that only measure get f32, as the runtime does.
        with autocast(enabled=name != "val"):
            features, inner = trunk(pixels.to(memory_format=torch.channels_last))
        grid[start:start + len(chunk)] = features.float().flatten(2).transpose(1, 2).numpy()
        middle[start:start + len(chunk)] = moments(inner.float()).numpy()
    return grid, middle


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    args = parser.parse_args()
    (args.work / "features").mkdir(parents=True, exist_ok=True)
    trunk, _ = load_pretrained()
    trunk = trunk.to(memory_format=torch.channels_last)
    for name, view in PLAN:
        paths = [feature_path(args.work, name, view, kind) for kind in ("grid", "middle")]
        if all(path.exists() for path in paths):
            continue
        start = time.time()
        for path, values in zip(paths, extract(args.data, name, view, trunk)):
            np.save(path, values)
        print(f"{name} {view}: {time.time() - start:.0f} s", flush=True)


if __name__ == "__main__":
    main()
