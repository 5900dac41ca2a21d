"""`coca teach` on Caltech-101: accuracy on unseen pictures by the number of pictures of each label.

    python caltech101.py COCA DATA [--draws 5] [--shots 1,4,16] [--held-back]

COCA is the command, DATA a folder with `labels-caltech101.jsonl` ({"file", "label", "split"}) and its pictures. Pictures to teach with are
drawn from the split `train`; the split `val` measures. Twice: with the names, and with names that say nothing (label 1 … label 100).

The embedded model was trained on most of `train`. With `--held-back`, pictures to teach with are drawn from the 700 that it was not
trained on (`val`, and `choose` of `models/train/data.py`), and the rest of these measure.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../models/train"))
from data import load_pictures  # noqa: E402


def run(coca, *arguments):
    output = subprocess.run([coca, *arguments], check=True, capture_output=True, text=True)
    return json.loads(output.stdout)


def folders(root, data, pictures, rename):
    """A folder of links for each label."""
    for picture in pictures:
        folder = os.path.join(root, rename(picture["label"]))
        os.makedirs(folder, exist_ok=True)
        target = os.path.join(folder, os.path.basename(picture["file"]))
        os.symlink(os.path.join(os.path.abspath(data), picture["file"]), target)


def measure(coca, data, taught, unseen, rename, method):
    with tempfile.TemporaryDirectory() as root:
        table = os.path.join(root, "table")
        folders(os.path.join(root, "in"), data, taught, rename)
        folders(os.path.join(root, "new"), data, unseen, rename)
        start = time.monotonic()
        options = ["-o", table, "--method", method, "--report", "json", "--quiet"]
        report = run(coca, "teach", os.path.join(root, "in"), *options)
        seconds = time.monotonic() - start
        found = run(coca, "labels", "check", table, os.path.join(root, "new"), "--format", "json", "--quiet")
        return found["accuracy"], report, seconds


class Draws:
    """Pictures ({"file", "label", "split"}) to teach with and to measure on."""

    def __init__(self, data, held_back):
        self.held_back = held_back
        with open(os.path.join(data, "labels-caltech101.jsonl")) as f:
            self.pictures = [json.loads(line) for line in f]
        if held_back:
            splits = [picture.split for picture in load_pictures(Path(data), "caltech")]
            self.pictures = [p for p, split in zip(self.pictures, splits) if split != "train"]
        self.labels = sorted({picture["label"] for picture in self.pictures})
        usable = [p for p in self.pictures if held_back or p["split"] == "train"]
        self.by_label = {label: [p for p in usable if p["label"] == label] for label in self.labels}

    def draw(self, seed, shots):
        """(pictures to teach with, unseen ones)"""
        draw = random.Random(seed)
        taught = [p for label in self.labels for p in draw.sample(self.by_label[label], min(shots, len(self.by_label[label])))]
        if not self.held_back:
            return taught, [picture for picture in self.pictures if picture["split"] == "val"]
        files = {picture["file"] for picture in taught}
        return taught, [picture for picture in self.pictures if picture["file"] not in files]


def names_alone(coca, data, labels, pictures):
    """Accuracy of the names."""
    files = [os.path.join(data, picture["file"]) for picture in pictures]
    with tempfile.TemporaryDirectory() as root:
        listed = os.path.join(root, "labels")
        with open(listed, "w") as f:
            f.writelines(label + "\n" for label in labels)
        options = ["--labels-file", listed, "--top-k", "1", "--format", "jsonl", "--quiet"]
        output = subprocess.run([coca, "classify", *options, *files], check=True, capture_output=True, text=True).stdout
    best = [json.loads(line)["labels"][0]["label"] for line in output.splitlines()]
    return sum(name == picture["label"] for name, picture in zip(best, pictures)) / len(pictures)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("coca")
    parser.add_argument("data")
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--shots", default="1,4,16")
    parser.add_argument("--method", default="auto")
    parser.add_argument("--held-back", action="store_true")
    arguments = parser.parse_args()
    draws = Draws(arguments.data, arguments.held_back)
    nameless = {label: f"label {i + 1}" for i, label in enumerate(draws.labels)}
    for shots in map(int, arguments.shots.split(",")):
        for what, rename in (("names", str), ("label 1 …", nameless.get)):
            rows, by_name = [], []
            for seed in range(arguments.draws):
                taught, unseen = draws.draw(seed, shots)
                rows.append(measure(arguments.coca, arguments.data, taught, unseen, rename, arguments.method))
                if rename is str:
                    by_name.append(names_alone(arguments.coca, arguments.data, draws.labels, unseen))
            mean = sum(row[0] for row in rows) / len(rows)
            alone = sum(row[1]["names_alone"] for row in rows) / len(rows)
            left_out = sum(row[1]["accuracy"] for row in rows) / len(rows)
            gain = f", {100 * (mean - sum(by_name) / len(by_name)):+.2f} points to names alone" if by_name else ""
            print(
                f"{shots} shots, {what}: {mean:.4f} on unseen pictures{gain}; left out {left_out:.4f}, "
                f"names alone on the shots {alone:.4f}; {rows[0][2]:.0f} s",
                flush=True,
            )


if __name__ == "__main__":
    main()
