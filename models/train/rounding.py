"""Rounding to int8 that training can see: weights by rows, activations by tensor, with scales that are learnt."""
from __future__ import annotations

import torch
from torch import Tensor, nn

CODES = 255
SIX = 6 / CODES  # the scale beyond which a ReLU6 would no longer hold in the codes' range
SHRUNK = [1 - step / 40 for step in range(21)]
SAMPLE = 200_000


def straight_through(x: Tensor) -> Tensor:
    """Rounded, half to even; gradients pass as if it weren't."""
    return x + (x.round() - x).detach()


def row_scales(weight: Tensor) -> Tensor:
    """One for each output channel; codes reach ±127."""
    return weight.detach().flatten(1).abs().amax(1).clamp(min=1e-8) / 127


def rounded_rows(weight: Tensor) -> Tensor:
    scale = row_scales(weight).reshape(-1, *[1] * (weight.ndim - 1))
    return straight_through(weight / scale) * scale


class Rounder(nn.Module):
    """One tensor's u8 codes: value ≈ (code - zero) * scale."""

    def __init__(self, clipped: bool) -> None:
        """`clipped`: results of a ReLU6, whose codes begin at 0 and end at 6 at most."""
        super().__init__()
        self.clipped, self.watching = clipped, False
        self.log_scale = nn.Parameter(torch.tensor(SIX).log())
        self.register_buffer("zero", torch.zeros(()))
        self.samples: list[Tensor] = []

    def scale(self) -> Tensor:
        scale = self.log_scale.exp()
        return scale.clamp(max=SIX) if self.clipped else scale

    def forward(self, x: Tensor) -> Tensor:
        if self.watching:
            flat = x.detach().flatten()
            self.samples.append(flat[torch.randint(len(flat), (SAMPLE // 20,))])
            self.samples.append(torch.stack([flat.min(), flat.max()]))
            return x
        scale = self.scale()
        codes = straight_through((x / scale + self.zero).clamp(0, CODES))
        return (codes - self.zero) * scale

    def set_range(self, low: float, high: float) -> None:
        scale = max((high - low) / CODES, 1e-6)
        self.log_scale.data.fill_(scale).log_()
        self.zero.fill_(round(-low / scale))

    @torch.no_grad()
    def settle(self) -> None:
        """Takes, of the ranges from what was watched down to half of it, the one with the least squared error."""
        seen, self.samples, self.watching = torch.cat(self.samples), [], False
        low, high = (0.0, min(seen.max().item(), 6.0)) if self.clipped else (seen.min().item(), seen.max().item())
        found = []
        for share in SHRUNK:
            self.set_range(low * share, high * share)
            found.append(((self(seen) - seen).square().mean().item(), share))
        share = min(found)[1]
        self.set_range(low * share, high * share)
