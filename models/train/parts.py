"""The four ONNX parts of a bundle, written out from the trained weights."""
from __future__ import annotations

from typing import NamedTuple

import numpy as np

from graph import F32, I64, Graph, WeightFile
from model import MASKED, VARIANCE_EPS, Attention, CoCa, CrossBlock, SelfBlock
from quantise import Stored, least_scale, quantise
from rounding import Rounder
from tokenizer import END
from trunk import GRID_WIDTH, IMAGE_SIZE, MIDDLE_BLOCK, MIDDLE_WIDTH, Conv, EfficientNetLite0

VISION, TEXT, DECODER = "vision.bin", "text.bin", "decoder.bin"


class Value(NamedTuple):
    """A picture's channels within a graph; `scale` is that of its codes, where it has some."""

    name: str
    side: int
    scale: float


class Parts:
    """Builds the parts of one model; `stored` maps parameter names to the weights to write."""

    def __init__(self, model: CoCa, trunk: EfficientNetLite0, stored: dict[str, Stored]) -> None:
        self.model, self.trunk, self.stored, self.config = model, trunk, stored, model.config
        self.files = {name: WeightFile(name) for name in (VISION, TEXT, DECODER)}

    def all(self) -> list[Graph]:
        return [self.image_encoder(), self.text_encoder(), self.cross_kv(), self.caption_decoder()]

    # Layers

    def linear(self, g: Graph, x: str, layer, name: str, file: str, factor: float = 1.0) -> str:
        return g.linear(x, self.stored[f"{name}.weight"], layer.bias, name, file, factor)

    def conv(self, g: Graph, x: Value, layer: Conv, name: str) -> Value:
        """A convolution: of codes where the trunk is rounded, and with its result as codes again."""
        weight, bias = self.conv_weights(g, x, layer, name)
        y = g.op("Conv", x.name, weight, bias, kernel_shape=[layer.kernel] * 2, strides=[layer.stride] * 2,
                 pads=list(layer.pads(x.side, x.side)), group=layer.groups)
        if layer.activate:
            y = g.op("Clip", y, g.constant(np.float32(0), "zero"), g.constant(np.float32(6), "six"))
        return self.rounded(g, y, layer.rounded, name, -(-x.side // layer.stride))

    def conv_weights(self, g: Graph, x: Value, layer: Conv, name: str) -> tuple[str, str]:
        if layer.rounded is None:
            return g.constant(layer.weight, f"{name}.weight", VISION), g.constant(layer.bias, f"{name}.bias", VISION)
        stored = quantise(layer.weight, least_scale(layer.bias, x.scale))
        bias = g.int8_bias(layer.bias, stored.scale * np.float32(x.scale), f"{name}.bias", VISION)
        return g.weight(stored, f"{name}.weight", VISION, axis=0), bias

    def rounded(self, g: Graph, x: str, rounder: Rounder | None, name: str, side: int) -> Value:
        if rounder is None:
            return Value(x, side, 0.0)
        return Value(g.rounded(x, rounder, name), side, rounder.scale().item())

    def heads(self, g: Graph, x: str, order: tuple[int, ...] = (0, 2, 1, 3)) -> str:
        split = g.op("Reshape", x, g.ints(0, 0, self.config.heads, self.config.width // self.config.heads))
        return g.op("Transpose", split, perm=list(order))

    def query(self, g: Graph, x: str, attention: Attention, name: str, file: str) -> str:
        """Projected, split into heads, with the attention scale folded into the weights."""
        factor = (self.config.width // self.config.heads) ** -0.5
        return self.heads(g, self.linear(g, x, attention.query, f"{name}.query", file, factor))

    def attend(self, g: Graph, query: str, key: str, value: str, mask: str | None,
               attention: Attention, name: str, file: str) -> str:
        scores = g.op("MatMul", query, self.heads(g, key, (0, 2, 3, 1)))
        if mask is not None:
            scores = g.op("Add", scores, mask)
        y = g.op("MatMul", g.op("Softmax", scores, axis=-1), self.heads(g, value))
        y = g.op("Reshape", g.op("Transpose", y, perm=[0, 2, 1, 3]), g.ints(0, 0, self.config.width))
        return self.linear(g, y, attention.out, f"{name}.out", file)

    def self_attention(self, g: Graph, x: str, block: SelfBlock, name: str, file: str, mask: str | None,
                       cache: int | None = None) -> str:
        """With `cache`, the rows of past_key.N and past_value.N come before the new ones."""
        h = g.norm(x, block.norm_1, f"{name}.norm_1", file)
        attention, prefix = block.attention, f"{name}.attention"
        query = self.query(g, h, attention, prefix, file)
        key = self.linear(g, h, attention.key, f"{prefix}.key", file)
        value = self.linear(g, h, attention.value, f"{prefix}.value", file)
        if cache is not None:
            g.output(key, f"new_key.{cache}", F32, ["B", "S", self.config.width])
            g.output(value, f"new_value.{cache}", F32, ["B", "S", self.config.width])
            key = g.op("Concat", f"past_key.{cache}", key, axis=1)
            value = g.op("Concat", f"past_value.{cache}", value, axis=1)
        return g.op("Add", x, self.attend(g, query, key, value, mask, attention, prefix, file))

    def feed_forward(self, g: Graph, x: str, block: SelfBlock, name: str, file: str) -> str:
        h = g.norm(x, block.norm_2, f"{name}.norm_2", file)
        h = g.gelu(self.linear(g, h, block.feed_forward.expand, f"{name}.feed_forward.expand", file))
        return g.op("Add", x, self.linear(g, h, block.feed_forward.project, f"{name}.feed_forward.project", file))

    def cross_attention(self, g: Graph, x: str, block: CrossBlock, name: str, key: str, value: str) -> str:
        h = g.norm(x, block.norm_cross, f"{name}.norm_cross", DECODER)
        query = self.query(g, h, block.cross, f"{name}.cross", DECODER)
        return g.op("Add", x, self.attend(g, query, key, value, None, block.cross, f"{name}.cross", DECODER))

    def token_embedding(self, g: Graph) -> str:
        stored = self.stored["token_embedding.weight"]
        scaled = Stored(stored.data, stored.scale * np.float32(self.config.width ** 0.5))
        return g.weight(scaled, "token_embedding", TEXT, axis=0)

    def embed_tokens(self, g: Graph) -> str:
        return g.op("Gather", self.token_embedding(g), "input_ids")

    # Parts

    def image_encoder(self) -> Graph:
        g = Graph("image_encoder", [("pixel_values", F32, ["N", 3, IMAGE_SIZE, IMAGE_SIZE])], self.files)
        image, config = self.model.image, self.config
        grid, middle = self.features(g)
        mean = g.op("Reshape", g.op("ReduceMean", grid, axes=[2, 3]), g.ints(0, GRID_WIDTH))
        levelled = self.levelled(g, mean, middle)
        probability = self.concept_probability(g, levelled)
        hidden = g.gelu(self.linear(g, levelled, image.expand, "image.expand", VISION))
        embedding = self.linear(g, hidden, image.hidden_embedding, "image.hidden_embedding", VISION)
        for source, name in ((mean, "mean_embedding"), (probability, "concept_embedding")):
            embedding = g.op("Add", embedding, self.linear(g, source, getattr(image, name), f"image.{name}", VISION))
        g.output(g.unit_length(embedding), "image_embedding", F32, ["N", config.embedding])
        g.output(self.concepts(g, probability), "image_tokens", F32, ["N", config.concept_tokens, config.width])
        return g

    def features(self, g: Graph) -> tuple[str, str]:
        """The trunk: pixels → [N, 1280, 7, 7] and the middle features [N, 192, 7, 7]."""
        x = self.rounded(g, "pixel_values", self.trunk.rounded, "trunk.pixels", IMAGE_SIZE)
        x = self.conv(g, x, self.trunk.stem, "trunk.stem")
        for index, block in enumerate(self.trunk.blocks):
            hidden, name = x, f"trunk.blocks.{index}"
            if block.expand is not None:
                hidden = self.conv(g, hidden, block.expand, f"{name}.expand")
            hidden = self.conv(g, hidden, block.depthwise, f"{name}.depthwise")
            hidden = self.conv(g, hidden, block.project, f"{name}.project")
            if block.residual:
                hidden = self.rounded(g, g.op("Add", x.name, hidden.name), block.rounded, f"{name}.sum", hidden.side)
            x = hidden
            if index == MIDDLE_BLOCK:
                middle = x.name
        return self.conv(g, x, self.trunk.head, "trunk.head").name, middle

    def moments(self, g: Graph, middle: str) -> str:
        """Mean and standard deviation of the middle features' channels: [N, 384]."""
        cells = g.op("Reshape", middle, g.ints(0, MIDDLE_WIDTH, -1))
        mean = g.op("ReduceMean", cells, axes=[2])
        apart = g.op("Sub", cells, mean)
        variance = g.op("ReduceMean", g.op("Mul", apart, apart), axes=[2])
        deviation = g.op("Sqrt", g.op("Add", variance, g.constant(np.float32(VARIANCE_EPS), "variance_eps")))
        return g.op("Reshape", g.op("Concat", mean, deviation, axis=1), g.ints(0, 2 * MIDDLE_WIDTH))

    def levelled(self, g: Graph, mean: str, middle: str) -> str:
        """Mean feature and middle moments, the latter shifted and scaled: what the heads read."""
        head = self.model.concept_head
        middle = g.op("Sub", self.moments(g, middle), g.constant(head.middle_shift, "concept_head.middle_shift", VISION))
        middle = g.op("Mul", middle, g.constant(head.middle_scale, "concept_head.middle_scale", VISION))
        return g.op("Concat", mean, middle, axis=1)

    def concept_probability(self, g: Graph, levelled: str) -> str:
        head = self.model.concept_head
        hidden = g.gelu(self.linear(g, levelled, head.expand, "concept_head.expand", VISION))
        return g.op("Sigmoid", self.linear(g, hidden, head.project, "concept_head.project", VISION))

    def concepts(self, g: Graph, probability: str) -> str:
        image = self.model.image
        score = g.op("TopK", probability, g.ints(self.config.concept_tokens), outputs=2, axis=-1, largest=1, sorted=1)
        words = g.weight(self.stored["image.concept_words.weight"], "image.concept_words", VISION, axis=0)
        words = g.op("Gather", words, score[:-1] + "1", axis=0)
        direction = g.constant(image.concept_score.weight[:, 0], "image.concept_score.weight", VISION)
        score = g.op("Mul", g.op("Unsqueeze", score, g.ints(2)), direction)
        score = g.op("Add", score, g.constant(image.concept_score.bias, "image.concept_score.bias", VISION))
        return g.op("Add", words, score)

    def text_encoder(self) -> Graph:
        g, config = Graph("text_encoder", [("input_ids", I64, ["N", "L"])], self.files), self.config
        length = g.op("Shape", "input_ids", start=1, end=2)
        position = g.constant(self.model.position, "position_table", TEXT)
        position = g.op("Slice", position, g.ints(0), length, g.ints(0))
        causal = np.triu(np.full((config.context_length,) * 2, MASKED, np.float32), 1)
        mask = g.op("Slice", g.constant(causal, "causal_table", TEXT), g.ints(0, 0),
                    g.op("Concat", length, length, axis=0), g.ints(0, 1))
        x = g.op("Add", self.embed_tokens(g), position)
        for i, block in enumerate(self.model.unimodal):
            x = self.self_attention(g, x, block, f"unimodal.{i}", TEXT, mask)
            x = self.feed_forward(g, x, block, f"unimodal.{i}", TEXT)
        is_end = g.op("Equal", "input_ids", g.constant(np.int64(END), "end_id"))
        is_end = g.op("Unsqueeze", g.op("Cast", is_end, to=F32), g.ints(1))
        pooled = g.op("Reshape", g.op("MatMul", is_end, x), g.ints(-1, config.width))
        text = self.model.text
        row = g.norm(pooled, text.norm, "text.norm", TEXT)
        hidden = g.gelu(self.linear(g, row, text.expand, "text.expand", TEXT))
        embedding = g.op("Add", self.linear(g, row, text.embedding, "text.embedding", TEXT),
                         self.linear(g, hidden, text.hidden_embedding, "text.hidden_embedding", TEXT))
        g.output(g.unit_length(embedding), "text_embedding", F32, ["N", config.embedding])
        return g

    def cross_kv(self) -> Graph:
        shape = ["N", self.config.concept_tokens, self.config.width]
        g = Graph("cross_kv", [("image_tokens", F32, shape)], self.files)
        for i, block in enumerate(self.model.multimodal):
            h = g.norm("image_tokens", block.norm_image, f"multimodal.{i}.norm_image", DECODER)
            for kind in ("key", "value"):
                projected = self.linear(g, h, getattr(block.cross, kind), f"multimodal.{i}.cross.{kind}", DECODER)
                g.output(projected, f"cross_{kind}.{i}", F32, shape)
        return g

    def caption_decoder(self) -> Graph:
        config = self.config
        unimodal, multimodal = len(self.model.unimodal), len(self.model.multimodal)
        kinds = ("key", "value")
        inputs = [("input_ids", I64, ["B", "S"]), ("position", I64, ["S"]),
                  ("text_mask", F32, ["B", "S", "P + S"]), ("causal_mask", F32, ["S", "P + S"])]
        inputs += [(f"past_{k}.{i}", F32, ["B", "P", config.width]) for i in range(unimodal + multimodal) for k in kinds]
        inputs += [(f"cross_{k}.{i}", F32, [1, config.concept_tokens, config.width]) for i in range(multimodal) for k in kinds]
        g = Graph("caption_decoder", inputs, self.files)
        position = g.op("Gather", g.constant(self.model.position, "position_table", TEXT), "position")
        text_mask = g.op("Unsqueeze", "text_mask", g.ints(1))
        x = g.op("Add", self.embed_tokens(g), position)
        for i, block in enumerate(self.model.unimodal):
            x = self.self_attention(g, x, block, f"unimodal.{i}", TEXT, text_mask, cache=i)
            x = self.feed_forward(g, x, block, f"unimodal.{i}", TEXT)
        for i, block in enumerate(self.model.multimodal):
            name = f"multimodal.{i}"
            x = self.self_attention(g, x, block, name, DECODER, "causal_mask", cache=unimodal + i)
            x = self.cross_attention(g, x, block, name, f"cross_key.{i}", f"cross_value.{i}")
            x = self.feed_forward(g, x, block, name, DECODER)
        last = g.op("Slice", x, g.ints(-1), g.ints(np.iinfo(np.int64).max), g.ints(1))
        last = g.op("Reshape", last, g.ints(-1, config.width))
        # The head is the token embedding, which the graph holds multiplied by the root of its width.
        last = g.norm(last, self.model.norm_final, "norm_final", DECODER, config.width ** -0.5)
        logits = g.op("Gemm", last, self.token_embedding(g), transB=1)
        g.output(logits, "logits", F32, ["B", config.vocabulary])
        return g
