"""Writes clip_merges.txt.gz: the merges that CLIP's tokenizer uses, one a line.

    pip install open_clip_torch==3.3.0 && python make.py
"""

import gzip
from pathlib import Path

import open_clip

MERGES = 49152 - 256 - 2  # as in open_clip.tokenizer.SimpleTokenizer

source = Path(open_clip.__file__).parent / "bpe_simple_vocab_16e6.txt.gz"
lines = gzip.decompress(source.read_bytes()).decode("utf-8").split("\n")
merges = "\n".join(lines[1 : MERGES + 1]) + "\n"
target = Path(__file__).parent / "clip_merges.txt.gz"
target.write_bytes(gzip.compress(merges.encode("utf-8"), 9, mtime=0))
