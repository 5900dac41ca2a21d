"""Squashes every picture to the model's size once, and keeps the pixels as raw bytes that training reads a photo at a time."""
from __future__ import annotations

import argparse
import os
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from data import load_pictures

SIDE = 224
PICTURE_BYTES = SIDE * SIDE * 3
SETS = ("val", "photos", "caltech", "imagenet")
AT_ONCE = 256


def squashed(path: Path) -> np.ndarray:
    """u8 [224, 224, 3], the whole picture."""
    return np.asarray(Image.open(path).convert("RGB").resize((SIDE, SIDE), Image.BICUBIC))


def pixels_path(work: Path, name: str) -> Path:
    return work / "pixels" / f"{name}.u8"


class Pixels:
    """The pictures of one set. Read, not mapped: what has been read stays the system's, and can be taken back."""

    def __init__(self, work: Path, name: str) -> None:
        self.file = os.open(pixels_path(work, name), os.O_RDONLY)

    def __getitem__(self, row: int) -> np.ndarray:
        content = os.pread(self.file, PICTURE_BYTES, int(row) * PICTURE_BYTES)
        return np.frombuffer(content, np.uint8).reshape(SIDE, SIDE, 3)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    args = parser.parse_args()
    (args.work / "pixels").mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor() as pool:
        for name in SETS:
            path = pixels_path(args.work, name)
            paths = [args.data / picture.file for picture in load_pictures(args.data, name)]
            if path.exists() and path.stat().st_size == len(paths) * PICTURE_BYTES:
                continue
            with open(path, "wb") as file:
                for picture in pool.map(squashed, paths, chunksize=AT_ONCE):
                    file.write(picture)
            print(f"{name}: {len(paths)} pictures", flush=True)


if __name__ == "__main__":
    main()
