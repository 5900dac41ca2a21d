//! Constants of a graph: small ones read, weights found where they are stored.

use std::borrow::Cow;

use coca_kernels::{F32Weights, Int8Weights, Matrix, Weights};
use half::f16;
use tract_onnx::pb::{NodeProto, TensorProto, tensor_proto::DataType};

use super::{
    Rewriter,
    network::{attribute, integer, integers},
};
use crate::Engine;

/// A weight matrix or table, as it is stored.
pub(super) struct Stored<'a> {
    pub(super) tensor: &'a TensorProto,
    pub(super) bytes: Cow<'a, [u8]>,
    pub(super) dims: Vec<usize>,
    pub(super) kind: Kind,
    /// Whether the graph turns its two axes around before use.
    pub(super) turned: bool,
}

/// What a weight's bytes are.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    F32,
    F16,
    /// One scale for each entry of the axis.
    Int8 {
        scales: Vec<f32>,
        axis: usize,
    },
}

impl Rewriter<'_> {
    /// The numbers of a small constant.
    pub(super) fn numbers(&self, name: &str) -> Option<Vec<f32>> {
        let stored = self.stored(name)?;
        match stored.kind {
            Kind::F32 | Kind::F16 if !stored.turned => Some(stored.to_f32()),
            _ => None,
        }
    }

    /// The numbers of a node's input that ONNX lets one leave out: `Some(None)` if it is, `None` if it is there
    /// and no constant.
    pub(super) fn optional_numbers(
        &self,
        node: &NodeProto,
        index: usize,
    ) -> Option<Option<Vec<f32>>> {
        match node.input.get(index).filter(|name| !name.is_empty()) {
            Some(name) => self.numbers(name).map(Some),
            None => Some(None),
        }
    }

    /// A constant of one number.
    pub(super) fn scalar(&self, name: &str) -> Option<f32> {
        match self.numbers(name)?.as_slice() {
            &[value] => Some(value),
            _ => None,
        }
    }

    /// A constant of integers, like a shape.
    pub(super) fn integers(&self, name: &str) -> Option<Vec<i64>> {
        let tensor = self.tensor(name)?;
        if tensor.data_type != DataType::Int64 as i32 {
            return None;
        }
        if !tensor.int64_data.is_empty() {
            return Some(tensor.int64_data.clone());
        }
        let bytes = self.weights.bytes(tensor)?;
        Some(
            bytes
                .chunks_exact(8)
                .filter_map(|b| Some(i64::from_le_bytes(b.try_into().ok()?)))
                .collect(),
        )
    }

    /// A constant, through whatever the graph does to it before use: nothing, a cast, a turn, a dequantisation.
    pub(super) fn stored(&self, name: &str) -> Option<Stored<'_>> {
        if let Some(tensor) = self.tensor(name) {
            return self.as_stored(tensor);
        }
        let node = self.network.maker(name)?;
        let inner = || self.stored(node.input.first()?);
        match node.op_type.as_str() {
            "Identity" => inner(),
            "Cast" if integer(node, "to", 0) == DataType::Float as i64 => inner(),
            "Transpose" if integers(node, "perm").is_none_or(|perm| perm == [1, 0]) => {
                let mut stored = inner().filter(|stored| stored.dims.len() == 2)?;
                stored.turned = !stored.turned;
                Some(stored)
            }
            "DequantizeLinear" => {
                let mut stored = self.int8(node.input.first()?)?;
                let scales = self.numbers(node.input.get(1)?)?;
                if let Some(zero) = node.input.get(2).filter(|name| !name.is_empty()) {
                    let zero = self.int8(zero)?;
                    zero.bytes.iter().all(|&b| b == 0).then_some(())?;
                }
                let axis = integer(node, "axis", 1);
                let rank = stored.dims.len() as i64;
                let axis = usize::try_from(if axis < 0 { axis + rank } else { axis }).ok()?;
                (stored.dims.get(axis) == Some(&scales.len())).then_some(())?;
                stored.kind = Kind::Int8 { scales, axis };
                Some(stored)
            }
            _ => None,
        }
    }

    /// An initializer or the value of a `Constant`.
    fn tensor(&self, name: &str) -> Option<&TensorProto> {
        self.network.initializer(name).or_else(|| {
            let node = self.network.made_by("Constant", name)?;
            attribute(node, "value")?.t.as_ref()
        })
    }

    /// An int8 tensor without its scales.
    pub(super) fn int8(&self, name: &str) -> Option<Stored<'_>> {
        let tensor = self.tensor(name)?;
        (tensor.data_type == DataType::Int8 as i32).then_some(())?;
        let bytes = match tensor.int32_data.is_empty() {
            true => self.weights.bytes(tensor)?,
            false => Cow::Owned(tensor.int32_data.iter().map(|&v| v as u8).collect()),
        };
        Stored::new(tensor, bytes, Kind::Int8 { scales: Vec::new(), axis: 0 })
    }

    fn as_stored<'a>(&'a self, tensor: &'a TensorProto) -> Option<Stored<'a>> {
        let kind = match DataType::try_from(tensor.data_type).ok()? {
            DataType::Float => Kind::F32,
            DataType::Float16 => Kind::F16,
            _ => return None,
        };
        let bytes = match tensor.float_data.is_empty() {
            true => self.weights.bytes(tensor)?,
            false => Cow::Owned(tensor.float_data.iter().flat_map(|v| v.to_le_bytes()).collect()),
        };
        Stored::new(tensor, bytes, kind)
    }
}

impl<'a> Stored<'a> {
    fn new(tensor: &'a TensorProto, bytes: Cow<'a, [u8]>, kind: Kind) -> Option<Self> {
        let dims =
            tensor.dims.iter().map(|&d| usize::try_from(d).ok()).collect::<Option<Vec<_>>>()?;
        let size = match kind {
            Kind::F32 => 4,
            Kind::F16 => 2,
            Kind::Int8 { .. } => 1,
        };
        let numbers = dims.iter().try_fold(1_usize, |product, &dim| product.checked_mul(dim))?;
        (bytes.len() == numbers.checked_mul(size)?).then_some(())?;
        Some(Self { tensor, bytes, dims, kind, turned: false })
    }

    /// All numbers, in the order in which they are stored.
    pub(super) fn to_f32(&self) -> Vec<f32> {
        match &self.kind {
            Kind::F32 => {
                let numbers = self.bytes.chunks_exact(4);
                numbers.map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
            }
            Kind::F16 => {
                let numbers = self.bytes.chunks_exact(2);
                numbers.map(|b| f16::from_le_bytes([b[0], b[1]]).to_f32()).collect()
            }
            Kind::Int8 { scales, axis } => {
                let behind: usize = self.dims[axis + 1..].iter().product();
                let scale = |i: usize| scales[i / behind.max(1) % scales.len()];
                self.bytes.iter().enumerate().map(|(i, &b)| f32::from(b as i8) * scale(i)).collect()
            }
        }
    }

    /// The weights of a linear layer from `[inputs, outputs]`, or `[outputs, inputs]` if `outputs_first`,
    /// as the graph uses them. int8 stays int8 if `keep_int8`, and if each scale belongs to an output.
    pub(super) fn pack(
        &self,
        engine: &Engine,
        outputs_first: bool,
        keep_int8: bool,
    ) -> Option<Weights> {
        let memory = engine.weight_memory();
        let [first, second] = self.dims[..] else { return None };
        let outputs_first = outputs_first != self.turned;
        let (inputs, outputs) = if outputs_first { (second, first) } else { (first, second) };
        if let Kind::Int8 { scales, axis } = &self.kind
            && keep_int8
            && *axis == usize::from(!outputs_first)
        {
            let values: &[i8] = bytemuck::cast_slice(&self.bytes);
            let matrix = order(outputs_first, values);
            let packed = Int8Weights::pack(memory, engine.cpu(), matrix, inputs, scales);
            return packed.map(Weights::Int8);
        }
        let values = self.to_f32();
        F32Weights::pack(memory, order(outputs_first, &values), inputs, outputs).map(Weights::F32)
    }
}

fn order<T>(outputs_first: bool, values: &[T]) -> Matrix<'_, T> {
    if outputs_first { Matrix::OutputsFirst(values) } else { Matrix::InputsFirst(values) }
}
