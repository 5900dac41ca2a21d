"""What an import costs: time against reading and writing the checkpoint's bytes three times, and peak memory.

    python benches/import/cost.py CHECKPOINT WORK [--dtype f32|f16] [--runs 5] [--program target/release/coca-quantize]

CHECKPOINT is a folder with open_clip_config.json and its weights. Both sides find the file in the page cache, and the copy
does not wait for the disk; the import does (a model that is reported as written is on the disk). Needs no torch: a
process begins with its parent's peak memory, so whoever measures must be small. Linux alone.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import time

WEIGHTS = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")


def copy_cost(source, target):
    """Seconds, and of them in the processor."""
    start, processor = time.perf_counter(), time.process_time()
    with open(source, "rb") as a, open(target, "wb") as b:
        while piece := a.read(1 << 20):
            b.write(piece)
    cost = time.perf_counter() - start, time.process_time() - processor
    os.remove(target)
    return cost


def import_cost(command):
    """Seconds, of them in the processor, and peak resident bytes."""
    start = time.perf_counter()
    process = subprocess.Popen(command)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit("the import failed")
    return time.perf_counter() - start, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("checkpoint")
    parser.add_argument("work")
    parser.add_argument("--dtype", default="f32", choices=["f32", "f16"])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--program", default="target/release/coca-quantize")
    a = parser.parse_args()
    weights = next(path for name in WEIGHTS if os.path.exists(path := os.path.join(a.checkpoint, name)))
    size, model = os.path.getsize(weights), os.path.join(a.work, "model")
    os.makedirs(a.work, exist_ok=True)
    copies, imports = [], []
    for _ in range(a.runs):
        copies.append(copy_cost(weights, os.path.join(a.work, "copy")))
        os.sync()
        imports.append(import_cost([a.program, "import", a.checkpoint, model, "--dtype", a.dtype, "--quiet"]))
        shutil.rmtree(model)
        os.sync()
    seconds, processor, peak = (statistics.median(column) for column in zip(*imports))
    copied, copying = (statistics.median(column) for column in zip(*copies))
    print(json.dumps(dict(dtype=a.dtype, checkpoint_mb=round(size / 1e6), copy_s=round(copied, 2), import_s=round(seconds, 2),
                          import_per_copy=round(seconds / copied, 2), copy_processor_s=round(copying, 2),
                          import_processor_s=round(processor, 2), processor_per_copy=round(processor / copying, 2),
                          peak_mb=round(peak / 1e6), peak_per_checkpoint=round(peak / size, 3))))


if __name__ == "__main__":
    main()
