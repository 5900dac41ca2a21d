"""Captions drawn from the decoder's own distribution, many at once, with a KV cache."""
from __future__ import annotations

import torch
from torch import Tensor

from model import CoCa, SelfBlock
from tokenizer import END, PAD, START


class Past:
    """Keys and values of one block's tokens so far: [N, L, D] each."""

    def __init__(self) -> None:
        self.key: Tensor | None = None
        self.value: Tensor | None = None

    def attend(self, block: SelfBlock, x: Tensor) -> Tensor:
        """Self-attention of the newest token [N, 1, D] over itself and those before it."""
        h = block.norm_1(x)
        key, value = block.attention.key(h), block.attention.value(h)
        self.key = key if self.key is None else torch.cat([self.key, key], 1)
        self.value = value if self.value is None else torch.cat([self.value, value], 1)
        return x + block.attention(h, self.key, self.value)

    def keep(self, rows: Tensor) -> None:
        self.key, self.value = self.key[rows], self.value[rows]


class Drawing:
    """The captions that have not ended yet: their numbers, their newest tokens and what came before them."""

    def __init__(self, model: CoCa, image_tokens: Tensor) -> None:
        self.model, self.rows, self.position = model, torch.arange(len(image_tokens)), 0
        self.newest = torch.full((len(image_tokens),), START)
        self.cross = model.cross_kv(image_tokens)
        self.unimodal, self.multimodal = [Past() for _ in model.unimodal], [Past() for _ in model.multimodal]

    def logits(self) -> Tensor:
        """Of the next tokens: [live, V]."""
        model = self.model
        x = model.token_embedding(self.newest[:, None]) * model.config.width ** 0.5 + model.position[self.position]
        for block, past in zip(model.unimodal, self.unimodal):
            x = past.attend(block, x)
            x = x + block.feed_forward(block.norm_2(x))
        for block, past, cross in zip(model.multimodal, self.multimodal, self.cross):
            x = past.attend(block, x)
            x = x + block.cross(block.norm_cross(x), *cross)
            x = x + block.feed_forward(block.norm_2(x))
        return (model.norm_final(x[:, 0]) @ model.token_embedding.weight.T).float()

    def advance(self) -> None:
        """Draws the next tokens."""
        logits = self.logits()
        logits[:, [PAD, START]] = -torch.inf
        self.newest = torch.multinomial(logits.softmax(-1), 1)[:, 0]
        self.position += 1

    def forget_ended(self) -> None:
        live = (self.newest != END).nonzero()[:, 0]
        self.rows, self.newest = self.rows[live], self.newest[live]
        self.cross = [(key[live], value[live]) for key, value in self.cross]
        for past in (*self.unimodal, *self.multimodal):
            past.keep(live)


@torch.no_grad()
def sample(model: CoCa, image_tokens: Tensor, max_tokens: int) -> Tensor:
    """Image tokens [N, T, D] → ids [N, L]: the start mark, at most `max_tokens` - 1 more, padded behind the end mark."""
    ids = torch.full((len(image_tokens), max_tokens), PAD)
    ids[:, 0] = START
    drawing = Drawing(model, image_tokens)
    while len(drawing.rows) and drawing.position + 1 < max_tokens:
        drawing.advance()
        ids[drawing.rows, drawing.position] = drawing.newest
        drawing.forget_ended()
    return ids[:, :drawing.position + 1]
