"""Mean and covariance of a model's image embeddings over photos: `background.bin` of a bundle, and its entry in `coca.json`.

    python background.py --coca ../../target/release/coca --model ../pocket --data DATA

Photos that are held back are none of them. Any bundle can be given one, of any model.
"""
from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from data import load_pictures

AXES = 64
MAX_PHOTOS = 2500  # the first ones


def embed(coca: Path, model: Path, photos: list[Path]) -> np.ndarray:
    with tempfile.TemporaryDirectory() as scratch:
        rows = Path(scratch) / "rows.npy"
        subprocess.run([coca, "embed", "--model", model, "--format", "npy", "-o", rows, "--quiet", *photos], check=True)
        return np.load(rows).astype(float)


def statistics(rows: np.ndarray) -> np.ndarray:
    """[1 + AXES, E]: the mean, and principal axes times their standard deviations, the longest first."""
    mean = rows.mean(0)
    variances, axes = np.linalg.eigh(np.cov(rows.T, bias=True))
    longest = slice(None, -AXES - 1, -1)
    return np.vstack([mean, axes.T[longest] * np.sqrt(variances[longest])[:, None]])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--coca", type=Path, required=True)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    args = parser.parse_args()
    photos = [args.data / p.file for p in load_pictures(args.data, "photos") if p.split == "train"]
    photos = [photo for photo in photos if photo.exists()][:MAX_PHOTOS]
    rows = embed(args.coca, args.model, photos)
    found = statistics(rows).astype("<f2").tobytes()
    (args.model / "background.bin").write_bytes(found)
    description = args.model / "coca.json"
    config = json.loads(description.read_text(encoding="utf-8"))
    config["files"]["background.bin"] = {"bytes": len(found), "sha256": hashlib.sha256(found).hexdigest()}
    config["files"] = dict(sorted(config["files"].items()))
    description.write_text(json.dumps(config, separators=(",", ":")) + "\n", encoding="utf-8")
    print(f"{len(photos)} photos, {len(found)} bytes")


if __name__ == "__main__":
    main()
