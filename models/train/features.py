"""Runs the trained trunk once over every picture, and keeps what the heads read: mean features and middle moments.

Views: `whole` (the picture squashed to 224x224, as the runtime does) and `flip`.
"""
from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from data import load_pictures
from model import SEEN_WIDTH, moments
from pixels import Pixels
from precision import autocast
from trunk import EfficientNetLite0
from views import whole_views

VIEWS = ("whole", "flip")
# In the order in which training first needs them.
SETS = ("val", "photos", "caltech", "imagenet")
BATCH = 64


def seen(trunk: EfficientNetLite0, pixels: Tensor) -> Tensor:
    """Pixels → mean feature and middle moments side by side: [N, 1280 + 384]."""
    grid, middle = trunk(pixels)
    return torch.cat([grid.float().mean((2, 3)), moments(middle.float())], 1)


def load_trunk(path: Path) -> EfficientNetLite0:
    trunk = EfficientNetLite0()
    trunk.load_state_dict(torch.load(path)["trunk"])
    return trunk.eval()


def features_path(work: Path, name: str, view: str) -> Path:
    return work / "features" / f"{name}-{view}.npy"


def load_features(work: Path, name: str) -> Tensor:
    """f16 [views, pictures, 1280 + 384]"""
    return torch.from_numpy(np.stack([np.load(features_path(work, name, view)) for view in VIEWS]))


@torch.no_grad()
def extract(trunk: EfficientNetLite0, pixels: Pixels, count: int, view: str, exact: bool) -> np.ndarray:
    features = np.zeros((count, SEEN_WIDTH), np.float16)
    for start in range(0, count, BATCH):
        batch = whole_views([(pixels, row) for row in range(start, min(start + BATCH, count))], view == "flip")
        with autocast(enabled=not exact):
            features[start:start + BATCH] = seen(trunk, batch).numpy()
    return features


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--trunk", default="trunk.pt", help="a file of the work folder")
    args = parser.parse_args()
    torch.set_num_threads(2)
    (args.work / "features").mkdir(parents=True, exist_ok=True)
    path = args.work / args.trunk
    trunk = load_trunk(path).to(memory_format=torch.channels_last)
    for view in VIEWS:
        for name in SETS:
            target = features_path(args.work, name, view)
            if target.exists() and target.stat().st_mtime > path.stat().st_mtime:
                continue
            start, count = time.time(), len(load_pictures(args.data, name))
            # Pictures that only measure get f32, as the runtime does.
            features = extract(trunk, Pixels(args.work, name), count, view, exact=name == "val")
            np.save(target, features)
            print(f"{name} {view}: {count} pictures in {time.time() - start:.0f} s", flush=True)


if __name__ == "__main__":
    main()
