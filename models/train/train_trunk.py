"""Trains the trunk's last stages on what captions mention, with BatchNorm in place; the first ones stay as they are.

The concept head is the main loss; COCO's marked objects, Caltech's and ImageNet's classes keep the trunk from forgetting
what captions rarely name. Every batch is a function of its step's number, so training goes on from `trunk-run.pt` as if
it had never stopped. Writes trunk.pt: averaged weights, the norms settled on whole pictures, BatchNorm folded.
"""
from __future__ import annotations

import argparse
import copy
import math
import time
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from averages import average_into
from checkpoints import save
from concepts import balance, choose_concepts, mention_share
from data import load_pictures
from losses import shown
from model import ConceptHead, moments
from names import unique
from pixels import Pixels
from precision import autocast
from trunk import GRID_WIDTH, MIDDLE_BLOCK, EfficientNetLite0, convolutions, folded, load_normed
from views import random_views, whole_views

FROZEN_BLOCKS = 5  # what comes before sees edges and textures, and takes most of the time
PHOTOS, CALTECH, IMAGENET = 54, 6, 4  # of one batch
HIDDEN, DROPOUT = 1024, 0.3
TRUNK_RATE, HEAD_RATE, WEIGHT_DECAY = 2e-4, 4e-4, 0.05
AVERAGE = 0.997
WEIGHTS = {"words": 1.0, "objects": 0.5, "caltech": 1.0, "imagenet": 0.5}
SIDES = ((0.8, 160), (1.0, 224))  # up to which share of the schedule
WARM_BATCHES, WARM_STEPS, WARM_BATCH = 160, 120, 256  # three epochs: at twelve, heads knew these photos by heart
WARM_FIRST = 10**6  # the number of a batch that training won't reach
SETTLE_BATCHES = 40
SAVE_SECONDS = 120


class Heads(nn.Module):
    """Everything that reads the trunk's features in this step."""

    def __init__(self, concepts: int, objects: int, caltech: int, classifier: nn.Linear) -> None:
        super().__init__()
        self.words = ConceptHead(concepts, HIDDEN, DROPOUT)
        self.objects, self.caltech = nn.Linear(GRID_WIDTH, objects), nn.Linear(GRID_WIDTH, caltech)
        self.imagenet = copy.deepcopy(classifier)


class Trainee(nn.Module):
    """Trunk and heads. The first stages are folded; they run apart, so that nothing is kept for their gradients."""

    def __init__(self, trunk: EfficientNetLite0, heads: Heads) -> None:
        super().__init__()
        first = folded(trunk).requires_grad_(False)
        self.first = nn.Sequential(first.stem, *first.blocks[:FROZEN_BLOCKS])
        self.blocks, self.last, self.heads = trunk.blocks[FROZEN_BLOCKS:], trunk.head, heads
        self.run_first, self.run_second = self.first.forward, self.second_half

    def whole(self) -> EfficientNetLite0:
        """The trunk with every BatchNorm folded."""
        trunk = EfficientNetLite0()
        sources = [conv for part in (self.first, self.blocks, self.last) for conv in convolutions(part)]
        for conv, source in zip(convolutions(trunk), sources):
            if source.norm is None:
                conv.load_state_dict(source.state_dict())
            else:
                conv.take_folded(source)
        return trunk.eval()

    def second_half(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean feature [N, 1280] and middle moments [N, 384]."""
        for index, block in enumerate(self.blocks, FROZEN_BLOCKS):
            x = block(x)
            if index == MIDDLE_BLOCK:
                middle = moments(x.float())
        return self.last(x).float().mean((2, 3)), middle

    def compiled(self) -> Trainee:
        # Compiled for each size by itself: with sizes left open, the second one takes ten minutes to compile.
        self.run_first = torch.compile(self.first.forward, dynamic=False)
        self.run_second = torch.compile(self.second_half, dynamic=False)
        return self

    def forward(self, x: Tensor) -> Tensor:
        """What the heads read: [N, 1280 + 384]."""
        with autocast():
            with torch.no_grad():
                x = self.run_first(x)
            return torch.cat(self.run_second(x), 1)


class TrunkData:
    """Batches by number, and what is known about their pictures."""

    def __init__(self, data: Path, work: Path, everything: bool) -> None:
        photos, caltech, imagenet = (load_pictures(data, name) for name in ("photos", "caltech", "imagenet"))
        train = [p for p in photos if p.split == "train"]
        self.concepts = choose_concepts(train)
        self.rows = np.array([i for i, p in enumerate(photos) if everything or p.split == "train"])
        share = mention_share(photos, self.concepts)
        self.weight = balance([photos[i] for i in self.rows], share[self.rows])
        self.share = torch.from_numpy(share)
        self.captions = torch.tensor([len(p.captions) ** 0.5 for p in photos])
        self.captions /= self.captions[torch.from_numpy(self.rows)].mean()
        objects = sorted({name for p in photos for name in p.objects or []})
        self.object_names = objects
        self.marked = torch.tensor([p.objects is not None for p in photos])
        self.objects = torch.tensor([[float(name in (p.objects or [])) for name in objects] for p in photos])
        self.caltech_names = unique(sorted(p.label for p in caltech))
        self.caltech_rows = [i for i, p in enumerate(caltech) if p.split == "train" or (everything and p.split == "choose")]
        self.caltech_label = torch.tensor([self.caltech_names.index(p.label) for p in caltech])
        self.imagenet_rows = list(range(len(imagenet)))
        self.pixels = {name: Pixels(work, name) for name in ("photos", "caltech", "imagenet")}

    @lru_cache(maxsize=2)
    def order(self, epoch: int) -> np.ndarray:
        """Each photo as often as its weight says, on average, shuffled."""
        rng = np.random.default_rng([1, epoch])
        rows = np.repeat(self.rows, np.floor(self.weight + rng.random(len(self.rows))).astype(int))
        return rng.permutation(rows)

    def photos_of(self, step: int) -> list[int]:
        """The photos of a step, epoch after epoch; epochs are taken as equally long, their rests are left out."""
        steps = int(len(self.rows) * 0.99) // PHOTOS
        start = step % steps * PHOTOS
        return self.order(step // steps)[start:start + PHOTOS].tolist()

    def batch(self, step: int, side: int) -> tuple[Tensor, dict[str, Tensor]]:
        """Pixels, and the row numbers of each set."""
        rng = np.random.default_rng([2, step])
        rows = {"photos": self.photos_of(step), "caltech": rng.choice(self.caltech_rows, CALTECH).tolist(),
                "imagenet": rng.choice(self.imagenet_rows, IMAGENET).tolist()}
        drawn = [(self.pixels[name], row) for name, of_set in rows.items() for row in of_set]
        return random_views(drawn, side, rng), {name: torch.tensor(of_set) for name, of_set in rows.items()}

    def losses(self, heads: Heads, seen: Tensor, rows: dict[str, Tensor]) -> dict[str, Tensor]:
        photos, caltech, imagenet = seen.split([len(of_set) for of_set in rows.values()])
        chosen, marked = rows["photos"], self.marked[rows["photos"]].float()
        words = F.binary_cross_entropy_with_logits(heads.words(photos), self.share[chosen], reduction="none").sum(1)
        objects = F.binary_cross_entropy_with_logits(
            heads.objects(photos[:, :GRID_WIDTH]), self.objects[chosen], reduction="none").sum(1)
        return {"words": (words * self.captions[chosen]).mean(),
                "objects": (objects * marked).mean(),
                "caltech": F.cross_entropy(heads.caltech(caltech[:, :GRID_WIDTH]), self.caltech_label[rows["caltech"]]),
                "imagenet": F.cross_entropy(heads.imagenet(imagenet[:, :GRID_WIDTH]), rows["imagenet"])}


def side_at(progress: float) -> int:
    return next(side for until, side in SIDES if progress < until or until == 1.0)


def warm_heads(model: Trainee, data: TrunkData) -> None:
    """Heads first learn on the features as they are, or their first gradients would spoil the trunk."""
    rows: dict[str, list[Tensor]] = {"photos": [], "caltech": [], "imagenet": []}
    seen: dict[str, list[Tensor]] = {name: [] for name in rows}
    with torch.no_grad():
        for step in range(WARM_BATCHES):
            pixels, of_sets = data.batch(WARM_FIRST + step, SIDES[0][1])
            for (name, of_set), features in zip(of_sets.items(), model(pixels).split([PHOTOS, CALTECH, IMAGENET])):
                rows[name].append(of_set)
                seen[name].append(features)
    rows_of, seen_of = ({name: torch.cat(parts) for name, parts in found.items()} for found in (rows, seen))
    model.heads.words.prepare(seen_of["photos"], data.share[rows_of["photos"]].mean(0))
    optimizer = torch.optim.AdamW(model.heads.parameters(), lr=1e-3, weight_decay=0.1)
    for step in range(WARM_STEPS):
        picks = {name: torch.randint(len(rows_of[name]), (WARM_BATCH // (1 if name == "photos" else 4),)) for name in rows}
        losses = data.losses(model.heads, torch.cat([seen_of[name][p] for name, p in picks.items()]),
                             {name: rows_of[name][p] for name, p in picks.items()})
        optimizer.zero_grad()
        sum(WEIGHTS[key] * loss for key, loss in losses.items()).backward()
        optimizer.step()
        if step % 20 == 0:
            print(f"heads, step {step} " + shown(losses), flush=True)


@torch.no_grad()
def settle_norms(model: Trainee, data: TrunkData) -> None:
    """Statistics of whole pictures at the size that the product uses, for the averaged weights."""
    norms = [module for module in model.train().modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain mean over all batches
    rows = np.random.default_rng(3).choice(data.rows, (SETTLE_BATCHES, 64), p=data.weight / data.weight.sum())
    for batch in rows:
        model(whole_views([(data.pixels["photos"], row) for row in batch]))
    model.eval()


class Run:
    """Model, averaged weights and optimizer, and how far they are."""

    def __init__(self, data: TrunkData, path: Path) -> None:
        trunk, classifier = load_normed()
        heads = Heads(len(data.concepts), len(data.object_names), len(data.caltech_names), classifier)
        self.data, self.path, self.step, self.seconds = data, path, 0, 0.0
        self.model = Trainee(trunk, heads).to(memory_format=torch.channels_last).train()
        self.averaged = copy.deepcopy(self.model)
        self.model.compiled()
        of_trunk = [*self.model.blocks.parameters(), *self.model.last.parameters()]
        decayed, plain = [p for p in of_trunk if p.ndim > 1], [p for p in of_trunk if p.ndim == 1]
        self.optimizer = torch.optim.AdamW([{"params": decayed, "rate": TRUNK_RATE},
                                            {"params": plain, "rate": TRUNK_RATE, "weight_decay": 0.0},
                                            {"params": heads.parameters(), "rate": HEAD_RATE}], weight_decay=WEIGHT_DECAY, fused=True)

    def start(self) -> None:
        if self.path.exists():
            saved = torch.load(self.path)
            for name in ("model", "averaged", "optimizer"):
                getattr(self, name).load_state_dict(saved[name])
            self.step, self.seconds = saved["step"], saved["seconds"]
            print(f"goes on at step {self.step}, after {self.seconds:.0f} s", flush=True)
        else:
            torch.manual_seed(0)
            warm_heads(self.model, self.data)
            self.averaged.load_state_dict(self.model.state_dict())

    def save(self) -> None:
        save({"step": self.step, "seconds": self.seconds, "concepts": self.data.concepts,
              **{name: getattr(self, name).state_dict() for name in ("model", "averaged", "optimizer")}}, self.path)

    def learn(self, pixels: Tensor, rows: dict[str, Tensor], factor: float) -> dict[str, Tensor]:
        losses = self.data.losses(self.model.heads, self.model(pixels), rows)
        for group in self.optimizer.param_groups:
            group["lr"] = factor * group["rate"]
        self.optimizer.zero_grad()
        sum(WEIGHTS[key] * loss for key, loss in losses.items()).backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 20.0)
        self.optimizer.step()
        average_into(self.averaged, self.model, self.step, AVERAGE)
        return losses


def train(run: Run, steps: int, warm_up: int, seconds: float) -> None:
    """Until `steps`, or until `seconds` are used up: the schedule follows whichever is nearer to its end."""
    started, saved, means = time.time() - run.seconds, time.time(), {}
    with ThreadPoolExecutor(1) as ahead:
        progress = max(run.step / steps, run.seconds / seconds)
        drawn = ahead.submit(run.data.batch, run.step, side_at(progress))
        while progress < 1:
            pixels, rows = drawn.result()
            drawn = ahead.submit(run.data.batch, run.step + 1, side_at(progress))
            torch.manual_seed(run.step)
            losses = run.learn(pixels, rows, min((run.step + 1) / warm_up, 1) * 0.5 * (1 + math.cos(math.pi * progress)))
            run.step, run.seconds = run.step + 1, time.time() - started
            means = {key: means.get(key, loss.detach()) * 0.98 + 0.02 * loss.detach() for key, loss in losses.items()}
            progress = max(run.step / steps, run.seconds / seconds)
            if run.step % 20 == 0:
                print(f"step {run.step} {shown(means)} at {pixels.shape[2]}: {progress:.1%}, {run.seconds:.0f} s", flush=True)
            if time.time() - saved > SAVE_SECONDS or progress >= 1:
                run.save()
                saved = time.time()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=17000)
    parser.add_argument("--minutes", type=float, default=1e6, help="end the schedule by then, however few steps were made")
    parser.add_argument("--warm-up", type=int, default=150)
    parser.add_argument("--everything", action="store_true", help="train on the choosing splits too")
    args = parser.parse_args()
    torch.set_num_threads(2)
    data = TrunkData(args.data, args.work, args.everything)
    run = Run(data, args.work / "trunk-run.pt")
    run.start()
    train(run, args.steps, args.warm_up, 60 * args.minutes)
    settle_norms(run.averaged, data)
    save({"trunk": run.averaged.whole().state_dict(), "concepts": data.concepts,
          "heads": run.averaged.heads.state_dict()}, args.work / "trunk.pt")


if __name__ == "__main__":
    main()
