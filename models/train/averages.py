"""Averages of weights: over the steps of one run, and over runs."""
from __future__ import annotations

import copy

import torch
from torch import nn

AVERAGE = 0.99


@torch.no_grad()
def average_into(averaged: nn.Module, model: nn.Module, step: int, most: float = AVERAGE) -> None:
    """BatchNorm's running statistics too, where there are some."""
    keep = min(most, (1 + step) / (10 + step))
    for mean, value in zip(averaged.state_dict().values(), model.state_dict().values()):
        mean.lerp_(value, 1 - keep) if mean.is_floating_point() else mean.copy_(value)


@torch.no_grad()
def mean_of(models: list[nn.Module]) -> nn.Module:
    """Runs from one start end near enough to each other that their weights can be averaged."""
    mean = copy.deepcopy(models[0])
    for values in zip(mean.parameters(), *(model.parameters() for model in models)):
        values[0].copy_(torch.stack(values[1:]).mean(0))
    return mean
