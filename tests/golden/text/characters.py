"""Writes what open_clip 3.3.0 makes of every character of Unicode: too much for the repository, minutes to make.

    pip install open_clip_torch==3.3.0 ftfy==6.3.1 && python characters.py OUT.gz
    COCA_CHARACTERS=OUT.gz cargo test --release -p coca-quantize --test tokenizer_parity -- --ignored every_character

A line for each character: its code point, then the ids of "a", the character, "b", a space and the character again.
"""

import gzip
import sys

import regex
from open_clip.tokenizer import SimpleTokenizer

tokenizer = SimpleTokenizer(context_length=76)
print("regex", regex.__version__)
with gzip.open(sys.argv[1], "wt", 6) as out:
    for code in range(0x110000):
        if not 0xD800 <= code < 0xE000:
            ids = tokenizer.encode(f"a{chr(code)}b {chr(code)}")
            out.write(" ".join(map(str, [code, *ids])) + "\n")
