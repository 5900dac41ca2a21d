"""Trains the concept head on mean features, and again out-of-fold for the training photos.

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
from features import load_features
from model import ConceptHead

FOLDS = 5
STEPS = 600
BATCH = 256
LEARNING_RATE = 1e-3
WEIGHT_DECAY = 0.3
VIEWS = ("whole", "flip", "crop1")
KEPT_VIEWS = 2  # the views whose logits later stages read


def mean_features(work: Path, name: str) -> Tensor:
    """[pictures, views, 1280]"""
    views = {"photos": VIEWS, "val": VIEWS[:1]}.get(name, VIEWS[:KEPT_VIEWS])
    return torch.stack([torch.from_numpy(load_features(work, name, v).mean(1, dtype=np.float32)) for v in views], 1)


def fit(features: Tensor, share: Tensor, captions: Tensor, seed: int) -> ConceptHead:
    """A head whose sigmoid is the share of captions that mention each word."""
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    head = ConceptHead(share.shape[1])
    prior = (share * captions[:, None]).sum(0) / captions.sum()
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
    features = mean_features(args.work, "photos")
    train = torch.tensor([args.everything or p.split == "train" for p in photos])
    with torch.enable_grad():
        head = fit(features[train], share[train], captions[train], seed=FOLDS)
    logits = head(features[:, :KEPT_VIEWS])
    logits[train] = out_of_fold(features[train], share[train], captions[train])
    chosen = torch.tensor([p.split == "choose" for p in photos])
    print(f"{len(concepts)} concepts; average precision on the choosing split "
          f"{average_precision(logits[chosen, 0], share[chosen]):.4f}")
    torch.save({"concepts": concepts, "head": head.state_dict(), "photo_logits": logits,
                **{f"{name}_logits": head(mean_features(args.work, name)) for name in ("val", "caltech", "imagenet")}},
               args.work / "concepts.pt")


if __name__ == "__main__":
    main()
