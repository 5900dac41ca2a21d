"""A copy of ONNX Runtime that sees AVX2 and nothing beyond it, on a processor that has more.

ONNX Runtime has no setting for that: its kernels are chosen by `cpuid`. Every `cpuid` of the copy is replaced by an instruction
that no processor knows, whose signal avx2_alone.c answers. That costs a signal for each of them when the library is loaded,
and nothing afterwards. Needs objdump, readelf and cc; x86-64 Linux.
"""

import importlib.util
import os
import re
import shutil
import subprocess
from pathlib import Path

CPUID, UD2 = b"\x0f\xa2", b"\x0f\x0b"
HANDLER = Path(__file__).with_suffix(".c")


def environment(folder):
    """Variables with which Python imports the copy, made in `folder`."""
    package = Path(importlib.util.find_spec("onnxruntime").origin).parent
    copy = folder / package.name
    shutil.copytree(package, copy, ignore=shutil.ignore_patterns("__pycache__"))
    if not sum(replace_cpuid(library) for library in copy.glob("capi/*.so*")):
        raise RuntimeError("no cpuid in ONNX Runtime's libraries: it is not limited")
    handler = folder / "avx2_alone.so"
    subprocess.run(["cc", "-O2", "-shared", "-fPIC", HANDLER, "-o", handler], check=True)
    return {"LD_PRELOAD": str(handler), "PYTHONPATH": str(folder)}


def replace_cpuid(library):
    """Replaces every `cpuid` of a library, and says how many there were."""
    code = output("objdump", "--disassemble", "--no-show-raw-insn", library)
    addresses = [int(address, 16) for address in re.findall(r"^ *([0-9a-f]+):\s+cpuid", code, re.MULTILINE)]
    number = r"\s+(0x[0-9a-f]+)"
    segments = re.findall(rf"^ *LOAD{number}{number}{number}{number}", output("readelf", "-lW", library), re.MULTILINE)
    segments = [[int(field, 16) for field in segment] for segment in segments]
    content = bytearray(library.read_bytes())
    for address in addresses:
        at = next(address - start + offset for offset, start, _, size in segments if start <= address < start + size)
        assert content[at:at + 2] == CPUID, f"{library}: no cpuid at {at}"
        content[at:at + 2] = UD2
    library.write_bytes(content)
    return len(addresses)


def output(*command):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env={**os.environ, "LC_ALL": "C"}).stdout
