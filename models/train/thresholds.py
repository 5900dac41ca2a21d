"""What `coca ask` and `--none` call a yes: thresholds on held-back photos, so that `benches/ask` only measures.

Everything is in standard deviations of a photo's cosines with the everyday names. Of a question's statement, half of its usual
cosine is taken off, that with the mean of `background.bin`.
"""
from __future__ import annotations

import argparse
import re
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from data import Picture
from evaluate import Evaluation
from export import load_quantised, load_trained
from names import names_of

ASKED, NAMED_BY, CERTAIN = 100, 3, 4  # names asked for; captions that make a thing present, and certainly so
LABELS, DRAWS = 4, 4000
STEPS = np.arange(0.5, 2.6, 0.05)
USUAL_SHARE = 0.5


def counts(pictures: list[Picture], names: list[str]) -> np.ndarray:
    """[pictures, names]: captions that hold the name, in the singular or plural."""
    words = [re.compile(r"\b" + re.escape(name) + r"(e?s)?\b") for name in names]
    return np.array([[sum(bool(word.search(caption)) for caption in p.captions) for word in words] for p in pictures])


def deviations(embeddings: Tensor, names: Tensor, usual: np.ndarray) -> np.ndarray:
    """[pictures, names], with `usual` [names] taken off each name's cosines."""
    cosines = (embeddings @ names.T).numpy()
    return (cosines - usual - cosines.mean(1, keepdims=True)) / cosines.std(1, keepdims=True)


def usual_cosines(bundle: Path, names: Tensor) -> np.ndarray:
    """[names]: the share of each name's cosine with the mean picture that is taken off."""
    mean = np.fromfile(bundle / "background.bin", "<f2", names.shape[1]).astype(np.float32)
    cosines = names.numpy() @ mean
    return USUAL_SHARE * (cosines - cosines.mean())


def report_yes(z: np.ndarray, named: np.ndarray) -> None:
    rng, present, absent = np.random.default_rng(0), [], []
    for name in np.argsort(-(named >= NAMED_BY).sum(0))[:ASKED]:
        there, nowhere = np.flatnonzero(named[:, name] >= NAMED_BY), np.flatnonzero(named[:, name] == 0)
        present += z[there, name].tolist()
        absent += z[rng.choice(nowhere, min(len(there), len(nowhere)), replace=False), name].tolist()
    for step in STEPS:
        yes, no = (np.array(present) > step).mean(), (np.array(absent) <= step).mean()
        print(f"yes above {step:.2f}: {yes:.3f} of {len(present)} right, no {no:.3f} of {len(absent)}, both {(yes + no) / 2:.3f}")


def report_none(z: np.ndarray, named: np.ndarray) -> None:
    rng, (photos, names) = np.random.default_rng(1), z.shape
    absent, present = [], []
    while len(absent) < DRAWS:
        photo, labels = rng.integers(photos), rng.choice(names, LABELS, replace=False)
        if not named[photo, labels].any():
            absent.append(z[photo, labels].max())
    for photo, name in np.argwhere(named >= CERTAIN):
        present.append(max(z[photo, name], z[photo, rng.choice(names, LABELS - 1)].max()))
    for step in STEPS:
        print(f"none below {step:.2f}: wins {(np.array(absent) < step).mean():.3f} where nothing fits, "
              f"{(np.array(present) < step).mean():.3f} of {len(present)} where something does")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--checkpoint", default="pocket.pt")
    parser.add_argument("--bundle", type=Path, default=Path("../pocket"))
    parser.add_argument("--int8", action="store_true")
    parser.add_argument("--splits", nargs="+", default=["choose", "flickr"])
    args = parser.parse_args()
    torch.set_num_threads(2)
    model = load_quantised(args.work, args.checkpoint)[0] if args.int8 else load_trained(args.work, args.checkpoint)
    run, names = Evaluation(args.data, args.work, model, args.int8), names_of(args.data, "everyday")
    pictures: list[Picture] = []
    parts = []
    for split in args.splits:
        name = "val" if split == "val" else "photos"
        found, rows = run.pictures(name, split)
        with torch.no_grad():
            parts.append(model.coca.encode_image(run.seen(name, rows))[0])
        pictures += found
    embeddings, texts, named = torch.cat(parts), run.name_embeddings(names).detach(), counts(pictures, names)
    report_yes(deviations(embeddings, texts, usual_cosines(args.bundle, texts)), named)
    report_none(deviations(embeddings, texts, np.zeros(len(names))), named)


if __name__ == "__main__":
    main()
