"""Trains the concept head on mean features and middle moments, and again out-of-fold for the training photos.

Out-of-fold logits are what the decoder later sees for a training photo: honest about what the
head would say of a picture it has never met. Writes concepts.pt.
"""
from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from concepts import choose_concepts, mention_share
from data import load_pictures
from features import load_features, load_middle
from model import ConceptHead
from trunk import GRID_WIDTH

FOLDS = 5
HEADS = 2  # trained apart, averaged as one of twice the width
STEPS = 900
BATCH = 256
LEARNING_RATE = 1e-3
WEIGHT_DECAY = 0.3
VIEWS = ("whole", "flip", "crop1")
MIDDLE_SPREAD = 0.4  # about that of the mean features
KEPT_VIEWS = 2  # the views whose logits later stages read


def seen_features(work: Path, name: str) -> Tensor:
    """[pictures, views, 1280 + 384]"""
    views = VIEWS if name == "photos" else VIEWS[:KEPT_VIEWS]
    seen = [np.concatenate([load_features(work, name, v).mean(1, dtype=np.float32), load_middle(work, name, v)], 1) for v in views]
    return torch.from_numpy(np.stack(seen, 1))


def fit(features: Tensor, share: Tensor, captions: Tensor, seed: int) -> ConceptHead:
    """A head whose sigmoid is the share of captions that mention each word."""
    return averaged([fit_one(features, share, captions, HEADS * seed + i) for i in range(HEADS)])


@torch.no_grad()
def averaged(heads: list[ConceptHead]) -> ConceptHead:
    """One head whose logits are the mean of theirs."""
    first = heads[0]
    wide = ConceptHead(first.project.out_features, sum(head.expand.out_features for head in heads))
    wide.middle_shift, wide.middle_scale = first.middle_shift, first.middle_scale
    wide.expand.weight.copy_(torch.cat([head.expand.weight for head in heads]))
    wide.expand.bias.copy_(torch.cat([head.expand.bias for head in heads]))
    wide.project.weight.copy_(torch.cat([head.project.weight for head in heads], 1) / len(heads))
    wide.project.bias.copy_(torch.stack([head.project.bias for head in heads]).mean(0))
    return wide.eval()


def fit_one(features: Tensor, share: Tensor, captions: Tensor, seed: int) -> ConceptHead:
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    head = ConceptHead(share.shape[1])
    prior = (share * captions[:, None]).sum(0) / captions.sum()
    middle = features[:, 0, GRID_WIDTH:]
    head.middle_shift, head.middle_scale = middle.mean(0), MIDDLE_SPREAD / (middle.std(0) + 1e-6)
    with torch.no_grad():
        head.project.weight.mul_(0.3)
        head.project.bias.copy_(torch.logit(prior.clamp(1e-4, 0.999)))
    optimizer = torch.optim.AdamW(head.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY, fused=True)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, STEPS)
    weight = captions.sqrt() / captions.sqrt().mean()
    for _ in range(STEPS):
        rows = torch.randint(len(features), (BATCH,), generator=generator)
        views = torch.randint(features.shape[1], (BATCH,), generator=generator)
        logits = head(features[rows, views])
        loss = F.binary_cross_entropy_with_logits(logits, share[rows], reduction="none").sum(1)
        optimizer.zero_grad()
        (loss * weight[rows]).mean().backward()
        optimizer.step()
        schedule.step()
    return head.eval()


def average_precision(logits: Tensor, share: Tensor) -> float:
    """Mean over pictures; a word counts when any caption mentions it."""
    hit = (share.gather(1, logits.argsort(1, descending=True)) > 0).float()
    precision = hit.cumsum(1) / torch.arange(1, hit.shape[1] + 1)
    return ((precision * hit).sum(1) / hit.sum(1).clamp(min=1)).mean().item()


@torch.no_grad()
def out_of_fold(features: Tensor, share: Tensor, captions: Tensor) -> Tensor:
    """[photos, views, concepts]: each photo's logits by a head that was trained without it."""
    logits = torch.zeros(len(features), KEPT_VIEWS, share.shape[1])
    for fold in range(FOLDS):
        held = torch.arange(len(features)) % FOLDS == fold
        with torch.enable_grad():
            head = fit(features[~held], share[~held], captions[~held], seed=fold)
        logits[held] = head(features[held, :KEPT_VIEWS])
    return logits


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--everything", action="store_true", help="train on the choosing split too (the final run)")
    args = parser.parse_args()
    photos = load_pictures(args.data, "photos")
    concepts = choose_concepts(photos)
    share = torch.from_numpy(mention_share(photos, concepts))
    captions = torch.tensor([float(len(p.captions)) for p in photos])
    others = {name: seen_features(args.work, name) for name in ("caltech", "imagenet")}
    features = seen_features(args.work, "photos")
    train = torch.tensor([args.everything or p.split == "train" for p in photos])
    with torch.enable_grad():
        head = fit(features[train], share[train], captions[train], seed=FOLDS)
    logits = head(features[:, :KEPT_VIEWS])
    logits[train] = out_of_fold(features[train], share[train], captions[train])
    chosen = torch.tensor([p.split == "choose" for p in photos])
    print(f"{len(concepts)} concepts; average precision on the choosing split "
          f"{average_precision(logits[chosen, 0], share[chosen]):.4f}")
    torch.save({"concepts": concepts, "head": head.state_dict(), "photo_logits": logits,
                **{f"{name}_logits": head(seen) for name, seen in others.items()}},
               args.work / "concepts.pt")


if __name__ == "__main__":
    main()
