"""The decoder once more, by what its captions score: self-critical training (Rennie et al. 2017, with Luo's 2020 baseline).

Several captions are sampled for a photo; those that score higher than the mean of the others become more likely. Photos
with five captions alone, since one reference says little. Dropout on what the concept head reads makes it as unsure of
these photos as it is of new ones. Only layers that read the picture learn, so text embeddings stay what they are.
Reads text.pt and concepts.pt, goes on from captions-run.pt; writes captions.pt (averaged weights).
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
from cider import END_WORD, Cider, words_of
from concepts import balance, mention_share
from data import load_pictures
from features import load_features
from losses import caption_loss
from model import CoCa
from precision import autocast
from sampling import sample
from tokenizer import END, PAD, load_tokenizer
from train_text import TextData

PHOTOS, SAMPLES, MAX_TOKENS = 48, 5, 24
LEARNING_RATE = 1e-4
WARM_UP = 20
SEEN_DROPOUT = 0.5
PRECISION_WEIGHT = 1.5
SENTENCES_WEIGHT = 0.2
AVERAGE = 0.98
REFERENCES = 5
SAVE_STEPS = 50


class CaptionData:
    """Photos with five captions: what the concept head believes of them, and what captions of them score."""

    def __init__(self, data: Path, work: Path, concepts: list[str], everything: bool) -> None:
        photos = load_pictures(data, "photos")
        rows = [i for i, p in enumerate(photos) if len(p.captions) >= REFERENCES and (everything or p.split == "train")]
        usable = [photos[i] for i in rows]
        chance = balance(usable, mention_share(usable, concepts))
        self.chance = chance / chance.sum()
        self.features = load_features(work, "photos")[:, rows]
        self.cider = Cider([p.captions for p in usable])
        self.tokenizer = load_tokenizer(work)

    def draw(self, rng: np.random.Generator) -> tuple[np.ndarray, Tensor]:
        """Photos' numbers and what is seen of each, whole or mirrored, with dropout."""
        photos = rng.choice(len(self.chance), PHOTOS, replace=False, p=self.chance)
        views = torch.from_numpy(rng.integers(len(self.features), size=PHOTOS))
        return photos, F.dropout(self.features[views, torch.from_numpy(photos)].float(), SEEN_DROPOUT)

    def rewards(self, photos: np.ndarray, ids: Tensor) -> Tensor:
        """[photos × samples], of sampled token ids."""
        texts = self.tokenizer.decode_batch([[token for token in row if token > END] for row in ids.tolist()])
        found = []
        for i, (text, ended) in enumerate(zip(texts, (ids == END).any(1).tolist())):
            photo, words = photos[i // SAMPLES], words_of(text)
            if not ended:
                words.remove(END_WORD)
            found.append(self.cider.score(photo, words) + PRECISION_WEIGHT * self.cider.precision(photo, words))
        return torch.tensor(found)


def advantage(rewards: Tensor) -> Tensor:
    """How much more each sample earns than the mean of the photo's others: [photos × samples]."""
    of_photo = rewards.view(-1, SAMPLES)
    return ((of_photo - of_photo.mean(1, keepdim=True)) * SAMPLES / (SAMPLES - 1)).flatten()


def learned_parameters(model: CoCa) -> list[nn.Parameter]:
    parts = (model.multimodal, model.norm_final, model.image.concept_words, model.image.concept_score)
    return [p for part in parts for p in part.parameters()]


class Run:
    def __init__(self, start: CoCa, steps: int, path: Path) -> None:
        self.path, self.step = path, 0
        self.model, self.averaged = start.requires_grad_(False).eval(), copy.deepcopy(start)
        self.parameters = [p.requires_grad_(True) for p in learned_parameters(self.model)]
        self.optimizer = torch.optim.AdamW(self.parameters, lr=LEARNING_RATE, betas=(0.9, 0.98), weight_decay=0.01, fused=True)
        self.schedule = torch.optim.lr_scheduler.LambdaLR(self.optimizer, lambda s: min((s + 1) / WARM_UP, 1 - s / steps))
        if path.exists():
            saved = torch.load(path, weights_only=False)
            for name, part in self.parts().items():
                part.load_state_dict(saved[name])
            self.step = saved["step"]

    def parts(self) -> dict:
        return {"model": self.model, "averaged": self.averaged, "optimizer": self.optimizer, "schedule": self.schedule}

    def save(self) -> None:
        save({"step": self.step, **{name: part.state_dict() for name, part in self.parts().items()}}, self.path)

    def caption_tokens(self, seen: Tensor) -> Tensor:
        with torch.no_grad():
            probability = self.model.concept_head(seen).sigmoid()
        return self.model.image.embed_concepts(probability)

    def learn(self, data: CaptionData, sentences: TextData) -> tuple[float, float]:
        """Mean reward of the samples, and the loss of a batch of sentences."""
        photos, seen = data.draw(np.random.default_rng([5, self.step]))
        torch.manual_seed(self.step)
        with autocast():
            tokens = self.caption_tokens(seen).repeat_interleave(SAMPLES, 0)
            ids = sample(self.model, tokens.detach(), MAX_TOKENS)
            rewards = data.rewards(photos, ids)
            said = (ids[:, 1:] != PAD).float()
            likelihood = self.log_probabilities(ids, tokens)
            loss = -(advantage(rewards)[:, None] * likelihood * said).sum() / said.sum()
            text, probability = sentences.draw()
            cross = self.model.cross_kv(self.model.image.embed_concepts(probability))
            plain = caption_loss(self.model.next_token_logits(self.model.unimodal_states(text)[:, :-1], cross), text)
        self.optimizer.zero_grad()
        (loss + SENTENCES_WEIGHT * plain).backward()
        nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimizer.step()
        self.schedule.step()
        average_into(self.averaged, self.model, self.step, AVERAGE)
        self.step += 1
        return rewards.mean().item(), plain.item()

    def log_probabilities(self, ids: Tensor, image_tokens: Tensor) -> Tensor:
        """Of every token after the start mark: [N, L - 1]."""
        logits = self.model.next_token_logits(self.model.unimodal_states(ids)[:, :-1], self.model.cross_kv(image_tokens))
        return -F.cross_entropy(logits.float().flatten(0, 1), ids[:, 1:].flatten(), reduction="none").view(len(ids), -1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=800)
    parser.add_argument("--everything", action="store_true", help="train on the choosing splits too")
    args = parser.parse_args()
    torch.set_num_threads(2)
    saved, found = torch.load(args.work / "text.pt", weights_only=False), torch.load(args.work / "concepts.pt")
    start = CoCa(saved["config"])
    start.load_state_dict(saved["model"])
    start.concept_head.load_state_dict(found["head"])
    run = Run(start, args.steps, args.work / "captions-run.pt")
    data = CaptionData(args.data, args.work, found["concepts"], args.everything)
    sentences = TextData(args.data, args.work, start.config, found["concepts"], args.everything, run.step)
    started, mean = time.time(), None
    while run.step < args.steps:
        shown = torch.tensor(run.learn(data, sentences))
        mean = shown if mean is None else mean.lerp(shown, 0.05)
        if run.step % 10 == 0:
            print(f"step {run.step} reward {mean[0]:.3f} sentences {mean[1]:.3f} {time.time() - started:.0f} s", flush=True)
        if run.step % SAVE_STEPS == 0 or run.step == args.steps:
            run.save()
            save({"config": start.config, "concepts": found["concepts"], "model": run.averaged.state_dict()}, args.work / "captions.pt")


if __name__ == "__main__":
    main()
