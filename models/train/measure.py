"""The measures that count, through the command itself: what a user of `coca` gets from a bundle, on the validation photos.

    python measure.py --coca ../../target/release/coca --model ../pocket --data DATA
"""
from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from data import Picture, load_pictures
from evaluate import write_jsonl
from names import name_share, names_of

TOP = 5


class Command:
    """`coca` with one model; answers are its JSON lines."""

    def __init__(self, coca: Path, model: Path, data: Path, scratch: Path) -> None:
        self.coca, self.model, self.data, self.scratch = coca, model, data, scratch

    def answers(self, command: str, pictures: list[Picture], *options: str) -> list[dict]:
        files = [str(self.data / p.file) for p in pictures]
        arguments = [str(self.coca), command, "--model", str(self.model), "--format", "jsonl", *options, *files]
        output = subprocess.run(arguments, check=True, capture_output=True, text=True).stdout
        return [json.loads(line) for line in output.splitlines()]

    def best(self, pictures: list[Picture], names: list[str]) -> list[list[str]]:
        """The five best names of each picture."""
        file = self.scratch / "names.txt"
        file.write_text("\n".join(names) + "\n", encoding="utf-8")
        rows = self.answers("classify", pictures, "--labels-file", str(file), "--top-k", str(TOP))
        return [[label["label"] for label in row["labels"]] for row in rows]

    def captions(self, pictures: list[Picture]) -> str:
        """What score.py of the data folder says."""
        found, references = self.scratch / "captions.jsonl", self.scratch / "references.jsonl"
        write_jsonl(found, self.answers("caption", pictures))
        write_jsonl(references, [{"file": p.file, "captions": p.captions} for p in pictures])
        command = [sys.executable, str(self.data / "score.py"), "captions", str(found), str(references)]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def in_captions(pictures: list[Picture], names: list[str], best: list[list[str]]) -> str:
    """Of the photos whose captions hold any name: the share whose best name, or one of the best five, stands in a caption."""
    mentioned = [{names[i] for i in np.flatnonzero(row)} for row in name_share(pictures, names)]
    right = np.array([[found in held for found in row] for row, held in zip(best, mentioned) if held])
    return f"{right[:, 0].mean():.3f} / {right.any(1).mean():.3f} of {len(right)}"


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
        best = command.best(caltech, names_of(args.data, "caltech"))
        print(f"Caltech {np.mean([row[0] == p.label for row, p in zip(best, caltech)]):.4f} of {len(caltech)}")


if __name__ == "__main__":
    main()
