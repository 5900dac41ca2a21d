"""The four ONNX parts of a bundle, written out from the trained weights."""
from __future__ import annotations

import numpy as np
import torch

from graph import F32, I64, Graph, WeightFile
from model import MASKED, VARIANCE_EPS, Attention, CoCa, CrossBlock, SelfBlock
from quantise import Stored
from tokenizer import END
from trunk import GRID_CELLS, GRID_WIDTH, IMAGE_SIZE, MIDDLE_BLOCK, MIDDLE_WIDTH, Conv, EfficientNetLite0

VISION, TEXT, DECODER = "vision.bin", "text.bin", "decoder.bin"


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

    def conv(self, g: Graph, x: str, layer: Conv, name: str, side: int) -> tuple[str, int]:
        stored = self.stored.get(f"{name}.weight")
        weight = (g.constant(layer.weight, f"{name}.weight", VISION) if stored is None
                  else g.weight(stored, f"{name}.weight", VISION, axis=0))
        bias = g.constant(layer.bias, f"{name}.bias", VISION)
        x = g.op("Conv", x, weight, bias, kernel_shape=[layer.kernel] * 2, strides=[layer.stride] * 2,
                 pads=list(layer.pads(side, side)), group=layer.groups)
        if layer.activate:
            x = g.op("Clip", x, g.constant(np.float32(0), "zero"), g.constant(np.float32(6), "six"))
        return x, -(-side // layer.stride)

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
        grid, middle = self.features(g)
        mean = g.op("ReduceMean", grid, axes=[1], keepdims=0)
        image, config = self.model.image, self.config
        probability = self.concept_probability(g, mean, middle)
        pooled = self.pool(g, grid)
        first = g.op("Gather", pooled, g.constant(np.int64(0), "index_0"), axis=1)
        embedding = self.linear(g, first, image.pooled_embedding, "image.pooled_embedding", VISION)
        for source, name in ((mean, "mean_embedding"), (probability, "concept_embedding")):
            embedding = g.op("Add", embedding, self.linear(g, source, getattr(image, name), f"image.{name}", VISION))
        g.output(g.unit_length(embedding), "image_embedding", F32, ["N", config.embedding])
        g.output(self.concepts(g, probability), "image_tokens", F32, ["N", config.concept_tokens, config.width])
        return g

    def features(self, g: Graph) -> tuple[str, str]:
        """The trunk: pixels → [N, 49, 1280] and the middle features [N, 192, 7, 7]."""
        x, side = self.conv(g, "pixel_values", self.trunk.stem, "trunk.stem", IMAGE_SIZE)
        for index, block in enumerate(self.trunk.blocks):
            hidden, name = x, f"trunk.blocks.{index}"
            if block.expand is not None:
                hidden, side = self.conv(g, hidden, block.expand, f"{name}.expand", side)
            hidden, side = self.conv(g, hidden, block.depthwise, f"{name}.depthwise", side)
            hidden, side = self.conv(g, hidden, block.project, f"{name}.project", side)
            x = g.op("Add", x, hidden) if block.residual else hidden
            if index == MIDDLE_BLOCK:
                middle = x
        x, _ = self.conv(g, x, self.trunk.head, "trunk.head", side)
        return g.op("Transpose", g.op("Reshape", x, g.ints(0, GRID_WIDTH, GRID_CELLS)), perm=[0, 2, 1]), middle

    def pool(self, g: Graph, grid: str) -> str:
        image = self.model.image
        x = self.linear(g, grid, image.project, "image.project", VISION)
        x = g.op("Add", x, g.constant(image.cell_position, "image.cell_position", VISION))
        x = self.self_attention(g, x, image.block, "image.block", VISION, None)
        x = self.feed_forward(g, x, image.block, "image.block", VISION)
        h = g.norm(x, image.norm_grid, "image.norm_grid", VISION)
        key = self.linear(g, h, image.pooler.key, "image.pooler.key", VISION)
        value = self.linear(g, h, image.pooler.value, "image.pooler.value", VISION)
        with torch.no_grad():  # the queries are the same for every picture
            query = image.pooler.split(image.pooler.query(image.norm_query(image.queries)))[None]
            query = query * (self.config.width // self.config.heads) ** -0.5
        query = g.constant(query.contiguous(), "image.pooler.queries", VISION)
        pooled = self.attend(g, query, key, value, None, image.pooler, "image.pooler", VISION)
        return g.norm(pooled, image.norm_post, "image.norm_post", VISION)

    def moments(self, g: Graph, middle: str) -> str:
        """Mean and standard deviation of the middle features' channels: [N, 384]."""
        cells = g.op("Reshape", middle, g.ints(0, MIDDLE_WIDTH, -1))
        mean = g.op("ReduceMean", cells, axes=[2])
        apart = g.op("Sub", cells, mean)
        variance = g.op("ReduceMean", g.op("Mul", apart, apart), axes=[2])
        deviation = g.op("Sqrt", g.op("Add", variance, g.constant(np.float32(VARIANCE_EPS), "variance_eps")))
        return g.op("Reshape", g.op("Concat", mean, deviation, axis=1), g.ints(0, 2 * MIDDLE_WIDTH))

    def concept_probability(self, g: Graph, mean: str, middle: str) -> str:
        head = self.model.concept_head
        middle = g.op("Sub", self.moments(g, middle), g.constant(head.middle_shift, "concept_head.middle_shift", VISION))
        middle = g.op("Mul", middle, g.constant(head.middle_scale, "concept_head.middle_scale", VISION))
        hidden = g.gelu(self.linear(g, g.op("Concat", mean, middle, axis=1), head.expand, "concept_head.expand", VISION))
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
        pooled = g.norm(pooled, self.model.norm_text, "norm_text", TEXT)
        embedding = self.linear(g, pooled, self.model.text_embedding, "text_embedding", TEXT)
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
