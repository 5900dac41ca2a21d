//! Tensors of codes: `QuantizeLinear` makes them, and `DequantizeLinear` reads them.

use coca_kernels::static_int8::Quantization;
use coca_onnx::{
    NodeId, attribute,
    pb::{NodeProto, tensor_proto::DataType},
};

use super::super::{
    Rewriter,
    miss::{Miss, OrMiss, ensure},
};

/// A tensor of codes within the graph.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Codes {
    pub(super) name: String,
    pub(super) quantization: Quantization,
}

impl Rewriter<'_> {
    /// The codes that the tensor `value` stands for: it is dequantised from what was quantised before.
    pub(super) fn codes_of(&self, value: &str) -> Result<Codes, Miss> {
        let node = self.graph.produced_by("DequantizeLinear", value).or_other()?;
        let name = node.input.first().or_other()?;
        let quantize = self.graph.produced_by("QuantizeLinear", name).or_other()?;
        let quantization = self.quantization(quantize)?;
        let found = self.dequantization(node, quantization)?;
        ensure(found == quantization, "its input is dequantized otherwise than it was quantized")?;
        Ok(Codes { name: name.clone(), quantization })
    }

    /// Whether the tensor `value` stands for codes that were made of f32.
    pub(in super::super) fn is_quantized(&self, value: &str) -> bool {
        self.quantized_from(value).is_some()
    }

    /// The f32 tensor that the codes which the tensor `value` stands for are made of.
    pub(super) fn quantized_from(&self, value: &str) -> Option<&str> {
        let dequantize = self.graph.produced_by("DequantizeLinear", value)?;
        let quantize = self.graph.produced_by("QuantizeLinear", dequantize.input.first()?)?;
        quantize.input.first().map(String::as_str)
    }

    /// The codes that a `QuantizeLinear` makes, if nothing but `DequantizeLinear` with its scale reads them.
    pub(super) fn codes_made_by(&self, id: NodeId) -> Result<Codes, Miss> {
        let node =
            self.graph.node_of(id, "QuantizeLinear").or_near("its result is not quantized")?;
        let name = node.output.first().or_other()?.clone();
        let quantization = self.quantization(node)?;
        let is_dequantized = !self.graph.is_read_elsewhere(&name)
            && self.graph.consumers(&name).all(|(consumer, reader)| {
                consumer.input == 0
                    && self.graph.node_of(consumer.node, "DequantizeLinear").is_some()
                    && self.dequantization(reader, quantization) == Ok(quantization)
            });
        ensure(
            is_dequantized,
            "its codes are read by other than a DequantizeLinear of their scale",
        )?;
        Ok(Codes { name, quantization })
    }

    /// The one scale and zero point of a `QuantizeLinear` to 8 bits.
    fn quantization(&self, node: &NodeProto) -> Result<Quantization, Miss> {
        let default = match attribute::integer(node, "output_dtype", 0) {
            0 => DataType::Uint8 as i64,
            stated => stated,
        };
        let zero = if default == DataType::Int8 as i64 { 128 } else { 0 };
        let is_byte = [DataType::Uint8 as i64, DataType::Int8 as i64].contains(&default);
        ensure(is_byte, "it is quantized to other than 8 bits")?;
        self.scale_and_zero_point(node, zero)
    }

    /// The one scale and zero point of a `DequantizeLinear` of codes that were made with `made_with`.
    fn dequantization(
        &self,
        node: &NodeProto,
        made_with: Quantization,
    ) -> Result<Quantization, Miss> {
        // Without a zero point it is that of the codes' type: 0 of u8, or 0 of i8.
        let zero = if made_with.zero_point == 128 { 128 } else { 0 };
        self.scale_and_zero_point(node, zero)
    }

    fn scale_and_zero_point(
        &self,
        node: &NodeProto,
        default_zero_point: u8,
    ) -> Result<Quantization, Miss> {
        let constants = self.constants();
        let is_whole = attribute::integer(node, "block_size", 0) == 0;
        ensure(is_whole, "its activations have scales for blocks")?;
        let scale = constants.scalar(node.input.get(1).or_other()?);
        let scale = scale.or_near("its activations have other than one constant scale")?;
        ensure(scale.is_normal() && scale > 0.0, "a scale of its activations is not positive")?;
        let zero_point = match node.input.get(2).filter(|name| !name.is_empty()) {
            None => default_zero_point,
            Some(name) => {
                let zero_point = constants.zero_point(name);
                zero_point.or_near("its activations have other than one zero point of 8 bits")?
            }
        };
        Ok(Quantization { scale, zero_point })
    }
}
