"""Pictures to ask other programs about, and their answers in files that differ only where a number does."""

import json
import math
import os

import torch


def pictures(count, height, width):
    """Bytes of noise by a formula that every language computes alike: f32 [count, 3, height, width], 0 to 255."""
    i = torch.arange(1, height * width * 3 + 1, dtype=torch.float64)
    golden = (1 + math.sqrt(5)) / 2
    rows = [torch.floor(256 * torch.frac(i * (p + 1) * golden)) for p in range(count)]
    return torch.stack(rows).float().reshape(count, height, width, 3).permute(0, 3, 1, 2)


def rounded(value):
    """Every number to seven digits."""
    if isinstance(value, float):
        return float(f"{value:.7g}")
    if isinstance(value, list):
        return [rounded(v) for v in value]
    if isinstance(value, dict):
        return {k: rounded(v) for k, v in value.items()}
    return value


def write_json(folder, name, value, indent=None):
    with open(os.path.join(folder, name), "w") as f:
        json.dump(value, f, indent=indent)
        f.write("\n")


def write_answers(folder, value, name="answers.json"):
    write_json(folder, name, rounded(value))
