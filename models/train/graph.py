"""A small builder of ONNX graphs: layers in, nodes and stored weights out."""
from __future__ import annotations

from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor

from quantise import Stored, dequantise
from rounding import Rounder

OPSET = 17
ALIGNMENT = 64
EXTERNAL_FROM = 1024
F32, I64 = TensorProto.FLOAT, TensorProto.INT64


class WeightFile:
    """One .bin file of raw tensors, each aligned; several graphs may point into it."""

    def __init__(self, name: str) -> None:
        self.name, self.content, self.offsets = name, bytearray(), {}

    def place(self, tensor: TensorProto) -> None:
        """Moves a tensor's bytes here; the same name a second time is the same tensor."""
        raw = tensor.raw_data
        if tensor.name not in self.offsets:
            self.content.extend(bytes(-len(self.content) % ALIGNMENT))
            self.offsets[tensor.name] = len(self.content)
            self.content.extend(raw)
        offset = self.offsets[tensor.name]
        if self.content[offset:offset + len(raw)] != raw:
            raise ValueError(f"{tensor.name} is stored twice with different values")
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in (("location", self.name), ("offset", offset), ("length", len(raw))):
            tensor.external_data.add(key=key, value=str(value))


class Graph:
    """Nodes are added in order; every method returns the name of its result."""

    def __init__(self, name: str, inputs: list, files: dict[str, WeightFile]) -> None:
        self.name, self.files = name, files
        self.inputs = [helper.make_tensor_value_info(*value) for value in inputs]
        self.outputs: list = []
        self.nodes: list = []
        self.tensors: dict[str, TensorProto] = {}

    def op(self, kind: str, *inputs: str, name: str = "", outputs: int = 1, **attributes) -> str:
        name = name or f"{kind.lower()}_{len(self.nodes)}"
        results = [name] if outputs == 1 else [f"{name}.{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(kind, list(inputs), results, name=name, **attributes))
        return results[0]

    def output(self, value: str, name: str, element: int, shape: list) -> None:
        self.op("Identity", value, name=name)
        self.outputs.append(helper.make_tensor_value_info(name, element, shape))

    def constant(self, value: Tensor | np.ndarray | list | float, name: str, file: str = "") -> str:
        """An initializer; large ones go to the named weight file."""
        if isinstance(value, Tensor):
            value = value.detach().numpy()
        array = np.asarray(value)
        if array.dtype == np.float64:
            array = array.astype(np.float32)
        if name not in self.tensors:
            tensor = numpy_helper.from_array(np.ascontiguousarray(array).reshape(array.shape), name)
            if array.nbytes >= EXTERNAL_FROM:
                self.files[file].place(tensor)
            self.tensors[name] = tensor
        return name

    def ints(self, *values: int) -> str:
        return self.constant(np.array(values, np.int64), "ints_" + "_".join(map(str, values)).replace("-", "m"))

    def weight(self, stored: Stored, name: str, file: str, axis: int) -> str:
        """A weight; int8 is dequantised by the graph, with one scale for each entry of `axis`."""
        if stored.data.dtype == np.float32:
            return self.constant(dequantise(stored, axis), name, file)
        data = self.constant(stored.data, name, file)
        scale = self.constant(stored.scale, f"{name}.scale", file)
        result = f"{name}.f32"
        if all(node.output[0] != result for node in self.nodes):
            zero = self.constant(np.zeros(stored.scale.shape, np.int8), f"{name}.zero", file)
            self.op("DequantizeLinear", data, scale, zero, name=result, axis=axis)
        return result

    def rounded(self, x: str, rounder: Rounder, name: str) -> str:
        """x as the u8 codes of one tensor, and back."""
        scale = self.constant(np.float32(rounder.scale().item()), f"{name}.scale")
        zero = self.constant(np.uint8(rounder.zero.item()), f"{name}.zero")
        codes = self.op("QuantizeLinear", x, scale, zero, name=f"{name}.codes")
        return self.op("DequantizeLinear", codes, scale, zero, name=f"{name}.value")

    def int8_bias(self, bias: Tensor, scale: np.ndarray, name: str, file: str) -> str:
        """A convolution's bias in units of its input's scale times its weights' scales."""
        codes = self.constant(np.round(bias.detach().numpy().astype(np.float64) / scale).astype(np.int32), name, file)
        return self.op("DequantizeLinear", codes, self.constant(scale, f"{name}.scale", file), name=f"{name}.f32", axis=0)

    def norm(self, x: str, layer, name: str, file: str, factor: float = 1.0) -> str:
        weight = self.constant(layer.weight * factor, f"{name}.weight", file)
        bias = self.constant(layer.bias * factor, f"{name}.bias", file)
        return self.op("LayerNormalization", x, weight, bias, axis=-1, epsilon=layer.eps)

    def linear(self, x: str, stored: Stored, bias: Tensor | None, name: str, file: str, factor: float = 1.0) -> str:
        """x @ W + b with W stored (in, out); `factor` scales the result at no cost."""
        weight = self.weight(Stored(stored.data.T, stored.scale * np.float32(factor)), f"{name}.weight", file, axis=1)
        y = self.op("MatMul", x, weight)
        return y if bias is None else self.op("Add", y, self.constant(bias * factor, f"{name}.bias", file))

    def gelu(self, x: str) -> str:
        erf = self.op("Erf", self.op("Div", x, self.constant(np.float32(2 ** 0.5), "sqrt_2")))
        y = self.op("Mul", x, self.op("Add", erf, self.constant(np.float32(1), "one")))
        return self.op("Mul", y, self.constant(np.float32(0.5), "half"))

    def unit_length(self, x: str) -> str:
        return self.op("Div", x, self.op("ReduceL2", x, axes=[-1], keepdims=1))

    def save(self, folder: Path) -> Path:
        graph = helper.make_graph(self.nodes, self.name, self.inputs, self.outputs, list(self.tensors.values()))
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="coca-edge")
        model.ir_version = 8
        path = folder / f"{self.name}.onnx"
        path.write_bytes(model.SerializeToString())
        return path
