"""Checkpoints that are either whole or not there."""
from __future__ import annotations

from pathlib import Path

import torch


def save(content: dict, path: Path) -> None:
    part = path.with_suffix(".part")
    torch.save(content, part)
    part.replace(path)
