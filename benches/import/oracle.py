"""What open_clip 3.3.0 and Hugging Face's searches answer with a checkpoint: the other side of compare.py."""

import gzip
import json
import os
import tempfile
from contextlib import contextmanager

import open_clip
import torch
from open_clip import coca_model
from safetensors.torch import load_file
from transformers import GenerationConfig, GenerationMixin, PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutput

CLIP_VOCABULARY = 49408


class CoCa(open_clip.CoCa):
    """open_clip's, which computes equal rows of a batch once: its beam search starts with equal beams, and its groups
    stay equal."""

    def forward(self, image, text=None, image_latent=None, image_embs=None, **options):
        text, rows = text.unique(dim=0, return_inverse=True)
        latent, tokens = image_latent[: len(text)], image_embs[: len(text)]
        answer = super().forward(None, text, image_latent=latent, image_embs=tokens, **options)
        return answer | dict(logits=answer["logits"][rows])


class Oracle:
    """open_clip's model of a folder with open_clip_config.json and open_clip_model.safetensors."""

    def __init__(self, folder):
        with open(os.path.join(folder, "open_clip_config.json")) as file:
            config = json.load(file)
        described = {k: v for k, v in config["model_cfg"].items() if k != "custom_text"}
        self.model = CoCa(**described).eval()
        self.model.load_state_dict(load_file(os.path.join(folder, "open_clip_model.safetensors")))
        size = described["vision_cfg"].get("image_size", 224)
        self.height, self.width = (size, size) if isinstance(size, int) else size
        preprocess = config.get("preprocess_cfg") or {}
        self.transform = open_clip.image_transform(
            size,
            is_train=False,
            mean=preprocess.get("mean"),
            std=preprocess.get("std"),
            interpolation=preprocess.get("interpolation", "bicubic"),
            resize_mode=preprocess.get("resize_mode", "shortest"),
        )
        entries = min(described["text_cfg"].get("vocab_size", CLIP_VOCABULARY), CLIP_VOCABULARY)
        self.start, self.end = entries - 2, entries - 1
        self.tokenize = tokenizer(entries, self.model.context_length)

    def images(self, pixels):
        return self.model.encode_image(pixels)

    def texts(self, texts):
        return self.model.encode_text(self.tokenize(texts), normalize=True)

    def labels(self, labels, templates):
        """open_clip's build_zero_shot_classifier [labels, E], texts encoded one label at a time."""
        rows = [self.texts([template.format(label) for template in templates]).mean(0) for label in labels]
        return torch.nn.functional.normalize(torch.stack(rows), dim=-1)

    def caption(self, pixels, search, prompt, max_tokens, settings):
        """Tokens, score (None for greedy) and the closest decision of one caption."""
        prompt = [self.start] + (self.tokenize.encode(prompt) if prompt else [])
        if search == "log-prob":
            return self.log_prob(pixels, prompt, max_tokens, settings)
        scores = []
        with closest_decision() as closest, final_scores(scores):
            tokens = self.model.generate(
                pixels,
                # open_clip's beam search would ignore a prompt; ours is not compared with one there.
                text=torch.tensor([prompt]) if search == "greedy" else None,
                sot_token_id=self.start,
                eos_token_id=self.end,
                seq_len=max_tokens,
                generation_type="top_k" if search == "greedy" else "beam_search",
                top_k=1,
                **settings,
            )
        return tokens[0].tolist(), scores[0] if scores else None, closest.gap

    def log_prob(self, pixels, prompt, max_tokens, settings):
        """Hugging Face's beam search over open_clip's logits."""
        with closest_decision() as closest:
            found = Transformers(self.model, pixels).generate(
                torch.tensor([prompt]),
                GenerationConfig(
                    num_beams=settings.get("num_beams", 6),
                    early_stopping=False,
                    max_length=max_tokens,
                    min_length=settings.get("min_seq_len", 5),
                    repetition_penalty=settings.get("repetition_penalty", 1.0),
                    bos_token_id=self.start,
                    eos_token_id=self.end,
                    pad_token_id=0,
                    use_cache=False,
                    return_dict_in_generate=True,
                    output_scores=True,
                ),
            )
        return found.sequences[0].tolist(), found.sequences_scores[0].item(), closest.gap


def tokenizer(entries, context_length):
    """open_clip's, with as many merges as a cut vocabulary has room for."""
    if entries == CLIP_VOCABULARY:
        return open_clip.SimpleTokenizer(context_length=context_length)
    with gzip.open(open_clip.tokenizer.default_bpe()) as file:
        lines = file.read().decode("utf-8").split("\n")
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "merges.txt.gz")
        with gzip.open(path, "wt") as file:
            file.write("\n".join(lines[: 1 + entries - 512 - 2]))
        return open_clip.SimpleTokenizer(bpe_path=path, context_length=context_length)


class Transformers(PreTrainedModel, GenerationMixin):
    """open_clip's decoder and one picture as a Hugging Face causal language model."""

    config_class = PretrainedConfig

    def __init__(self, model, pixels):
        super().__init__(PretrainedConfig())
        # In a list, so that torch does not take it for a part of this module.
        self.coca, self.encoded = [model], model._encode_image(pixels)

    def forward(self, input_ids, **_):
        latent, tokens = (part.expand(len(input_ids), *part.shape[1:]) for part in self.encoded)
        answer = self.coca[0](None, input_ids, image_latent=latent, image_embs=tokens, output_labels=False)
        return CausalLMOutput(logits=answer["logits"])

    def prepare_inputs_for_generation(self, input_ids, **_):
        return {"input_ids": input_ids}

    @property
    def device(self):
        return torch.device("cpu")


class Closest:
    """torch.topk that remembers the smallest gap between neighbours in a ranking."""

    def __init__(self, topk):
        self.topk, self.gap = topk, float("inf")

    def __call__(self, scores, k, *arguments, **options):
        best = self.topk(scores, min(k + 1, scores.shape[-1]), dim=-1).values
        gaps = -best.diff(dim=-1)
        gaps = gaps[gaps.isfinite()]
        if len(gaps):
            self.gap = min(self.gap, gaps.min().item())
        return self.topk(scores, k, *arguments, **options)


@contextmanager
def closest_decision():
    """Watches every ranking of candidates: below float error, either order is right."""
    original = torch.topk
    torch.topk = Closest(original)
    try:
        yield torch.topk
    finally:
        torch.topk = original


@contextmanager
def final_scores(scores):
    """Keeps the score of the caption that open_clip's beam search ends with."""
    finalize = coca_model.BeamSearchScorer.finalize

    def spy(*arguments, **options):
        outcome = finalize(*arguments, **options)
        scores.append(outcome["sequence_scores"].item())
        return outcome

    coca_model.BeamSearchScorer.finalize = spy
    try:
        yield
    finally:
        coca_model.BeamSearchScorer.finalize = finalize
