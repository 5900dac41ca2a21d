"""Imports a full-size checkpoint and compares what coca answers with what open_clip answers.

    pip install torch open_clip_torch==3.3.0 transformers==4.46.3 safetensors pillow numpy
    cargo build --release --workspace
    python benches/import/compare.py WORK [--config coca_ViT-B-32] [--dtype f32|f16] [--programs target/release]

The checkpoint has random weights (open_clip's own initialisation, seed 0) and is made in the folder WORK, where it and
the model stay unless --clean is given. Pictures are made up in the model's own size, so that both sides see the same
pixels. Prints one JSON object; the tolerances are those of the golden tests and a breach ends with status 1.
"""

import argparse
import json
import logging
import os
import shutil
import subprocess
import sys
import time

import numpy as np
import open_clip
import torch
from PIL import Image
from safetensors.torch import save_file

LABELS = ["a cat", "dog", "two wooden boats on a quiet lake", "x", "the 1960s!"]
TEMPLATE = "a photo of a {}."
PICTURES = 2
SEARCHES = [
    (["--search", "openclip"], dict(generation_type="beam_search"), None),
    (["--search", "openclip", "--beams", "4", "--beam-groups", "1"],
     dict(generation_type="beam_search", num_beams=4, num_beam_groups=1), None),
    (["--search", "openclip", "--beams", "4", "--beam-groups", "2", "--repetition-penalty", "1.5", "--min-tokens", "8"],
     dict(generation_type="beam_search", num_beams=4, num_beam_groups=2, repetition_penalty=1.5, min_seq_len=8), None),
    (["--search", "greedy"], dict(generation_type="top_k", top_k=1), None),
    (["--search", "greedy", "--repetition-penalty", "1.3"],
     dict(generation_type="top_k", top_k=1, repetition_penalty=1.3), None),
    (["--search", "greedy"], dict(generation_type="top_k", top_k=1), "a photo of"),
]
TOKENS = 12


def make(config):
    torch.manual_seed(0)
    model = open_clip.create_model(config, pretrained=None).eval()
    generator = torch.Generator().manual_seed(1)
    projection = model.text_decoder.text_projection  # open_clip leaves this one uninitialised
    projection.copy_(torch.randn(projection.shape, generator=generator) * projection.shape[0] ** -0.5)
    model.logit_scale.fill_(float(np.log(100.0)))
    return model


def store(model, config, folder):
    os.makedirs(folder, exist_ok=True)
    state = {k: v.contiguous().clone() for k, v in model.state_dict().items()}
    save_file(state, os.path.join(folder, "open_clip_model.safetensors"))
    described = dict(model_cfg=open_clip.get_model_config(config))
    json.dump(described, open(os.path.join(folder, "open_clip_config.json"), "w"))


def pictures(folder, size):
    """Noise on slow waves, so that no two patches are alike."""
    random = np.random.default_rng(0)
    y, x = np.mgrid[0:size, 0:size] / size
    paths = []
    for p in range(PICTURES):
        waves = [np.sin((p + 1) * (3 + c) * x + (c + 2) * y * 5) * 90 + 128 for c in range(3)]
        picture = np.stack(waves, -1) + random.normal(0, 30, (size, size, 3))
        paths.append(os.path.join(folder, f"{p}.png"))
        Image.fromarray(picture.clip(0, 255).astype(np.uint8)).save(paths[-1])
    return paths


def timed(command):
    """Seconds and peak resident megabytes of a command."""
    start = time.perf_counter()
    process = subprocess.Popen(command)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{command[0]} failed")
    return time.perf_counter() - start, usage.ru_maxrss / 1024


def copy_seconds(source, target):
    """What reading and writing a file once costs here, the disk included."""
    start = time.perf_counter()
    with open(source, "rb") as a, open(target, "wb") as b:
        shutil.copyfileobj(a, b, 1 << 20)
        os.fsync(b.fileno())
    seconds = time.perf_counter() - start
    os.remove(target)
    return seconds


def answers(program, model, *arguments):
    """The JSON lines that coca prints."""
    command = [program, arguments[0], "--model", model, "--quiet", "--format", "jsonl", *arguments[1:]]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
    return [json.loads(line) for line in output.splitlines()]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("work")
    parser.add_argument("--config", default="coca_ViT-B-32")
    parser.add_argument("--dtype", default="f32", choices=["f32", "f16"])
    parser.add_argument("--programs", default="target/release")
    parser.add_argument("--clean", action="store_true")
    a = parser.parse_args()
    logging.disable(logging.WARNING)
    torch.set_grad_enabled(False)
    checkpoint, bundle = os.path.join(a.work, a.config), os.path.join(a.work, f"{a.config}-{a.dtype}")
    coca, quantize = (os.path.join(a.programs, name) for name in ("coca", "coca-quantize"))

    model = make(a.config)
    store(model, a.config, checkpoint)
    weights = os.path.join(checkpoint, "open_clip_model.safetensors")
    size = os.path.getsize(weights) / 2**20
    copied = copy_seconds(weights, weights + ".copy")
    seconds, peak = timed([quantize, "import", checkpoint, bundle, "--dtype", a.dtype, "--quiet"])
    report = dict(config=a.config, dtype=a.dtype, checkpoint_mb=round(size), import_s=round(seconds, 2),
                  copy_s=round(copied, 2), import_per_copy=round(seconds / copied, 2),
                  import_peak_mb=round(peak), peak_per_checkpoint=round(peak / size, 3))

    side = open_clip.get_model_config(a.config)["vision_cfg"]["image_size"]
    paths = pictures(a.work, side)
    transform = open_clip.image_transform(side, is_train=False)
    tokenize = open_clip.SimpleTokenizer(context_length=76)
    pixels = torch.stack([transform(Image.open(path)) for path in paths])
    images, texts = model.encode_image(pixels), model.encode_text(tokenize(LABELS), normalize=True)

    found = np.array([row["embedding"] for row in answers(coca, bundle, "embed", *paths)])
    report["image_off"] = float(np.abs(found - images.numpy()).max())
    arguments = [argument for label in LABELS for argument in ("--text", label)]
    found = np.array([row["embedding"] for row in answers(coca, bundle, "embed", *arguments)])
    report["text_off"] = float(np.abs(found - texts.numpy()).max())

    sentences = model.encode_text(tokenize([TEMPLATE.format(label) for label in LABELS]), normalize=True)
    scores = (100 * images @ sentences.T).softmax(-1).numpy()
    rows = answers(coca, bundle, "classify", *paths, "--labels", ",".join(LABELS), "--top-k", str(len(LABELS)))
    by_label = [{best["label"]: best["score"] for best in row["labels"]} for row in rows]
    found = np.array([[row[label] for label in LABELS] for row in by_label])
    report["score_off"] = float(np.abs(found - scores).max())

    report["captions"], report["captions_equal"] = 0, 0
    for options, keywords, prompt in SEARCHES:
        start = torch.tensor([[49406] + tokenize.encode(prompt)]) if prompt else None
        prompted = ["--prompt", prompt] if prompt else []
        rows = answers(coca, bundle, "caption", *paths, *options, *prompted, "--max-tokens", str(TOKENS))
        for p, row in enumerate(rows):
            expected = model.generate(pixels[p : p + 1], text=start, seq_len=TOKENS, **keywords)[0].tolist()
            report["captions"] += 1
            report["captions_equal"] += row["tokens"] == expected
            if row["tokens"] != expected:
                print(f"{options} {prompt or ''} picture {p}: expected {expected}, found {row['tokens']}", file=sys.stderr)
    print(json.dumps(report))
    if a.clean:
        shutil.rmtree(checkpoint)
        shutil.rmtree(bundle)
    exact = a.dtype == "f32"
    good = max(report["image_off"], report["text_off"]) <= (1e-5 if exact else 2e-3) and report["score_off"] <= (
        1e-4 if exact else 2e-2) and (not exact or report["captions"] == report["captions_equal"])
    sys.exit(not good)


if __name__ == "__main__":
    main()
