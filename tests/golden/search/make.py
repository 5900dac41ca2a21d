"""Writes cases.json: what open_clip and Hugging Face's searches find with a made-up language model.

    pip install torch==2.9.1 open_clip_torch==3.3.0 transformers==4.46.3
    python make.py

The model's logits are hashes of the tokens so far. src/tasks/caption/synthetic.rs has the same one, and
src/tasks/caption/golden_tests.rs runs our searches over every case.

open_clip cases come from CoCa.generate itself with the network replaced. Three things are changed:

- Beam search cases with a prompt. open_clip 3.3.0 ignores prompts there, so the one line that starts every
  beam is replaced in its source.
- torch.topk leaves the order of equal scores open; here the lower index goes first. Where no scores were
  equal, the unchanged torch.topk must have the same outcome, or the script stops. Coarse models, whose
  logits are small integers, make many equal scores.
- With top_k = 1 open_clip draws lots among equally likely tokens; here the lowest wins.
"""

import inspect
import json
import random
import textwrap
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from open_clip import coca_model
from open_clip.coca_model import CoCa
from torch import nn
from transformers import (
    GenerationConfig,
    GenerationMixin,
    LogitsProcessor,
    LogitsProcessorList,
    PretrainedConfig,
    PreTrainedModel,
    TopKLogitsWarper,
    TopPLogitsWarper,
)
from transformers.modeling_outputs import CausalLMOutput

SIZE, START, END, PAD = 37, 35, 36, 0
DEFAULTS = dict(beams=6, beam_groups=3, max_tokens=30, min_tokens=5, repetition_penalty=1.0)


class SyntheticModel:
    """Logits from a hash of the last `memory` tokens (of all for 0); small integers if `coarse`."""

    def __init__(self, seed, memory, coarse):
        self.seed, self.memory, self.coarse = seed, memory, coarse

    @staticmethod
    def mix(hash, value):
        hash = (hash ^ value) * 0x9E3779B1 & 0xFFFFFFFF
        hash = (hash ^ hash >> 15) * 0x85EBCA77 & 0xFFFFFFFF
        return hash ^ hash >> 13

    def logits(self, tokens):
        hash = self.mix(0, self.seed)
        for token in tokens[-self.memory :]:
            hash = self.mix(hash, token)
        bits = (self.mix(hash, np.arange(SIZE)) >> 16).astype(np.float32)
        logits = np.floor(bits / 8192) - 4 if self.coarse else bits / 4096 - 8
        logits[END] += 0.25 * len(tokens) - 2  # longer captions end more readily
        return torch.from_numpy(logits)

    def batch(self, ids):
        return torch.stack([self.logits(row) for row in ids.tolist()])[:, None]


class OpenClip(CoCa):
    """open_clip's CoCa with the network replaced."""

    def __init__(self, model):
        nn.Module.__init__(self)
        self.model, self.pad_id = model, PAD

    def _encode_image(self, images, normalize=True):
        return images, images

    def forward(self, image, text, **_):
        return {"logits": self.model.batch(text)}


class Transformers(PreTrainedModel, GenerationMixin):
    """A Hugging Face causal language model with the network replaced."""

    config_class = PretrainedConfig

    def __init__(self, model):
        super().__init__(PretrainedConfig())
        self.model = model

    def forward(self, input_ids, **_):
        return CausalLMOutput(logits=self.model.batch(input_ids))

    def prepare_inputs_for_generation(self, input_ids, **_):
        return {"input_ids": input_ids}

    @property
    def device(self):
        return torch.device("cpu")


class OnceExcept(LogitsProcessor):
    def __init__(self, allowed):
        self.allowed = set(allowed)

    def __call__(self, ids, scores):
        scores = scores.clone()
        for row, tokens in zip(scores, ids.tolist()):
            row[[token for token in tokens if token not in self.allowed]] = -torch.inf
        return scores


@contextmanager
def replaced(owner, name, value):
    original = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield original
    finally:
        setattr(owner, name, original)


class LowerIndexFirst:
    """torch.topk with the lower index first among equal scores; `saw_ties` if that ever mattered."""

    saw_ties = False

    def __call__(self, scores, k, dim=-1, largest=True, sorted=True):
        ranked = torch.sort(scores, dim=dim, descending=True, stable=True)
        top = ranked.values[0, : k + 1]
        self.saw_ties |= bool((top.diff() == 0).any())
        return ranked.values[:, :k], ranked.indices[:, :k]


def settled(search):
    """The outcome of `search` with the lower index first, the same as without unless there were ties."""
    topk = LowerIndexFirst()
    with replaced(torch, "topk", topk):
        outcome = search()
    assert topk.saw_ties or outcome == search()
    return outcome


def open_clip_beams(model, prompt, settings):
    """Tokens and score of open_clip's beam search."""
    scores = []
    finalize = coca_model.BeamSearchScorer.finalize

    def spy(self, *args, **kwargs):
        outcome = finalize(self, *args, **kwargs)
        scores.append(outcome["sequence_scores"].item())
        return outcome

    source = textwrap.dedent(inspect.getsource(CoCa._generate_beamsearch))
    start_line = "input_ids = input_ids * sot_token_id\n"
    assert source.count(start_line) == 1
    prompted = source.replace(start_line, f"input_ids = torch.tensor([{[START, *prompt]}] * num_beams)\n")
    names = dict(vars(coca_model))
    exec(prompted, names)
    search = names["_generate_beamsearch"] if prompt else CoCa._generate_beamsearch
    with (
        replaced(coca_model.BeamSearchScorer, "finalize", spy),
        replaced(CoCa, "_generate_beamsearch", search),
    ):
        tokens = OpenClip(model).generate(
            torch.zeros(1, 1),
            sot_token_id=START,
            eos_token_id=END,
            seq_len=settings["max_tokens"],
            min_seq_len=settings["min_tokens"],
            num_beams=settings["beams"],
            num_beam_groups=settings["beam_groups"],
            repetition_penalty=settings["repetition_penalty"],
        )
    return tokens[0].tolist(), scores[0]


def open_clip_greedy(model, prompt, settings):
    """Tokens of open_clip's top_k = 1, and their mean log-probability."""
    prompt = [START, *prompt]
    with replaced(torch, "multinomial", lambda probabilities, _: probabilities.argmax(-1, keepdim=True)):
        tokens = OpenClip(model).generate(
            torch.zeros(1, 1),
            torch.tensor([prompt]),
            generation_type="top_k",
            top_k=1,
            sot_token_id=START,
            eos_token_id=END,
            seq_len=settings["max_tokens"],
            min_seq_len=settings["min_tokens"],
            repetition_penalty=settings["repetition_penalty"],
        )[0].tolist()
    log_probabilities = [
        model.logits(tokens[:i]).double().log_softmax(-1)[tokens[i]].item()
        for i in range(len(prompt), len(tokens))
    ]
    return tokens, float(np.mean(log_probabilities))


def transformers_beams(model, prompt, settings):
    """Tokens and score of Hugging Face's beam search."""
    once_except = settings.get("once_except")
    found = Transformers(model).generate(
        torch.tensor([[START, *prompt]]),
        GenerationConfig(
            num_beams=settings["beams"],
            early_stopping=False,
            max_length=settings["max_tokens"],
            min_length=settings["min_tokens"],
            repetition_penalty=settings["repetition_penalty"],
            length_penalty=settings.get("length_penalty", 1.0),
            no_repeat_ngram_size=settings.get("no_repeat_ngram", 0),
            suppress_tokens=settings.get("suppress"),
            bos_token_id=START,
            eos_token_id=END,
            pad_token_id=PAD,
            use_cache=False,
            return_dict_in_generate=True,
            output_scores=True,
        ),
        logits_processor=LogitsProcessorList([OnceExcept(once_except)] if once_except else []),
    )
    return found.sequences[0].tolist(), found.sequences_scores[0].item()


def sampling_weights(model, prompt, settings):
    """The probabilities that open_clip draws from: warpers first, temperature last."""
    ids = torch.tensor([[START, *prompt]])
    logits = model.logits(ids[0].tolist())[None]
    if settings["top_k"]:
        logits = TopKLogitsWarper(settings["top_k"])(ids, logits)
    if settings["top_p"] < 1:
        logits = TopPLogitsWarper(settings["top_p"])(ids, logits)
    probabilities = (logits / settings["temperature"]).softmax(-1)[0].tolist()
    return {token: p for token, p in enumerate(probabilities) if p > 1e-7}


def described(model, prompt, settings):
    """A case as cases.json holds it, with the settings that are not the default."""
    described = {"model": [model.seed, model.memory, int(model.coarse)]}
    if prompt:
        described["prompt"] = prompt
    described["settings"] = {k: v for k, v in settings.items() if DEFAULTS.get(k) != v}
    return described


def case(search, model, prompt, settings):
    settings = DEFAULTS | settings
    run = {"open_clip": open_clip_beams, "log_prob": transformers_beams, "greedy": open_clip_greedy}[search]
    tokens, score = settled(lambda: run(model, prompt, settings))
    outcome = {"tokens": tokens, "score": float(f"{score:.7g}")}
    return described(model, prompt, {"search": search} | settings) | outcome


def lengths(rng):
    low, high = rng.choice([(5, 30), (5, 30), (0, 10), (1, 12), (8, 12), (14, 15), (5, 40), (20, 30)])
    return {"min_tokens": low, "max_tokens": high}


def prompt(rng, share):
    if rng.random() > share:
        return []
    return [rng.randrange(1, START) for _ in range(rng.randrange(1, 6))]


def open_clip_cases(rng):
    groups = [(6, 3), (6, 3), (6, 1), (6, 2), (6, 6), (2, 1), (4, 2), (3, 1), (8, 2), (12, 3)]
    for seed in range(240):
        model = SyntheticModel(seed, rng.choice([1, 2, 0]), coarse=seed % 3 == 0)
        beams, beam_groups = rng.choice(groups)
        penalty = {"repetition_penalty": rng.choice([1.0, 1.0, 1.3, 2.0, 0.8])}
        settings = {"beams": beams, "beam_groups": beam_groups} | penalty | lengths(rng)
        yield case("open_clip", model, prompt(rng, 0.2), settings)


def log_prob_cases(rng):
    for seed in range(240):
        # Not coarse: log-softmax rounds scores that are equal apart, and not everywhere alike.
        model = SyntheticModel(1000 + seed, rng.choice([1, 2, 0]), coarse=False)
        settings = {"beams": rng.choice([2, 3, 4, 6, 6, 8])} | lengths(rng)
        if rng.random() < 0.4:
            settings["length_penalty"] = rng.choice([0.0, 0.5, 2.0, -1.0])
        if rng.random() < 0.4:
            settings["no_repeat_ngram"] = rng.choice([1, 2, 3])
        if rng.random() < 0.3:
            settings["repetition_penalty"] = rng.choice([1.2, 1.5, 0.8])
        if rng.random() < 0.2:
            settings["suppress"] = sorted(rng.sample(range(START), 5))
        if rng.random() < 0.2:
            settings["once_except"] = sorted(rng.sample(range(START), 8))
        yield case("log_prob", model, prompt(rng, 0.4), settings)


def greedy_cases(rng):
    for seed in range(80):
        model = SyntheticModel(2000 + seed, rng.choice([1, 2, 0]), coarse=seed % 4 == 0)
        penalty = {"repetition_penalty": rng.choice([1.0, 1.0, 1.3, 0.8])}
        yield case("greedy", model, prompt(rng, 0.4), penalty | lengths(rng))


def sampling_cases(rng):
    for seed in range(40):
        model = SyntheticModel(3000 + seed, 0, coarse=seed % 4 == 0)
        settings = {
            "top_k": rng.choice([0, 0, 1, 3, 10, 100]),
            "temperature": rng.choice([0.5, 1.0, 1.7]),
            # Equal logits on the edge of top_p may be kept or not: transformers sorts them in any order.
            "top_p": 1.0 if model.coarse else rng.choice([0.1, 0.5, 0.9, 1.0]),
        }
        some = prompt(rng, 1.0)
        weights = sampling_weights(model, some, settings)
        yield described(model, some, {"search": "sample"} | settings) | {
            "probabilities": {token: round(p, 7) for token, p in weights.items()}
        }


def main():
    rng = random.Random(0)
    searches = [*open_clip_cases(rng), *log_prob_cases(rng), *greedy_cases(rng)]
    sampling = list(sampling_cases(rng))
    for name in ("open_clip", "log_prob", "greedy"):
        found = [c["tokens"] for c in searches if c["settings"].get("search") == name]
        print(
            f"{name}: {len(found)} cases, {sum(t[-1] == END for t in found)} ended, "
            f"{sum(PAD in t for t in found)} with token 0, {np.mean([len(t) for t in found]):.1f} tokens"
        )
    dump = lambda cases: "[\n" + ",\n".join(json.dumps(c, separators=(",", ":")) for c in cases) + "\n]"
    text = f'{{"searches":{dump(searches)},\n"sampling":{dump(sampling)}}}\n'
    Path(__file__).with_name("cases.json").write_text(text)
    print(f"{len(text)} bytes")


main()
