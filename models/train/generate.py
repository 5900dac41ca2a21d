"""Captions by beam search over log-probabilities; the reference for the runtime's search.

As Hugging Face's beam search with early_stopping=False: a finished caption scores the sum of its
log-probabilities divided by length ** length_penalty, the end mark counted and the start mark not.
"""
from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from tokenizers import Tokenizer
from torch import Tensor

from concepts import FUNCTION_WORDS
from model import CoCa
from tokenizer import END, PAD, START, word_starts

NEVER = -float("inf")
IMAGES_AT_ONCE = 32


@dataclass(frozen=True)
class DecodingSettings:
    """`max_tokens` and `min_tokens` count the start mark."""

    beams: int = 4
    max_tokens: int = 24
    min_tokens: int = 6
    length_penalty: float = 1.3
    no_repeat_ngram: int = 3


class Hypothesis(NamedTuple):
    score: float
    ids: list[int]


def repeatable_tokens(tokenizer: Tokenizer) -> list[int]:
    """Tokens that may occur more than once in a caption: function words, punctuation, pieces of words."""
    starts = word_starts(tokenizer)
    return [i for i in range(len(starts)) if i not in (PAD, START, END)
            and (not starts[i] or tokenizer.id_to_token(i)[1:] in FUNCTION_WORDS or tokenizer.id_to_token(i) == "Ġ")]


@dataclass
class BeamSearch:
    """The state of one picture's search."""

    settings: DecodingSettings
    once: Tensor  # bool [V]: tokens that may occur only once
    beams: list[Hypothesis] = field(default_factory=lambda: [Hypothesis(0.0, [START])])
    finished: list[Hypothesis] = field(default_factory=list)
    done: bool = False

    def forbid(self, ids: list[int], scores: Tensor) -> None:
        """Sets the scores of tokens that must not come next to -inf, in place."""
        scores[[PAD, START]] = NEVER
        if len(ids) < self.settings.min_tokens:
            scores[END] = NEVER
        n = self.settings.no_repeat_ngram
        if n and len(ids) >= n:
            tail = ids[len(ids) - n + 1:]
            for i in range(len(ids) - n + 1):
                if ids[i:i + n - 1] == tail:
                    scores[ids[i + n - 1]] = NEVER
        seen = torch.tensor(ids)
        scores[seen[self.once[seen]]] = NEVER

    def penalised(self, score: float, generated: int) -> float:
        return score / generated ** self.settings.length_penalty

    def advance(self, log_probabilities: Tensor) -> None:
        """One step: log-probabilities [beams, V] of the token after each beam."""
        width, vocabulary = self.settings.beams, log_probabilities.shape[1]
        for row, beam in zip(log_probabilities, self.beams):
            self.forbid(beam.ids, row)
        total = log_probabilities + torch.tensor([beam.score for beam in self.beams])[:, None]
        scores, places = total.flatten().topk(2 * width)
        running: list[Hypothesis] = []
        for rank, (score, place) in enumerate(zip(scores.tolist(), places.tolist())):
            ids = self.beams[place // vocabulary].ids + [place % vocabulary]
            if score == NEVER:
                break
            if ids[-1] == END:
                if rank < width:
                    self.finish(score, ids)
            elif len(running) < width:
                running.append(Hypothesis(score, ids))
        best = self.penalised(scores[0].item(), len(self.beams[0].ids))
        settled = len(self.finished) == width and self.finished[-1].score >= best
        self.beams, self.done = running, settled or not running
        if not self.done and len(running[0].ids) == self.settings.max_tokens:
            self.done = True
            for beam in running:
                self.finish(beam.score, beam.ids)

    def finish(self, score: float, ids: list[int]) -> None:
        self.finished.append(Hypothesis(self.penalised(score, len(ids) - 1), ids))
        self.finished.sort(key=lambda h: h.score, reverse=True)
        del self.finished[self.settings.beams:]

    def result(self) -> list[int]:
        """The best caption's tokens, without marks."""
        return [i for i in self.finished[0].ids if i not in (START, END)]


@torch.no_grad()
def caption(model: CoCa, image_tokens: Tensor, tokenizer: Tokenizer, settings: DecodingSettings) -> list[str]:
    """Image tokens [N, T, D] → a sentence for each. Recomputes the prefix; the runtime caches it."""
    once = torch.ones(model.config.vocabulary, dtype=torch.bool)
    once[repeatable_tokens(tokenizer)] = False
    texts: list[str] = []
    for start in range(0, len(image_tokens), IMAGES_AT_ONCE):
        tokens = image_tokens[start:start + IMAGES_AT_ONCE]
        searches = [BeamSearch(settings, once) for _ in range(len(tokens))]
        cross = model.cross_kv(tokens)
        while live := [i for i, search in enumerate(searches) if not search.done]:
            owners = [i for i in live for _ in searches[i].beams]
            ids = torch.tensor([beam.ids for i in live for beam in searches[i].beams])
            logits = model.last_logits(ids, [(key[owners], value[owners]) for key, value in cross])
            rows = logits.log_softmax(-1).split([len(searches[i].beams) for i in live])
            for i, row in zip(live, rows):
                searches[i].advance(row)
        texts += [tokenizer.decode(search.result()) for search in searches]
    return texts
