"""A small CoCa over what a convolutional trunk sees.

image: mean feature and middle moments [N, 1280 + 384] → one contrastive embedding [N, E], and caption tokens
[N, T, D], which are the embedded concept words of the concept head.
text: causal unimodal layers; the row of the end mark gives the text embedding.
caption: multimodal layers that cross-attend to the caption tokens and predict the next token.
"""
from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tokenizer import END
from trunk import GRID_WIDTH, MIDDLE_WIDTH

MASKED = -1e9
VARIANCE_EPS = 1e-6
SEEN_WIDTH = GRID_WIDTH + 2 * MIDDLE_WIDTH
MIDDLE_SPREAD = 0.4  # about that of the mean features


@dataclass(frozen=True)
class Config:
    vocabulary: int
    concepts: int
    embedding: int = 256
    width: int = 256
    heads: int = 4
    feed_forward: int = 768
    concept_tokens: int = 12
    concept_hidden: int = 1024
    embedding_hidden: int = 512
    unimodal_layers: int = 2
    multimodal_layers: int = 2
    context_length: int = 32
    dropout: float = 0.1


class Attention(nn.Module):
    """Multi-head attention over keys and values that the caller has projected."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.heads = config.heads
        self.query, self.key, self.value, self.out = (nn.Linear(config.width, config.width) for _ in range(4))

    def split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(-3, -2)

    def forward(self, x: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None) -> Tensor:
        query = self.split(self.query(x))
        y = F.scaled_dot_product_attention(query, self.split(key), self.split(value), attn_mask=mask)
        return self.out(y.transpose(-3, -2).flatten(-2))


class FeedForward(nn.Module):
    def __init__(self, config: Config) -> None:
        super().__init__()
        self.expand = nn.Linear(config.width, config.feed_forward)
        self.project = nn.Linear(config.feed_forward, config.width)

    def forward(self, x: Tensor) -> Tensor:
        return self.project(F.gelu(self.expand(x)))


class SelfBlock(nn.Module):
    """Pre-norm self-attention and feed-forward."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.norm_1, self.norm_2 = nn.LayerNorm(config.width), nn.LayerNorm(config.width)
        self.attention, self.feed_forward = Attention(config), FeedForward(config)
        self.dropout = nn.Dropout(config.dropout)

    def attend(self, x: Tensor, mask: Tensor | None) -> Tensor:
        h = self.norm_1(x)
        h = self.attention(h, self.attention.key(h), self.attention.value(h), mask)
        return x + self.dropout(h)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        x = self.attend(x, mask)
        return x + self.dropout(self.feed_forward(self.norm_2(x)))


class CrossBlock(SelfBlock):
    """Self-attention, cross-attention to the image's caption tokens, feed-forward."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.norm_cross, self.norm_image = nn.LayerNorm(config.width), nn.LayerNorm(config.width)
        self.cross = Attention(config)

    def cross_kv(self, image_tokens: Tensor) -> tuple[Tensor, Tensor]:
        h = self.norm_image(image_tokens)
        return self.cross.key(h), self.cross.value(h)

    def forward(self, x: Tensor, mask: Tensor | None, cross: tuple[Tensor, Tensor]) -> Tensor:
        x = self.attend(x, mask)
        x = x + self.dropout(self.cross(self.norm_cross(x), *cross))
        return x + self.dropout(self.feed_forward(self.norm_2(x)))


def moments(middle: Tensor) -> Tensor:
    """Mean and standard deviation of each channel over the cells: [N, C, H, W] → [N, 2 C]."""
    cells = middle.flatten(2)
    return torch.cat([cells.mean(2), (cells.var(2, unbiased=False) + VARIANCE_EPS).sqrt()], 1)


class ConceptHead(nn.Module):
    """What the trunk sees [N, 1280 + 384] → one logit for each concept word: does a caption mention it?"""

    def __init__(self, concepts: int, hidden: int = 1024, dropout: float = 0.3) -> None:
        super().__init__()
        self.register_buffer("middle_shift", torch.zeros(2 * MIDDLE_WIDTH))
        self.register_buffer("middle_scale", torch.ones(2 * MIDDLE_WIDTH))
        self.expand, self.project = nn.Linear(SEEN_WIDTH, hidden), nn.Linear(hidden, concepts)
        self.dropout = nn.Dropout(dropout)

    @torch.no_grad()
    def prepare(self, seen: Tensor, prior: Tensor) -> None:
        """Middle moments become about as wide as mean features, and the biases start at the words' frequencies."""
        middle = seen[:, GRID_WIDTH:]
        self.middle_shift, self.middle_scale = middle.mean(0), MIDDLE_SPREAD / (middle.std(0) + 1e-6)
        self.project.weight.mul_(0.3)
        self.project.bias.copy_(torch.logit(prior.clamp(1e-4, 0.999)))

    def levelled(self, seen: Tensor) -> Tensor:
        mean, middle = seen.split([GRID_WIDTH, 2 * MIDDLE_WIDTH], -1)
        return torch.cat([mean, (middle - self.middle_shift) * self.middle_scale], -1)

    def forward(self, seen: Tensor) -> Tensor:
        return self.read(self.levelled(seen))

    def read(self, levelled: Tensor) -> Tensor:
        return self.project(self.dropout(F.gelu(self.expand(self.dropout(levelled)))))


class ImageHead(nn.Module):
    """What the trunk sees and concept probabilities → image embedding (not normalised) and caption tokens."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.concept_tokens = config.concept_tokens
        self.expand = nn.Linear(SEEN_WIDTH, config.embedding_hidden)
        self.hidden_embedding = nn.Linear(config.embedding_hidden, config.embedding, bias=False)
        self.mean_embedding = nn.Linear(GRID_WIDTH, config.embedding, bias=False)
        self.concept_embedding = nn.Linear(config.concepts, config.embedding, bias=False)
        self.concept_words = nn.Embedding(config.concepts, config.width)
        self.concept_score = nn.Linear(1, config.width)
        self.dropout = nn.Dropout(config.dropout)
        nn.init.normal_(self.concept_words.weight, std=0.5)
        nn.init.normal_(self.concept_embedding.weight, std=0.1)

    def embed_concepts(self, probability: Tensor) -> Tensor:
        """The picture's most probable concept words as tokens [N, concept_tokens, D]."""
        score, index = probability.topk(self.concept_tokens, dim=-1)
        return self.concept_words(index) + self.concept_score(score[..., None])

    def embed(self, levelled: Tensor, probability: Tensor) -> Tensor:
        """Image embedding (not normalised)."""
        hidden = self.dropout(F.gelu(self.expand(levelled)))
        return (self.hidden_embedding(hidden) + self.mean_embedding(levelled[..., :GRID_WIDTH])
                + self.concept_embedding(probability))


class TextHead(nn.Module):
    """The row of the end mark → text embedding (not normalised)."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(config.width)
        self.expand = nn.Linear(config.width, config.embedding_hidden)
        self.hidden_embedding = nn.Linear(config.embedding_hidden, config.embedding, bias=False)
        self.embedding = nn.Linear(config.width, config.embedding, bias=False)
        nn.init.zeros_(self.hidden_embedding.weight)

    def forward(self, end_rows: Tensor) -> Tensor:
        row = self.norm(end_rows)
        return self.embedding(row) + self.hidden_embedding(F.gelu(self.expand(row)))


class CoCa(nn.Module):
    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.concept_head = ConceptHead(config.concepts, config.concept_hidden)
        self.image = ImageHead(config)
        self.token_embedding = nn.Embedding(config.vocabulary, config.width)
        self.position = nn.Parameter(torch.randn(config.context_length, config.width) * 0.02)
        self.unimodal = nn.ModuleList(SelfBlock(config) for _ in range(config.unimodal_layers))
        self.text = TextHead(config)
        self.multimodal = nn.ModuleList(CrossBlock(config) for _ in range(config.multimodal_layers))
        self.norm_final = nn.LayerNorm(config.width)
        self.logit_scale = nn.Parameter(torch.tensor(20.0).log())
        self.dropout = nn.Dropout(config.dropout)
        nn.init.normal_(self.token_embedding.weight, std=config.width ** -0.5)

    def scale(self) -> Tensor:
        return self.logit_scale.exp().clamp(max=100.0)

    def encode_image(self, seen: Tensor) -> tuple[Tensor, Tensor]:
        """Mean feature and middle moments → normalised embedding [N, E] and caption tokens [N, T, D]."""
        levelled = self.concept_head.levelled(seen)
        probability = self.concept_head.read(levelled).sigmoid()
        return F.normalize(self.image.embed(levelled, probability), dim=-1), self.image.embed_concepts(probability)

    def unimodal_states(self, ids: Tensor) -> Tensor:
        """[N, L] → [N, L, D], causal."""
        x = self.dropout(self.token_embedding(ids) * self.config.width ** 0.5 + self.position[: ids.shape[1]])
        mask = causal_mask(ids.shape[1], ids.device)
        for block in self.unimodal:
            x = block(x, mask)
        return x

    def end_rows(self, ids: Tensor, states: Tensor) -> Tensor:
        """The states of the end marks: [N, D]."""
        return (states * (ids == END).to(states.dtype)[..., None]).sum(1)

    def embed_text(self, end_rows: Tensor) -> Tensor:
        """Normalised text embedding: [N, E]."""
        return F.normalize(self.text(end_rows), dim=-1)

    def pool_text(self, ids: Tensor, states: Tensor) -> Tensor:
        return self.embed_text(self.end_rows(ids, states))

    def encode_text(self, ids: Tensor) -> Tensor:
        return self.pool_text(ids, self.unimodal_states(ids))

    def cross_kv(self, image_tokens: Tensor) -> list[tuple[Tensor, Tensor]]:
        return [block.cross_kv(image_tokens) for block in self.multimodal]

    def next_token_logits(self, states: Tensor, cross: list[tuple[Tensor, Tensor]]) -> Tensor:
        """Unimodal states [N, L, D] → logits [N, L, V]; the head is the token embedding, transposed."""
        return self.norm_final(self.multimodal_states(states, cross)) @ self.token_embedding.weight.T

    def multimodal_states(self, states: Tensor, cross: list[tuple[Tensor, Tensor]]) -> Tensor:
        x, mask = states, causal_mask(states.shape[1], states.device)
        for block, kv in zip(self.multimodal, cross):
            x = block(x, mask, kv)
        return x

    def last_logits(self, ids: Tensor, cross: list[tuple[Tensor, Tensor]]) -> Tensor:
        """[N, L] → logits [N, V] of the token after the last one."""
        x = self.multimodal_states(self.unimodal_states(ids), cross)[:, -1]
        return self.norm_final(x) @ self.token_embedding.weight.T


def causal_mask(length: int, device: torch.device | None = None) -> Tensor:
    return torch.full((length, length), MASKED, device=device).triu(1)
