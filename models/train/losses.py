"""What several steps minimise, and how their rates fall."""
from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from tokenizer import PAD

LABEL_SMOOTHING = 0.05
WARM_UP = 60


def caption_loss(logits: Tensor, ids: Tensor) -> Tensor:
    """Next-token cross-entropy; ids [N, L] with marks, logits for all but the last position."""
    return F.cross_entropy(logits.flatten(0, 1).float(), ids[:, 1:].flatten(),
                           ignore_index=PAD, label_smoothing=LABEL_SMOOTHING)


def contrastive_loss(scale: Tensor, image: Tensor, text: Tensor) -> Tensor:
    """Symmetric cross-entropy over the batch's pairs; both sides normalised."""
    logits = scale * image.float() @ text.float().T
    target = torch.arange(len(logits))
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2


def class_loss(scale: Tensor, rows: Tensor, classes: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy of normalised rows against normalised classes; the target is a number or a distribution for each row."""
    return F.cross_entropy(scale * rows.float() @ classes.float().T, target)


def linear_schedule(optimizer: torch.optim.Optimizer, steps: int) -> torch.optim.lr_scheduler.LambdaLR:
    return torch.optim.lr_scheduler.LambdaLR(optimizer, lambda s: min((s + 1) / WARM_UP, 1 - s / steps))


def shown(losses: dict[str, Tensor]) -> str:
    return " ".join(f"{key} {loss.item():.3f}" for key, loss in losses.items())
