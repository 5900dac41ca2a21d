"""A taught `none`: recall and precision on unseen pictures.

    python none.py COCA DATA [--draws 30]

A draw teaches five of Caltech-101's kinds with four pictures each, and `none` with ten everyday photos and ten pictures of other kinds.
Measured on the other pictures of the five kinds and as many of `none`, half photos again. No picture was trained on.
"""

import argparse
import json
import os
import random
import subprocess
import tempfile
from pathlib import Path

from caltech101 import Draws, folders, load_pictures

PRECISION = 0.9


def measure(coca, data, taught, unseen):
    """For each unseen picture: its label, the one found, and the score of `none`."""
    with tempfile.TemporaryDirectory() as root:
        table = os.path.join(root, "table")
        folders(os.path.join(root, "in"), data, taught, str)
        options = ["-o", table, "--report", "json", "--quiet"]
        subprocess.run([coca, "teach", os.path.join(root, "in"), *options], check=True, capture_output=True)
        files = [os.path.join(data, picture["file"]) for picture in unseen]
        options = ["--table", table, "--top-k", "6", "--format", "jsonl", "--quiet"]
        lines = subprocess.run([coca, "classify", *options, *files], check=True, capture_output=True, text=True).stdout
    for picture, line in zip(unseen, lines.splitlines()):
        found = json.loads(line)["labels"]
        yield picture["label"], found[0]["label"], next(label["score"] for label in found if label["label"] == "none")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("coca")
    parser.add_argument("data")
    parser.add_argument("--draws", type=int, default=30)
    arguments = parser.parse_args()
    pool = Draws(arguments.data, held_back=True)
    photos = [p.file for p in load_pictures(Path(arguments.data), "photos") if p.split in ("choose", "flickr")]
    rows = []
    for seed in range(arguments.draws):
        draw = random.Random(seed)
        kinds = draw.sample(pool.labels, 5)
        own = [draw.sample(pool.by_label[kind], len(pool.by_label[kind])) for kind in kinds]
        taught, unseen = [p for kind in own for p in kind[:4]], [p for kind in own for p in kind[4:]]
        half = len(unseen) // 2 + 1
        others = draw.sample([p["file"] for p in pool.pictures if p["label"] not in kinds], 10 + half)
        scenes = draw.sample(photos, 10 + half)
        none = [{"file": file, "label": "none"} for file in others[:10] + scenes[:10] + others[10:] + scenes[10:]]
        rows += measure(arguments.coca, arguments.data, taught + none[:20], unseen + none[20:])
    none, right = sum(label == "none" for label, _, _ in rows), sum(label == found == "none" for label, found, _ in rows)
    called = sum(found == "none" for _, found, _ in rows)
    print(f"none wins: recall {right / none:.3f}, precision {right / called:.3f} ({none} of none, {len(rows) - none} of the labels)")
    recall = hits = 0
    for count, (label, _, _) in enumerate(sorted(rows, key=lambda row: -row[2]), 1):
        hits += label == "none"
        if hits >= PRECISION * count:
            recall = hits / none
    print(f"recall {recall:.3f} at precision {PRECISION}, by the score of none")


if __name__ == "__main__":
    main()
