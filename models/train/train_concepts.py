"""Trains the concept head on the finished trunk's features: from the head that trained the trunk, several times, averaged.

The trunk knows these photos, so a head learns to trust its features more than those of new ones deserve. Half of the average
is therefore a head of a third of the steps and with more dropout, for which the first head's belief counts like a caption more.
Writes concepts.pt.
"""
from __future__ import annotations

import argparse
import copy
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from averages import average_into, mean_of
from concepts import ROOMS_AND_FOOD, balance, mention_share, stems
from data import Picture, load_pictures
from features import load_features
from model import ConceptHead

STEPS, BATCH = 1200, 512
LEARNING_RATE, WEIGHT_DECAY = 5e-4, 0.1
DROPOUT, SOFT_DROPOUT = 0.3, 0.5
BELIEVED_AS_CAPTIONS = 1.0


class ConceptData:
    """Features of every photo, whole and mirrored, and what their captions mention."""

    def __init__(self, data: Path, work: Path, concepts: list[str], everything: bool) -> None:
        photos = load_pictures(data, "photos")
        share = mention_share(photos, concepts)
        rows = np.array([i for i, p in enumerate(photos) if everything or p.split == "train"])
        self.chance = balance([photos[i] for i in rows], share[rows])
        self.rows, self.share = torch.from_numpy(rows), torch.from_numpy(share)
        self.features = load_features(work, "photos")
        self.captions = torch.tensor([float(len(p.captions)) for p in photos])
        weight = self.captions.sqrt()
        self.weight = weight / weight[self.rows].mean()

    @torch.no_grad()
    def soften(self, head: ConceptHead) -> None:
        """Adds what `head` believes of each photo to what its captions mention: one caption leaves much out."""
        believed = torch.zeros_like(self.share)
        for view in self.features:
            for start in range(0, len(view), 4 * BATCH):
                seen = F.dropout(view[start:start + 4 * BATCH].float(), DROPOUT)
                believed[start:start + 4 * BATCH] += head(seen).sigmoid() / len(self.features)
        captions = self.captions[:, None]
        self.share = (captions * self.share + BELIEVED_AS_CAPTIONS * believed) / (captions + BELIEVED_AS_CAPTIONS)

    def draw(self, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """(features, shares of captions, weights)"""
        rows = self.rows[torch.from_numpy(rng.choice(len(self.rows), BATCH, p=self.chance / self.chance.sum()))]
        views = torch.from_numpy(rng.integers(len(self.features), size=BATCH))
        return self.features[views, rows].float(), self.share[rows], self.weight[rows]


def fit(start: ConceptHead, data: ConceptData, steps: int, seed: int, dropout: float = DROPOUT) -> ConceptHead:
    """A head whose sigmoid is the share of captions that mention each word: the average of its weights over the steps."""
    torch.manual_seed(seed)
    rng, head = np.random.default_rng(seed), copy.deepcopy(start).train()
    head.dropout.p = dropout
    averaged = copy.deepcopy(head)
    optimizer = torch.optim.AdamW(head.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=steps, pct_start=0.1)
    for step in range(steps):
        seen, share, weight = data.draw(rng)
        loss = F.binary_cross_entropy_with_logits(head(seen), share, reduction="none").sum(1)
        optimizer.zero_grad()
        (loss * weight).mean().backward()
        optimizer.step()
        schedule.step()
        average_into(averaged, head, step)
        if step % 250 == 249:
            print(f"seed {seed} step {step} loss {loss.mean().item():.3f}", flush=True)
    return averaged.eval()


def average_precision(logits: Tensor, share: Tensor) -> Tensor:
    """Of each picture; a word counts when any caption mentions it."""
    hit = (share.gather(1, logits.argsort(1, descending=True)) > 0).float()
    precision = hit.cumsum(1) / torch.arange(1, hit.shape[1] + 1)
    return (precision * hit).sum(1) / hit.sum(1).clamp(min=1)


def shows_room_or_food(picture: Picture) -> bool:
    return any(ROOMS_AND_FOOD & set(stems(caption)) for caption in picture.captions)


@torch.no_grad()
def report(head: ConceptHead, features: Tensor, pictures: list[Picture], concepts: list[str], name: str) -> None:
    """Average precision, and that of rooms and food by themselves."""
    found = average_precision(head(features.float()), torch.from_numpy(mention_share(pictures, concepts)))
    inside = torch.tensor([shows_room_or_food(p) for p in pictures])
    print(f"{name}: average precision {found.mean():.4f} of {len(pictures)}; "
          f"rooms and food {found[inside].mean():.4f} of {int(inside.sum())}", flush=True)


def report_all(head: ConceptHead, data: Path, work: Path, concepts: list[str]) -> None:
    photos, features = load_pictures(data, "photos"), load_features(work, "photos")[0]
    for split in ("choose", "flickr", "coco"):
        rows = [i for i, p in enumerate(photos) if p.split == split]
        report(head, features[rows], [photos[i] for i in rows], concepts, split)
    report(head, load_features(work, "val")[0], load_pictures(data, "val"), concepts, "val")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--everything", action="store_true", help="train on the choosing splits too")
    args = parser.parse_args()
    torch.set_num_threads(2)
    found = torch.load(args.work / "trunk.pt")
    concepts = found["concepts"]
    start = ConceptHead(len(concepts))
    start.load_state_dict({key.removeprefix("words."): value for key, value in found["heads"].items() if key.startswith("words.")})
    report_all(start.eval(), args.data, args.work, concepts)
    data = ConceptData(args.data, args.work, concepts, args.everything)
    hard = mean_of([fit(start, data, args.steps, seed) for seed in range(args.seeds)])
    torch.manual_seed(0)
    data.soften(copy.deepcopy(start).train())
    soft = fit(start, data, args.steps // 3, 0, SOFT_DROPOUT)
    head = mean_of([hard, soft])
    report_all(head, args.data, args.work, concepts)
    torch.save({"concepts": concepts, "head": head.state_dict()}, args.work / "concepts.pt")


if __name__ == "__main__":
    main()
