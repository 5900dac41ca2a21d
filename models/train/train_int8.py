"""Teaches the trunk the rounding that it will run with: int8 weights by channel, u8 activations by tensor.

The folded trunk is its own teacher: features and what the concept head makes of them stay as they were. Scales are learnt,
and stay put for the last third. Goes on from int8-run.pt; writes int8.pt, the trunk with its scales.
"""
from __future__ import annotations

import argparse
import copy
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from averages import average_into
from checkpoints import save
from data import load_pictures
from features import load_trunk, seen
from model import ConceptHead
from pixels import Pixels
from rounding import Rounder
from trunk import EfficientNetLite0, convolutions
from views import whole_views

BATCH, CALIBRATION_BATCHES = 32, 12
WEIGHT_RATE, SCALE_RATE = 1e-5, 1e-2
AVERAGE = 0.98
SCALES_UNTIL = 2 / 3
SETS = ("photos", "caltech", "imagenet")
SAVE_STEPS = 25


def with_rounders(trunk: EfficientNetLite0) -> EfficientNetLite0:
    for conv in convolutions(trunk):
        conv.rounded = Rounder(clipped=conv.activate)
    for block in trunk.blocks:
        if block.residual:
            block.rounded = Rounder(clipped=False)
    trunk.rounded = Rounder(clipped=False)
    trunk.rounded.set_range(-1, 128 / 127)  # 0 is among the codes, and no value of a pixel lies half-way between two
    trunk.rounded.requires_grad_(False)
    return trunk


def rounders(trunk: EfficientNetLite0) -> list[Rounder]:
    return [module for module in trunk.modules() if isinstance(module, Rounder) and module.log_scale.requires_grad]


class Pictures:
    """Batches of whole pictures and their mirror images, by the step's number."""

    def __init__(self, data: Path, work: Path) -> None:
        self.pixels = {name: Pixels(work, name) for name in SETS}
        pictures = [(name, i) for name in SETS for i, p in enumerate(load_pictures(data, name)) if p.split == "train"]
        self.rows = np.random.default_rng(4).permutation(len(pictures))
        self.pictures = pictures

    def batch(self, step: int) -> Tensor:
        chosen = [self.pictures[self.rows[i % len(self.rows)]] for i in range(step * BATCH, (step + 1) * BATCH)]
        return whole_views([(self.pixels[name], row) for name, row in chosen], step % 2 == 1)


@torch.no_grad()
def calibrate(trunk: EfficientNetLite0, pictures: Pictures) -> None:
    for rounder in rounders(trunk):
        rounder.watching = True
    for step in range(CALIBRATION_BATCHES):
        trunk(pictures.batch(-1 - step))
    for rounder in rounders(trunk):
        rounder.settle()


def distance(head: ConceptHead, student: Tensor, teacher: Tensor) -> Tensor:
    """Of what the head reads, in units of its spread, and of what the head says."""
    spread = teacher.std(0) + 0.1 * teacher.std()
    said = head(teacher).sigmoid()
    differs = F.binary_cross_entropy_with_logits(head(student), said, reduction="none")
    surprise = F.binary_cross_entropy(said, said, reduction="none")
    return ((student - teacher) / spread).square().mean() + 0.1 * (differs - surprise).sum(1).mean()


class Run:
    def __init__(self, teacher: EfficientNetLite0, head: ConceptHead, pictures: Pictures, path: Path) -> None:
        self.teacher, self.head, self.pictures, self.path, self.step = teacher, head, pictures, path, 0
        self.student = with_rounders(copy.deepcopy(teacher).requires_grad_(True)).to(memory_format=torch.channels_last)
        if not path.exists():
            calibrate(self.student, pictures)
        self.averaged = copy.deepcopy(self.student)
        self.run_student = torch.compile(self.student, dynamic=False)
        scales = [rounder.log_scale for rounder in rounders(self.student)]
        weights = [p for conv in convolutions(self.student) for p in (conv.weight, conv.bias)]
        self.optimizer = torch.optim.Adam([{"params": weights, "rate": WEIGHT_RATE}, {"params": scales, "rate": SCALE_RATE}])
        if path.exists():
            saved = torch.load(path)
            for name in ("student", "averaged", "optimizer"):
                getattr(self, name).load_state_dict(saved[name])
            self.step = saved["step"]

    def save(self) -> None:
        save({"step": self.step, **{name: getattr(self, name).state_dict() for name in ("student", "averaged", "optimizer")}}, self.path)

    def learn(self, progress: float) -> float:
        pixels = self.pictures.batch(self.step)
        with torch.no_grad():
            teacher = seen(self.teacher, pixels)
        loss = distance(self.head, seen(self.run_student, pixels), teacher)
        weights, scales = self.optimizer.param_groups
        weights["lr"] = weights["rate"] * (1 - progress)
        scales["lr"] = scales["rate"] * max(0.0, 1 - progress / SCALES_UNTIL)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        average_into(self.averaged, self.student, self.step, AVERAGE)
        self.step += 1
        return loss.item()


@torch.no_grad()
def compare(teacher: nn.Module, student: nn.Module, head: ConceptHead, pictures: Pictures) -> str:
    pixels = torch.cat([pictures.batch(-20 - step) for step in range(4)])
    expected, got = seen(teacher, pixels), seen(student, pixels)
    mean, spread = expected.mean(0), expected.std(0) + 1e-6
    cosine = F.cosine_similarity((got - mean) / spread, (expected - mean) / spread).mean()
    noise = (got - expected).square().sum() / (expected - mean).square().sum()
    return f"distance {distance(head, got, expected).item():.4f}, cosine {cosine:.4f}, signal {-10 * noise.log10():.1f} dB above noise"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=500)
    args = parser.parse_args()
    torch.set_num_threads(2)
    torch.manual_seed(0)
    found = torch.load(args.work / "concepts.pt")
    head = ConceptHead(len(found["concepts"])).eval().requires_grad_(False)
    head.load_state_dict(found["head"])
    teacher = load_trunk(args.work / "trunk.pt").to(memory_format=torch.channels_last).requires_grad_(False)
    run = Run(teacher, head, Pictures(args.data, args.work), args.work / "int8-run.pt")
    run.student.train()
    print("before: " + compare(teacher, run.averaged, head, run.pictures), flush=True)
    started = time.time()
    while run.step < args.steps:
        loss = run.learn(run.step / args.steps)
        if run.step % SAVE_STEPS == 0 or run.step == args.steps:
            print(f"step {run.step} distance {loss:.4f} {time.time() - started:.0f} s", flush=True)
            run.save()
    print("after: " + compare(teacher, run.averaged, head, run.pictures), flush=True)
    save({"trunk": run.averaged.state_dict()}, args.work / "int8.pt")


if __name__ == "__main__":
    main()
