"""Text layers and decoder, from sentences alone: noisy concept words stand for the picture.

Three losses: the caption's next token, the contrast between a sentence's embedding and that of its concept words, and
which class name a text holds. The decoder reads concept words alone: taught with what the concept head really believes
of a photo, it hedges. Goes on from text-run.pt where it stopped; writes text.pt (averaged weights).
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
from batches import ConceptNoise, encode, pad, similar_length_batches
from checkpoints import save
from concepts import choose_concepts, mention_share
from data import load_pictures, load_sentences
from losses import caption_loss, class_loss, contrastive_loss, linear_schedule, shown
from model import CoCa, Config
from names import NameTexts, all_names
from precision import autocast
from tokenizer import load_tokenizer

BATCH, NAMES = 128, 48
LEARNING_RATE, WEIGHT_DECAY = 1.2e-3, 0.05
CONTRAST_WEIGHT, NAMES_WEIGHT = 0.3, 0.1
AVERAGE = 0.995
SAVE_STEPS = 100


class TextData:
    """Sentences with their tokens and concept words, and the class names."""

    def __init__(self, data: Path, work: Path, config: Config, concepts: list[str], everything: bool, seed: int) -> None:
        photos = [p for p in load_pictures(data, "photos") if everything or p.split == "train"]
        tokenizer, texts = load_tokenizer(work), load_sentences(data, everything)
        self.rng = np.random.default_rng(seed)
        self.noise = ConceptNoise(concepts, (mention_share(photos, concepts) > 0).mean(0), seed)
        self.ids = encode(tokenizer, texts, config.context_length)
        self.words = [self.noise.words_of(text) for text in texts]
        self.order = similar_length_batches([len(row) for row in self.ids], BATCH, seed)
        self.names = all_names(data)
        self.name_texts = NameTexts(tokenizer, self.names, config.context_length)

    def draw(self) -> tuple[Tensor, Tensor]:
        """Tokens and concept probabilities of some sentences."""
        rows = next(self.order)
        probability = np.stack([self.noise.draw(self.words[row]) for row in rows])
        return pad([self.ids[row] for row in rows]), torch.from_numpy(probability)

    def draw_names(self) -> tuple[Tensor, Tensor]:
        """Numbers and tokens of some names, each under a template drawn for it."""
        names = torch.from_numpy(self.rng.choice(len(self.names), NAMES, replace=False))
        return names, self.name_texts.draw(names, self.rng)


def text_losses(model: CoCa, data: TextData, name_table: Tensor) -> dict[str, Tensor]:
    ids, probability = data.draw()
    states = model.unimodal_states(ids)
    cross = model.cross_kv(model.image.embed_concepts(probability))
    image = F.normalize(model.image.concept_embedding(probability), dim=-1)
    names, name_ids = data.draw_names()
    return {"captions": caption_loss(model.next_token_logits(states[:, :-1], cross), ids),
            "contrast": CONTRAST_WEIGHT * contrastive_loss(model.scale(), image, model.pool_text(ids, states)),
            "names": NAMES_WEIGHT * class_loss(model.scale(), model.encode_text(name_ids), F.normalize(name_table, dim=-1), names)}


class Run:
    """The model, the averaged one, and how far they are. The name table is thrown away at the end."""

    def __init__(self, config: Config, names: int, steps: int, path: Path) -> None:
        self.path, self.step = path, 0
        self.model = CoCa(config)
        self.averaged = copy.deepcopy(self.model).eval()
        self.name_table = nn.Parameter(torch.randn(names, config.embedding) * 0.1)
        self.parameters = [*self.model.parameters(), self.name_table]
        self.optimizer = torch.optim.AdamW(self.parameters, lr=LEARNING_RATE, betas=(0.9, 0.98),
                                           weight_decay=WEIGHT_DECAY, fused=True)
        self.schedule = linear_schedule(self.optimizer, steps)

    def parts(self) -> dict:
        return {"model": self.model, "averaged": self.averaged, "optimizer": self.optimizer, "schedule": self.schedule}

    def go_on(self) -> None:
        if self.path.exists():
            saved = torch.load(self.path, weights_only=False)
            for name, part in self.parts().items():
                part.load_state_dict(saved[name])
            self.step = saved["step"]
            self.name_table.data.copy_(saved["name_table"])

    def save(self) -> None:
        save({"step": self.step, "name_table": self.name_table.data,
              **{name: part.state_dict() for name, part in self.parts().items()}}, self.path)

    def learn(self, data: TextData) -> dict[str, Tensor]:
        with autocast():
            losses = text_losses(self.model, data, self.name_table)
        self.optimizer.zero_grad()
        sum(losses.values()).backward()
        nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimizer.step()
        self.schedule.step()
        average_into(self.averaged, self.model, self.step, AVERAGE)
        self.step += 1
        return losses


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--start", type=Path, help="a checkpoint like text.pt to begin with")
    parser.add_argument("--everything", action="store_true", help="use the choosing splits' captions too")
    args = parser.parse_args()
    torch.set_num_threads(2)
    concepts = choose_concepts([p for p in load_pictures(args.data, "photos") if p.split == "train"])
    config = Config(vocabulary=load_tokenizer(args.work).get_vocab_size(), concepts=len(concepts))
    torch.manual_seed(0)
    run = Run(config, len(all_names(args.data)), args.steps, args.work / "text-run.pt")
    if args.start:
        run.model.load_state_dict(torch.load(args.start, weights_only=False)["model"])
    run.go_on()
    data = TextData(args.data, args.work, config, concepts, args.everything, run.step)
    started = time.time()
    run.model.train()
    while run.step < args.steps:
        losses = run.learn(data)
        if run.step % 50 == 0:
            print(f"step {run.step} {shown(losses)} {time.time() - started:.0f} s", flush=True)
        if run.step % SAVE_STEPS == 0 or run.step == args.steps:
            run.save()
            save({"config": config, "model": run.averaged.state_dict()}, args.work / "text.pt")


if __name__ == "__main__":
    main()
