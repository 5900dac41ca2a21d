#!/usr/bin/env python3
"""How steady labels and new scenes do with other thresholds, on made-up camera films of real photos.

    benches/watch/thresholds.py --coca target/release/coca --data DIR [--scenes 120] [--results THRESHOLDS.md]

DIR holds `labels-caltech101.jsonl`, `labels-imagenet.jsonl` and the photos that they name. A scene is one photo seen for 15
frames by a camera that is held in a hand: it drifts by up to 4 % of the picture, turns by up to 2°, its brightness wanders by
15 %, and there is noise. Scenes follow each other without a break. `coca embed` encodes frames and names; what `coca watch`
makes of the scores (smoothing, hysteresis) is computed here for each setting.

Needs Python 3.9, numpy and Pillow.
"""

import argparse
import datetime
import io
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy
from PIL import Image, ImageEnhance

FRAMES = 15
LABEL_COUNTS = [5, 20, 100, 300, 1000]
SETTINGS = [(smoothing, high, low) for smoothing in [0.0, 0.3, 0.6, 0.8] for high, low in [(0.2, 0.1), (0.3, 0.15), (0.4, 0.2), (0.5, 0.3), (0.7, 0.4)]]
SCENE_THRESHOLDS = [0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95]


def film(path, random):
    """A hand-held camera's frames of one photo."""
    photo = Image.open(path).convert("RGB")
    photo = photo.resize((640, round(640 * photo.height / photo.width)), Image.Resampling.BICUBIC)
    drift, turn, light = numpy.zeros(2), 0.0, 1.0
    for _ in range(FRAMES):
        drift = numpy.clip(drift + random.normal(0, 0.012, 2), -0.04, 0.04)
        turn = float(numpy.clip(turn + random.normal(0, 0.6), -2, 2))
        light = float(numpy.clip(light + random.normal(0, 0.05), 0.85, 1.15))
        margin = 0.05 * numpy.array(photo.size)
        shift = drift * photo.size
        box = (*(margin + shift), *(numpy.array(photo.size) - margin + shift))
        frame = photo.rotate(turn, Image.Resampling.BILINEAR).crop(tuple(int(side) for side in box))
        pixels = numpy.asarray(ImageEnhance.Brightness(frame).enhance(light), dtype=float)
        noisy = numpy.clip(pixels + random.normal(0, 6, pixels.shape), 0, 255)
        yield Image.fromarray(noisy.astype(numpy.uint8))


def embed(coca, arguments):
    output = subprocess.run([coca, "embed", "--format", "jsonl", *arguments], capture_output=True, text=True, check=True).stdout
    return numpy.array([json.loads(line)["embedding"] for line in output.splitlines()])


def embed_texts(coca, texts):
    return embed(coca, [argument for text in texts for argument in ("--text", text)])


def steady(scores, setting):
    """Entries of each frame, [frame][label], and whether labels are active."""
    smoothing, high, low = setting
    smoothed, active = None, numpy.zeros(scores.shape[1], bool)
    entries = numpy.zeros(scores.shape, bool)
    for frame, score in enumerate(scores):
        smoothed = score if smoothed is None else smoothing * smoothed + (1 - smoothing) * score
        now = numpy.where(active, smoothed >= low, smoothed >= high)
        entries[frame] = now & ~active
        active = now
    return entries


def judge(scores, truth, setting):
    """Share of scenes whose label enters, frames until then, wrong labels that enter and repeated entries, both per scene."""
    entries = steady(scores, setting)
    scenes = len(truth)
    found, delays, wrong, repeated = 0, [], 0, 0
    for scene, label in enumerate(truth):
        part = entries[scene * FRAMES:(scene + 1) * FRAMES]
        mine = numpy.flatnonzero(part[:, label])
        found += len(mine) > 0
        delays += [mine[0]] if len(mine) else []
        others = numpy.delete(part, label, axis=1)
        wrong += others.any(axis=0).sum()
        repeated += numpy.maximum(part.sum(axis=0) - 1, 0).sum()
    return found / scenes, float(numpy.mean(delays)) if delays else float("nan"), wrong / scenes, repeated / scenes


def softmax(logits):
    powers = numpy.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def label_table(frames, truth, names, texts, scale, random):
    for count in LABEL_COUNTS:
        if count < 100:
            # Each scene's own label and others at random: the list differs from scene to scene, as users' lists do.
            chosen = [numpy.concatenate(([label], random.choice(numpy.setdiff1d(numpy.arange(100), [label]), count - 1, replace=False))) for label in truth]
            scores = numpy.concatenate([
                softmax(scale * frames[scene * FRAMES:(scene + 1) * FRAMES] @ texts[chosen[scene]].T) for scene in range(len(truth))])
            judge_scenes = lambda setting: numpy.nanmean([
                judge(scores[scene * FRAMES:(scene + 1) * FRAMES], [0], setting) for scene in range(len(truth))], axis=0)
            top = scores.argmax(axis=1) == 0
        else:
            scores = softmax(scale * frames @ texts[:min(count, len(names))].T)
            judge_scenes = lambda setting: judge(scores, truth, setting)
            top = scores.argmax(axis=1) == numpy.repeat(truth, FRAMES)
        best = scores.max(axis=1)
        quantiles = numpy.quantile(best[top], [.1, .5, .9])
        yield (f"\n### {min(count, len(names))} labels\n\nThe right label is the best one in {top.mean():.0%} of the frames; its score is then "
               f"{quantiles[0]:.2f}, {quantiles[1]:.2f}, {quantiles[2]:.2f} (lowest tenth, median, highest tenth); of a wrong best label {numpy.median(best[~top]) if (~top).any() else float('nan'):.2f} (median).\n")
        yield "| smoothing | high, low | right label enters | frames until then | wrong labels that enter, a scene | repeated entries, a scene |\n|---|---|---|---|---|---|"
        for setting in SETTINGS:
            found, delay, wrong, repeated = judge_scenes(setting)
            yield f"| {setting[0]} | {setting[1]}, {setting[2]} | {found:.0%} | {delay:.1f} | {wrong:.2f} | {repeated:.2f} |"


def scene_table(frames, scenes):
    frames = frames.reshape(scenes, FRAMES, -1)
    same = numpy.einsum("sd,sfd->sf", frames[:, 0], frames[:, 1:])
    other = numpy.array([frames[scene, 0] @ frames[(scene + 1) % scenes, 0] for scene in range(scenes)])
    yield (f"Cosine to the scene's first frame: {numpy.quantile(same, .01):.2f}, {numpy.quantile(same, .05):.2f}, {numpy.median(same):.2f} (lowest "
           f"hundredth, lowest twentieth, median); to the next scene: {numpy.median(other):.2f}, {numpy.quantile(other, .95):.2f}, {numpy.quantile(other, .99):.2f} (median, highest twentieth, highest hundredth).\n")
    yield "| below | new scenes that are seen | captions too many: scenes with one | \n|---|---|---|"
    for threshold in SCENE_THRESHOLDS:
        yield f"| {threshold} | {(other < threshold).mean():.0%} | {(same < threshold).any(axis=1).mean():.0%} |"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--coca", default="target/release/coca")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--scenes", type=int, default=120)
    parser.add_argument("--results", type=Path, default=Path(__file__).parent / "THRESHOLDS.md")
    options = parser.parse_args()
    random = numpy.random.default_rng(5)
    gold = [entry for entry in lines(options.data / "labels-caltech101.jsonl") if entry["split"] == "val"]
    gold = [gold[place] for place in random.permutation(len(gold))[:options.scenes]]
    names = sorted({entry["label"] for entry in lines(options.data / "labels-caltech101.jsonl")})
    truth = numpy.array([names.index(entry["label"]) for entry in gold])
    names += [entry["label"] for entry in lines(options.data / "labels-imagenet.jsonl") if entry["label"] not in names]
    model = json.loads((Path(__file__).parents[2] / "models/pocket/coca.json").read_text())
    template, scale = model["template"], model["logit_scale"]
    with tempfile.TemporaryDirectory() as folder:
        for scene, entry in enumerate(gold):
            for frame, picture in enumerate(film(options.data / entry["file"], random)):
                picture.save(Path(folder) / f"{scene:04}-{frame:02}.jpg", quality=85)
        frames = embed(options.coca, [folder])
    texts = embed_texts(options.coca, [template.format(name) for name in names])
    text = f"""# Thresholds of `coca watch`

Written by `thresholds.py`: {len(gold)} scenes of {FRAMES} frames, the embedded model, {datetime.date.today().isoformat()}.

## New scenes

{chr(10).join(scene_table(frames, len(gold)))}

## Labels

{chr(10).join(label_table(frames, truth, names, texts, scale, random))}
"""
    options.results.write_text(text)
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
