"""`coca teach` on Caltech-101: accuracy on unseen pictures by the number of pictures of each label.

    python caltech101.py COCA DATA [--draws 5] [--shots 1,4,16]

COCA is the command, DATA a folder with `labels-caltech101.jsonl` ({"file", "label", "split"}) and its pictures. Pictures to teach with are
drawn from the split `train`; the split `val` measures. Twice: with the names, and with names that say nothing (label 1 … label 100).
"""

import argparse
import json
import os
import random
import subprocess
import tempfile
import time


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


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("coca")
    parser.add_argument("data")
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--shots", default="1,4,16")
    parser.add_argument("--method", default="auto")
    arguments = parser.parse_args()
    with open(os.path.join(arguments.data, "labels-caltech101.jsonl")) as f:
        pictures = [json.loads(line) for line in f]
    labels = sorted({picture["label"] for picture in pictures})
    by_label = {label: [p for p in pictures if p["label"] == label and p["split"] == "train"] for label in labels}
    unseen = [picture for picture in pictures if picture["split"] == "val"]
    nameless = {label: f"label {i + 1}" for i, label in enumerate(labels)}
    for shots in map(int, arguments.shots.split(",")):
        for what, rename in (("names", str), ("label 1 …", nameless.get)):
            rows = []
            for seed in range(arguments.draws):
                draw = random.Random(seed)
                taught = [p for label in labels for p in draw.sample(by_label[label], min(shots, len(by_label[label])))]
                rows.append(measure(arguments.coca, arguments.data, taught, unseen, rename, arguments.method))
            mean = sum(row[0] for row in rows) / len(rows)
            alone = sum(row[1]["names_alone"] for row in rows) / len(rows)
            left_out = sum(row[1]["accuracy"] for row in rows) / len(rows)
            print(
                f"{shots} shots, {what}: {mean:.4f} on unseen pictures; left out {left_out:.4f}, "
                f"names alone on the shots {alone:.4f}; {rows[0][2]:.0f} s",
                flush=True,
            )


if __name__ == "__main__":
    main()
