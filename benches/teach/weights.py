"""The weight of pictures that `coca teach` chooses, beside the best one on unseen pictures; formulas of `teach` in numpy.

    python weights.py COCA DATA [--draws 30] [--shots 1,2,4] [--train]

Draws are those of `caltech101.py --held-back`, or with `--train` those of `caltech101.py`: both must give the same accuracies.
"""

import argparse
import os
import subprocess
import tempfile

import numpy as np

from caltech101 import Draws

PRIOR_SHOTS, NAME_SHOTS, ONE_SHOT, LEAST_SCALE, TOLERANCE = 400.0, 1.0, 3.0, 0.02, 0.005
BACKGROUND, BACKGROUND_SHARE = os.path.join(os.path.dirname(__file__), "../../models/pocket/background.bin"), 0.75
WEIGHTS = np.r_[0, np.geomspace(0.01, 300, 80)]


def embed(coca, inputs):
    with tempfile.TemporaryDirectory() as root:
        out = os.path.join(root, "rows.npy")
        subprocess.run([coca, "embed", "--format", "npy", "-o", out, "--quiet", *inputs], check=True)
        return np.load(out).astype(float)


def accuracy(logits, labels):
    return (logits.argmax(1) == labels).mean()


def prior_covariance(width):
    """[E, E], of trace 1."""
    rows = np.fromfile(BACKGROUND, "<f2").reshape(-1, width).astype(float)
    mean, axes = rows[0], rows[1:]
    covariance = axes.T @ axes
    covariance += np.eye(width) * (1 - mean @ mean - np.trace(covariance)) / width
    return BACKGROUND_SHARE * covariance / np.trace(covariance) + (1 - BACKGROUND_SHARE) * np.eye(width) / width


def gaussian(x, y, texts, name_shots, prior):
    """(weights [labels, E], logits [n, labels] of left-out shots)"""
    count, (n, width) = np.bincount(y, minlength=len(texts)).astype(float), x.shape
    sums = np.zeros_like(texts)
    np.add.at(sums, y, x)
    anchors = texts + x.mean(0) - texts[y].mean(0)
    anchored = np.where(count == 0, NAME_SHOTS, name_shots)
    means = (sums + anchored[:, None] * anchors) / np.maximum(count + anchored, 1e-12)[:, None]
    own = sums / np.maximum(count, 1)[:, None]
    spread = x - own[y]
    q = np.linalg.inv(spread.T @ spread + PRIOR_SHOTS * prior)
    degrees = PRIOR_SHOTS + np.maximum(count - 1, 0).sum()
    weights = np.sqrt(degrees) * means @ q / np.sqrt(np.einsum("ij,ij->i", means @ q, means))[:, None]
    left_out = np.empty((n, len(texts)))
    for i in range(n):
        k, mean = y[i], means.copy()
        rest = count[k] - 1 + anchored[k]
        if rest > 0:
            mean[k] += (mean[k] - x[i]) / rest
        without = q
        if count[k] > 1:
            scale, qv = count[k] / (count[k] - 1), q @ spread[i]
            without = q + scale / (1 - scale * spread[i] @ qv) * np.outer(qv, qv)
        solved = mean @ without
        freedom = degrees - (count[k] > 1)
        left_out[i] = np.sqrt(freedom) * solved @ x[i] / np.sqrt(np.maximum(np.einsum("ij,ij->i", solved, mean), 1e-12))
        if rest <= 0:
            left_out[i, k] = -np.inf
    return weights, left_out


def loss(factors, logits, y, prior):
    """Negative log-likelihood with Platt's targets, gradient and second derivatives; logits [kinds, n, labels]."""
    n, doubt = len(y), 1 / (len(y) + 2)
    wanted = ((1 - doubt) * logits[:, np.arange(n), y] + doubt * logits.mean(2)).sum(1)
    total = np.tensordot(factors, logits, 1)
    largest = total.max(1, keepdims=True)
    share = np.exp(total - largest)
    sums = share.sum(1, keepdims=True)
    share /= sums
    mean = (share * logits).sum(2)
    square = np.einsum("nk,ank,bnk->abn", share, logits, logits) - mean[:, None] * mean[None]
    away = factors - 1
    value = (np.log(sums) + largest).sum() - factors @ wanted + prior * away @ away / 2
    return value, mean.sum(1) - wanted + prior * away, square.sum(2) + prior * np.eye(len(factors))


def likeliest(logits, y, prior):
    factors = np.ones(len(logits))
    value, gradient, curvature = loss(factors, logits, y, prior)
    for _ in range(60):
        step = np.linalg.solve(curvature + 1e-12 * np.trace(curvature) * np.eye(len(factors)), gradient)
        halves = (factors - 0.5**i * step for i in range(20))
        found = next((f for f in halves if loss(f, logits, y, prior)[0] <= value), None)
        if found is None:
            break
        before, factors = value, found
        value, gradient, curvature = loss(factors, logits, y, prior)
        if before - value < 1e-6:
            break
    return factors


def mix(names, pictures, y):
    """The weight of pictures beside names."""
    several = np.bincount(y)[y] > 1
    calibrated = lambda rows, y: likeliest(rows[None], y, 0.0)[0]  # noqa: E731
    if not several.any():
        return ONE_SHOT * ((1 - accuracy(names, y)) * len(y) + 1) / (len(y) + 2) * calibrated(pictures, y)
    rows, kept = pictures[several], y[several]
    unit = calibrated(rows, kept)
    of_names, of_pictures = likeliest(np.stack([names[several], unit * rows]), kept, 1.0)
    weight = first = max(of_pictures, 0) * unit / max(of_names, LEAST_SCALE)
    while weight > 1e-3 * first:
        if accuracy(names + weight * pictures, y) >= accuracy(names, y) - TOLERANCE:
            return weight
        weight *= 0.8
    return 0.0


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("coca")
    parser.add_argument("data")
    parser.add_argument("--draws", type=int, default=30)
    parser.add_argument("--first", type=int, default=0, help="the first draw's seed")
    parser.add_argument("--shots", default="1,2,4")
    parser.add_argument("--scale", type=float, default=36.9524, help="logit_scale of coca.json")
    parser.add_argument("--train", action="store_true")
    arguments = parser.parse_args()
    draws = Draws(arguments.data, not arguments.train)
    rows = embed(arguments.coca, [os.path.join(arguments.data, picture["file"]) for picture in draws.pictures])
    texts = embed(arguments.coca, [word for label in draws.labels for word in ("--text", f"a photo of a {label}.")])
    prior = prior_covariance(rows.shape[1])
    number = {picture["file"]: i for i, picture in enumerate(draws.pictures)}

    def arrays(pictures):
        found = rows[[number[picture["file"]] for picture in pictures]]
        return found, np.array([draws.labels.index(picture["label"]) for picture in pictures])

    for shots in map(int, arguments.shots.split(",")):
        chosen, curves = [], []
        for seed in range(arguments.first, arguments.first + arguments.draws):
            taught, unseen = draws.draw(seed, shots)
            (x, y), (new, right) = arrays(taught), arrays(unseen)
            weights, left_out = gaussian(x, y, texts, NAME_SHOTS, prior)
            names, pictures = arguments.scale * new @ texts.T, new @ weights.T
            weight = mix(arguments.scale * x @ texts.T, left_out, y)
            alone = accuracy(names, right)
            chosen.append((accuracy(names + weight * pictures, right), alone, weight))
            curves.append([accuracy(names + w * pictures, right) for w in WEIGHTS])
        (found, alone, weight), curve = np.mean(chosen, 0), np.mean(curves, 0)
        print(
            f"{shots} shots: {found:.4f}, names alone {alone:.4f}, the best weight for all draws {curve.max():.4f} "
            f"({WEIGHTS[curve.argmax()]:.2f}; chosen {weight:.2f}), for each draw {np.max(curves, 1).mean():.4f}; "
            f"draw {arguments.first}: {chosen[0][0]:.4f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
