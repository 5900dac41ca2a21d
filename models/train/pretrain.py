"""Text-only pretraining: sentences, conditioned on noisy concept words instead of a picture.

Two losses, as in CoCa: the caption's next token, and the contrast between a sentence's embedding and
that of its concept words. Writes pretrained.pt.
"""
from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from batches import ConceptNoise, encode, pad, similar_length_batches
from concepts import mention_share
from data import load_pictures, load_sentences
from model import CoCa, Config
from precision import autocast
from tokenizer import PAD, load_tokenizer

SEED = 0
BATCH = 96
WARM_UP = 60
LEARNING_RATE = 1.2e-3
LABEL_SMOOTHING = 0.05
CONTRASTIVE_WEIGHT = 0.3
WEIGHT_DECAY = 0.05


def caption_loss(logits: Tensor, ids: Tensor) -> Tensor:
    """Next-token cross-entropy; ids [N, L] with marks, logits for all but the last position."""
    return F.cross_entropy(logits.flatten(0, 1).float(), ids[:, 1:].flatten(),
                           ignore_index=PAD, label_smoothing=LABEL_SMOOTHING)


def contrastive_loss(model: CoCa, image: Tensor, text: Tensor) -> Tensor:
    """Symmetric cross-entropy over the batch's pairs; both sides normalised."""
    logits = model.scale() * image.float() @ text.float().T
    target = torch.arange(len(logits))
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2


def sentence_losses(model: CoCa, ids: Tensor, probability: Tensor) -> tuple[Tensor, Tensor]:
    """(captioning, contrastive) of sentences whose pictures are only concept words."""
    states = model.unimodal_states(ids)
    cross = model.cross_kv(model.image.embed_concepts(probability))
    captioning = caption_loss(model.next_token_logits(states[:, :-1], cross), ids)
    image = F.normalize(model.image.concept_embedding(probability), dim=-1)
    return captioning, contrastive_loss(model, image, model.pool_text(ids, states))


def linear_schedule(optimizer: torch.optim.Optimizer, steps: int) -> torch.optim.lr_scheduler.LambdaLR:
    return torch.optim.lr_scheduler.LambdaLR(optimizer, lambda s: min((s + 1) / WARM_UP, 1 - s / steps))


class SentenceSource:
    """Sentences with their tokens and concept words; `next()` draws a batch."""

    def __init__(self, data: Path, work: Path, context_length: int, batch: int, everything: bool, seed: int) -> None:
        train = [p for p in load_pictures(data, "photos") if everything or p.split == "train"]
        concepts = torch.load(work / "concepts.pt")["concepts"]
        self.noise = ConceptNoise(concepts, (mention_share(train, concepts) > 0).mean(0), seed)
        texts = load_sentences(data) + [c for p in train for c in p.captions]
        self.ids = encode(load_tokenizer(work), texts, context_length)
        self.words = [self.noise.words_of(text) for text in texts]
        self.order = similar_length_batches([len(row) for row in self.ids], batch, seed)

    def next(self) -> tuple[Tensor, Tensor]:
        rows = next(self.order)
        drawn = np.stack([self.noise.draw(self.words[row]) for row in rows])
        return pad([self.ids[row] for row in rows]), torch.from_numpy(drawn)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=1400)
    parser.add_argument("--everything", action="store_true", help="use the choosing split's captions too")
    args = parser.parse_args()
    torch.manual_seed(SEED)
    tokenizer = load_tokenizer(args.work)
    concepts = torch.load(args.work / "concepts.pt")["concepts"]
    model = CoCa(Config(vocabulary=tokenizer.get_vocab_size(), concepts=len(concepts)))
    source = SentenceSource(args.data, args.work, model.config.context_length, BATCH, args.everything, SEED)
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, betas=(0.9, 0.98), weight_decay=WEIGHT_DECAY, fused=True)
    schedule = linear_schedule(optimizer, args.steps)
    start, running = time.time(), 0.0
    for step in range(args.steps):
        ids, probability = source.next()
        with autocast():
            captioning, contrast = sentence_losses(model, ids, probability)
        optimizer.zero_grad()
        (captioning + CONTRASTIVE_WEIGHT * contrast).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        running = running * 0.98 + captioning.item() * 0.02 if step else captioning.item()
        if step % 50 == 0:
            print(f"step {step} captioning {running:.3f} contrastive {contrast.item():.3f} "
                  f"{time.time() - start:.0f} s", flush=True)
        if step % 200 == 199 or step == args.steps - 1:
            torch.save({"config": model.config, "model": model.state_dict()}, args.work / "pretrained.pt")


if __name__ == "__main__":
    main()
