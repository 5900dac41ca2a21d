"""bf16 where the processor multiplies it: elsewhere it is emulated, and slower than f32."""
from __future__ import annotations

import torch


def autocast(enabled: bool = True) -> torch.autocast:
    return torch.autocast("cpu", torch.bfloat16, enabled=enabled and torch.cpu._is_avx512_bf16_supported())
