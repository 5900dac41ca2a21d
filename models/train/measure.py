"""The measures that count, through the command itself: what a user of `coca` gets from a bundle, on the validation photos.

    python measure.py --coca ../../target/release/coca --model ../pocket --data DATA
"""
from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from data import Picture, load_pictures
from evaluate import TOP, in_captions, score_captions
from names import names_of


class Command:
    """`coca` with one model; answers are its JSON lines."""

    def __init__(self, coca: Path, model: Path, data: Path, scratch: Path) -> None:
        self.coca, self.model, self.data, self.scratch = coca, model, data, scratch

    def answers(self, command: str, pictures: list[Picture], *options: str) -> list[dict]:
        files = [str(self.data / p.file) for p in pictures]
        arguments = [str(self.coca), command, "--model", str(self.model), "--format", "jsonl", *options, *files]
        output = subprocess.run(arguments, check=True, capture_output=True, text=True).stdout
        return [json.loads(line) for line in output.splitlines()]

    def best(self, pictures: list[Picture], names: list[str]) -> np.ndarray:
        """Numbers of the best names of each picture: [pictures, TOP]."""
        file = self.scratch / "names.txt"
        file.write_text("\n".join(names) + "\n", encoding="utf-8")
        rows = self.answers("classify", pictures, "--labels-file", str(file), "--top-k", str(TOP))
        number = {name: i for i, name in enumerate(names)}
        return np.array([[number[label["label"]] for label in row["labels"]] for row in rows])

    def captions(self, pictures: list[Picture]) -> dict:
        texts = [row["caption"] for row in self.answers("caption", pictures)]
        return score_captions(self.data, pictures, texts, self.scratch / "captions.jsonl")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for option in ("--coca", "--model", "--data"):
        parser.add_argument(option, type=Path, required=True)
    args = parser.parse_args()
    photos = load_pictures(args.data, "val")
    caltech = [p for p in load_pictures(args.data, "caltech") if p.split == "val"]
    with tempfile.TemporaryDirectory() as scratch:
        command = Command(args.coca, args.model, args.data, Path(scratch))
        print("captions", command.captions(photos), flush=True)
        for name in ("everyday", "imagenet"):
            names = names_of(args.data, name)
            print(f"{name} names {in_captions(photos, names, command.best(photos, names))}", flush=True)
        names = names_of(args.data, "caltech")
        best = command.best(caltech, names)[:, 0]
        print(f"Caltech {np.mean([names[i] == p.label for i, p in zip(best, caltech)]):.4f} of {len(caltech)}")


if __name__ == "__main__":
    main()
