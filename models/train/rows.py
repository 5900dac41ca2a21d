"""Runs the stored image encoder over every picture, and keeps what its embedding layers and its concept head read.

The first row of the pooler, the mean feature and the middle moments: with the weights as they are stored, the trunk's too.
"""
from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

from data import Picture, load_pictures
from export import Pocket, load_quantised
from features import load_view

VIEWS = ("whole", "flip")
SETS = ("photos", "caltech", "imagenet")
BATCH = 32


def rows_path(work: Path, name: str, view: str) -> Path:
    return work / "rows" / f"{name}-{view}.npz"


def load_rows(work: Path, name: str) -> dict[str, np.ndarray]:
    """f32 [views, pictures, …] for each of `pooled`, `mean` and `middle`."""
    views = [np.load(rows_path(work, name, view)) for view in VIEWS]
    return {row: np.stack([view[row] for view in views]) for row in views[0].files}


@torch.no_grad()
def extract(model: Pocket, data: Path, pictures: list[Picture], view: str) -> dict[str, np.ndarray]:
    parts: dict[str, list[torch.Tensor]] = {"pooled": [], "mean": [], "middle": []}
    for start in range(0, len(pictures), BATCH):
        pixels = np.stack([load_view(data, picture, view) for picture in pictures[start:start + BATCH]])
        grid, middle = model.features(torch.from_numpy(pixels).to(memory_format=torch.channels_last))
        for kind, rows in (("pooled", model.coca.image.pool(grid)), ("mean", grid.mean(1)), ("middle", middle)):
            parts[kind].append(rows)
    return {kind: torch.cat(rows).numpy() for kind, rows in parts.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--checkpoint", default="trained.pt", help="a file of the work folder")
    args = parser.parse_args()
    model = load_quantised(args.work / args.checkpoint)[0]
    model.trunk = model.trunk.to(memory_format=torch.channels_last)
    (args.work / "rows").mkdir(parents=True, exist_ok=True)
    for name in SETS:
        for view in VIEWS:
            pictures = load_pictures(args.data, name)
            np.savez(rows_path(args.work, name, view), **extract(model, args.data, pictures, view))
            print(f"{name} {view}: {len(pictures)} pictures", flush=True)


if __name__ == "__main__":
    main()
