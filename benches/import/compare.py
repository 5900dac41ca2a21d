"""Imports a checkpoint, of full size or any other, and compares what coca answers with what open_clip answers.

    pip install torch==2.9.1 open_clip_torch==3.3.0 transformers==4.46.3 safetensors pillow numpy
    cargo build --release --workspace
    python benches/import/compare.py WORK [--config coca_ViT-B-32 | --checkpoint FOLDER] [--dtype f32|f16]
                                     [--photos FOLDER] [--pictures 3] [--max-tokens 20] [--few-searches]
                                     [--programs target/release]

Without --checkpoint one is made in the folder WORK: random weights, open_clip's own initialisation and seed 0. Pictures
are brought to the model's own size first, so that both sides see the same pixels; without --photos they are made up.
With --clean the model, and a checkpoint that was made, are removed.

Prints one JSON object. Status 1 for a breach: embeddings 1e-5, label scores 1e-4, and every token of every caption,
unless open_clip's own ranking was closer than TIE there, which is counted and printed. f16 is compared with the
unrounded model, to the looser tolerances below, and its captions are only counted.
"""

import argparse
import json
import logging
import os
import shutil
import subprocess
import sys

import numpy as np
import open_clip
import torch
from PIL import Image
from safetensors.torch import save_file

from oracle import Oracle

TEXTS = ["a cat", "dog", "two wooden boats on a quiet lake", "x", "the 1960s!", "!", "don’t stop &amp; look", "",
         "a very long sentence that goes on and on " * 12]
LABELS = ["cat", "dog", "wooden boat", "lake in the rain", "1960s car"]
TEMPLATE = "a photo of a {}."
TOLERANCES = {"f32": dict(embedding=1e-5, score=1e-4), "f16": dict(embedding=2e-3, score=2e-2)}
CAPTION_SCORE = 1e-4  # relative
TIE = 1e-4  # logits: ten times what float32 sums of this length differ by
# Search, prompt, and the options that differ from the defaults, by open_clip's names. With --few-searches the first three.
SEARCHES = [
    ("openclip", "", dict()),
    ("greedy", "", dict()),
    ("log-prob", "", dict(num_beams=3)),
    ("openclip", "", dict(num_beams=6, num_beam_groups=1)),
    ("openclip", "", dict(num_beams=4, num_beam_groups=2, repetition_penalty=1.5, min_seq_len=8)),
    ("openclip", "", dict(num_beams=3, num_beam_groups=1, repetition_penalty=0.8, seq_len=9)),
    ("openclip", "", dict(num_beams=8, num_beam_groups=2, min_seq_len=1)),
    ("greedy", "", dict(repetition_penalty=1.3, min_seq_len=8, seq_len=11)),
    ("greedy", "a photo of", dict(repetition_penalty=1.2)),
    ("log-prob", "", dict()),
    ("log-prob", "", dict(num_beams=2, repetition_penalty=1.4, min_seq_len=9)),
    ("log-prob", "a photo of", dict(num_beams=4)),
]
OPTIONS = dict(num_beams="--beams", num_beam_groups="--beam-groups", repetition_penalty="--repetition-penalty",
               min_seq_len="--min-tokens")


def make_checkpoint(config, folder):
    torch.manual_seed(0)
    model = open_clip.create_model(config, pretrained=None)
    generator = torch.Generator().manual_seed(1)
    projection = model.text_decoder.text_projection  # open_clip leaves this one uninitialised
    projection.copy_(torch.randn(projection.shape, generator=generator) * projection.shape[0] ** -0.5)
    os.makedirs(folder, exist_ok=True)
    state = {k: v.contiguous().clone() for k, v in model.state_dict().items()}
    save_file(state, os.path.join(folder, "open_clip_model.safetensors"))
    with open(os.path.join(folder, "open_clip_config.json"), "w") as file:
        json.dump(dict(model_cfg=open_clip.get_model_config(config)), file)


def waves(number, height, width):
    """Noise on slow waves, so that no two patches are alike."""
    y, x = np.mgrid[0:height, 0:width] / max(height, width)
    channels = [np.sin((number + 1) * (3 + c) * x + (c + 2) * y * 5) * 90 + 128 for c in range(3)]
    picture = np.stack(channels, -1) + np.random.default_rng(number).normal(0, 30, (height, width, 3))
    return Image.fromarray(picture.clip(0, 255).astype(np.uint8))


def pictures(photos, count, height, width, folder):
    """Paths of PNGs in the model's own size."""
    names = sorted(os.listdir(photos))[:count] if photos else range(count)
    paths = []
    for number, name in enumerate(names):
        picture = Image.open(os.path.join(photos, name)).convert("RGB") if photos else waves(number, height, width)
        paths.append(os.path.join(folder, f"{height}x{width}-{number}.png"))
        picture.resize((width, height), Image.Resampling.BICUBIC).save(paths[-1])
    return paths


def answers(program, model, *arguments):
    """The JSON lines that coca prints."""
    command = [program, arguments[0], "--model", model, "--quiet", "--format", "jsonl", *arguments[1:]]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
    return [json.loads(line) for line in output.splitlines()]


def compare_embeddings(oracle, ask, paths, pixels):
    found = np.array([row["embedding"] for row in ask("embed", *paths)])
    image_off = np.abs(found - oracle.images(pixels).numpy()).max()
    arguments = [argument for text in TEXTS for argument in ("--text", text)]
    found = np.array([row["embedding"] for row in ask("embed", *arguments)])
    text_off = np.abs(found - oracle.texts(TEXTS).numpy()).max()
    return dict(image_off=float(image_off), text_off=float(text_off))


def compare_scores(oracle, ask, paths, pixels):
    off = 0.0
    for choice, templates in ([], [TEMPLATE]), (["--templates", "simple"], open_clip.SIMPLE_IMAGENET_TEMPLATES):
        templates = [t if isinstance(t, str) else t("{}") for t in templates]
        labels = oracle.labels(LABELS, templates)
        expected = (100.0 * oracle.images(pixels) @ labels.T).softmax(-1).numpy()
        rows = ask("classify", *paths, "--labels", ",".join(LABELS), "--top-k", str(len(LABELS)), *choice)
        scores = [{best["label"]: best["score"] for best in row["labels"]} for row in rows]
        found = np.array([[row[label] for label in LABELS] for row in scores])
        off = max(off, float(np.abs(found - expected).max()))
    return dict(score_off=off)


def compare_captions(oracle, ask, paths, pixels, most, searches):
    report = dict(captions=0, captions_equal=0, captions_tied=0, captions_wrong=0, closest_decision=float("inf"),
                  caption_score_off=0.0, ended=0)
    for search, prompt, settings in searches:
        settings = dict(settings)
        max_tokens = min(settings.pop("seq_len", most), most)
        prompt_length = 1 + len(oracle.tokenize.encode(prompt))
        if max_tokens <= max(settings.get("min_seq_len", 5), prompt_length):
            continue  # in a model with a short context
        options = [text for key, value in settings.items() for text in (OPTIONS[key], str(value))]
        rows = ask("caption", *paths, "--search", search, "--prompt", prompt, "--max-tokens", str(max_tokens), *options)
        for number, row in enumerate(rows):
            expected, score, gap = oracle.caption(pixels[number : number + 1], search, prompt, max_tokens, settings)
            equal = row["tokens"] == expected
            verdict = "equal" if equal else "tied" if gap < TIE else "wrong"
            report["captions"] += 1
            report[f"captions_{verdict}"] += 1
            report["closest_decision"] = min(report["closest_decision"], gap)
            report["ended"] += expected[-1] == oracle.end
            if equal and score is not None:
                off = abs(row["score"] - score) / max(abs(score), 1e-3)
                report["caption_score_off"] = max(report["caption_score_off"], off)
            if not equal:
                print(f"{search} {prompt!r} {settings} picture {number}: {verdict}, closest decision {gap:.2e}\n"
                      f"  expected {expected}\n  found    {row['tokens']}", file=sys.stderr)
    return report


def breaches(report, dtype):
    allowed = TOLERANCES[dtype]
    found = [k for k in ("image_off", "text_off") if report[k] > allowed["embedding"]]
    found += ["score_off"] if report["score_off"] > allowed["score"] else []
    if dtype == "f32":
        found += ["captions_wrong"] if report["captions_wrong"] else []
        found += ["caption_score_off"] if report["caption_score_off"] > CAPTION_SCORE else []
    return found


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("work")
    parser.add_argument("--config", default="coca_ViT-B-32")
    parser.add_argument("--checkpoint")
    parser.add_argument("--dtype", default="f32", choices=["f32", "f16"])
    parser.add_argument("--photos")
    parser.add_argument("--pictures", type=int, default=3)
    parser.add_argument("--max-tokens", type=int, default=20)
    parser.add_argument("--few-searches", action="store_true")
    parser.add_argument("--programs", default="target/release")
    parser.add_argument("--clean", action="store_true")
    a = parser.parse_args()
    logging.disable(logging.WARNING)
    torch.set_grad_enabled(False)
    torch.set_num_threads(1)
    coca, quantize = (os.path.join(a.programs, name) for name in ("coca", "coca-quantize"))

    name = os.path.basename(os.path.normpath(a.checkpoint)) if a.checkpoint else a.config
    checkpoint, bundle = a.checkpoint or os.path.join(a.work, name), os.path.join(a.work, f"{name}-{a.dtype}")
    os.makedirs(a.work, exist_ok=True)
    if not os.path.exists(checkpoint):
        make_checkpoint(a.config, checkpoint)
    subprocess.run([quantize, "import", checkpoint, bundle, "--dtype", a.dtype, "--quiet"], check=True)

    oracle = Oracle(checkpoint)
    paths = pictures(a.photos, a.pictures, oracle.height, oracle.width, a.work)
    pixels = torch.stack([oracle.transform(Image.open(path)) for path in paths])
    ask = lambda *arguments: answers(coca, bundle, *arguments)
    report = dict(checkpoint=name, dtype=a.dtype, pictures=len(paths))
    report |= compare_embeddings(oracle, ask, paths, pixels)
    report |= compare_scores(oracle, ask, paths, pixels)
    most = min(a.max_tokens, oracle.model.context_length)
    searches = SEARCHES[:3] if a.few_searches else SEARCHES
    report |= compare_captions(oracle, ask, paths, pixels, most, searches)
    report["breaches"] = breaches(report, a.dtype)
    print(json.dumps(report))
    if a.clean:
        shutil.rmtree(bundle)
        if not a.checkpoint:
            shutil.rmtree(checkpoint)
    sys.exit(bool(report["breaches"]))


if __name__ == "__main__":
    main()
