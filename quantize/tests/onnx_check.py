"""Checks every part of a bundle with ONNX's checker and runs it in ONNX Runtime.

    pip install numpy onnx onnxruntime
    python onnx_check.py BUNDLE [ANSWERS.json [TOLERANCE]]

ANSWERS.json is what this project's engine answered, written by the test `onnx_runtime.rs`: a list of
{part, inputs, outputs}, each tensor {name, type, shape, values}. Every output must agree to TOLERANCE (1e-4) of the largest
number in it, with and without ONNX Runtime's optimisations. Convolutions of codes must become QLinearConv. Exit status 77: a Python package is missing.
"""

import json
import os
import sys
import tempfile

try:
    import numpy as np
    import onnx
    import onnxruntime as ort
except ImportError as missing:
    print(missing)
    sys.exit(77)

PARTS = ["image_encoder", "text_encoder", "cross_kv", "caption_decoder"]
TOLERANCE = 1e-4


def array(tensor):
    return np.array(tensor["values"], dtype=tensor["type"]).reshape(tensor["shape"])


def session(path, level, optimised=None):
    options = ort.SessionOptions()
    if optimised:
        options.optimized_model_filepath = optimised
    options.graph_optimization_level = level
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    # Its own default rounds what layers with int8 weights read, once it optimises.
    options.add_session_config_entry("session.qdq_matmulnbits_accuracy_level", "1")
    return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def check_codes(path, model):
    """Every convolution of codes must be computed in 8 bits."""
    if not any(node.op_type == "QuantizeLinear" for node in model.graph.node):
        return
    with tempfile.TemporaryDirectory() as folder:
        optimised = os.path.join(folder, "optimised.onnx")
        session(path, ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED, optimised)
        operators = [node.op_type for node in onnx.load(optimised, load_external_data=False).graph.node]
    convolutions = sum(node.op_type == "Conv" for node in model.graph.node)
    assert operators.count("QLinearConv") == convolutions, operators
    assert operators.count("QLinearAdd") >= 1, operators


def main():
    bundle = sys.argv[1]
    answers = json.load(open(sys.argv[2])) if len(sys.argv) > 2 else []
    tolerance = float(sys.argv[3]) if len(sys.argv) > 3 else TOLERANCE
    for part in PARTS:
        path = os.path.join(bundle, part + ".onnx")
        if not os.path.exists(path) and not any(a["part"] == part for a in answers):
            continue  # A CLIP has no decoder.
        onnx.checker.check_model(path, full_check=True)
        model = onnx.load(path, load_external_data=False)
        assert {o.domain for o in model.opset_import} <= {"", "ai.onnx"}, "only ai.onnx operators"
        for weight in model.graph.initializer:
            offsets = [int(e.value) for e in weight.external_data if e.key == "offset"]
            assert all(offset % 64 == 0 for offset in offsets), f"{weight.name} is not aligned"
        check_codes(path, model)
        for level in (ort.GraphOptimizationLevel.ORT_DISABLE_ALL, ort.GraphOptimizationLevel.ORT_ENABLE_ALL):
            runtime = session(path, level)
            for case in (a for a in answers if a["part"] == part):
                found = runtime.run(
                    [o["name"] for o in case["outputs"]], {i["name"]: array(i) for i in case["inputs"]}
                )
                for tensor, values in zip(case["outputs"], found):
                    expected = array(tensor)
                    assert values.shape == expected.shape, (part, tensor["name"], values.shape, expected.shape)
                    error = np.abs(values - expected).max(initial=0) / max(1, np.abs(expected).max(initial=0))
                    assert error <= tolerance, f"{part}, {tensor['name']}: off by {error}"
        cases = sum(a["part"] == part for a in answers)
        print(f"{part}: checked, {len(model.graph.node)} nodes, {cases} cases agree")


if __name__ == "__main__":
    main()
