//! Constants of a graph: elements of small ones, weights as they are stored.

use std::borrow::{Borrow, Cow};

use half::{f16, slice::HalfFloatSliceExt};
use tract_onnx::pb::{GraphProto, NodeProto, TensorProto, tensor_proto::DataType};

use crate::{ExternalFiles, GraphIndex, attribute, operator, tensor_bytes};

/// Most nodes between a weight and its use: exporters write up to four.
const MAX_STEPS: usize = 16;

/// The constants of a graph, with the files that their bytes may stand in.
#[derive(Debug)]
pub struct Constants<'a, G, F: ?Sized> {
    index: &'a GraphIndex<G>,
    files: &'a F,
}

impl<G, F: ?Sized> Clone for Constants<'_, G, F> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<G, F: ?Sized> Copy for Constants<'_, G, F> {}

/// A weight matrix or table as it is stored, and what the graph does to it before use.
#[derive(Debug, Clone)]
pub struct StoredWeight<'a> {
    /// The tensor that holds the elements.
    pub tensor: &'a TensorProto,
    /// Its bytes, little-endian.
    pub bytes: Cow<'a, [u8]>,
    /// Its axes.
    pub dims: Vec<usize>,
    /// What its bytes are.
    pub elements: Elements,
    /// Whether the graph exchanges its two axes before use.
    pub transposed: bool,
    /// Whether the graph computes with it in 16 bits: nothing casts it to 32.
    pub is_f16: bool,
}

/// What the bytes of a weight are.
#[derive(Debug, Clone, PartialEq)]
pub enum Elements {
    /// 32-bit floating point.
    F32,
    /// 16-bit floating point.
    F16,
    /// 8-bit integers without zero points.
    Int8 {
        /// One scale for each entry of `axis`.
        scales: Vec<f32>,
        /// The axis that scales belong to.
        axis: usize,
    },
}

impl Elements {
    /// Bytes of an element.
    #[must_use]
    pub fn size(&self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 => 2,
            Self::Int8 { .. } => 1,
        }
    }
}

impl<'a, G: Borrow<GraphProto>, F: ExternalFiles + ?Sized> Constants<'a, G, F> {
    /// The constants of the graph of `index`, with external data in `files`.
    pub fn new(index: &'a GraphIndex<G>, files: &'a F) -> Self {
        Self { index, files }
    }

    /// The elements of a small constant of 32-bit or 16-bit floating point, or of a quantised bias.
    #[must_use]
    pub fn floats(&self, name: &str) -> Option<Vec<f32>> {
        let Some(stored) = self.weight(name) else {
            let bias = self.dequantized_integers32(name)?;
            return Some(bias.into_iter().map(|element| element as f32).collect());
        };
        match stored.elements {
            Elements::F32 | Elements::F16 if !stored.transposed => Some(stored.to_f32()),
            _ => None,
        }
    }

    /// The elements of an input that ONNX lets a node leave out: `Some(None)` if it does, `None` if it is there and no
    /// constant.
    #[must_use]
    pub fn optional_floats(&self, node: &NodeProto, input: usize) -> Option<Option<Vec<f32>>> {
        match node.input.get(input).filter(|name| !name.is_empty()) {
            Some(name) => self.floats(name).map(Some),
            None => Some(None),
        }
    }

    /// A constant of one element.
    #[must_use]
    pub fn scalar(&self, name: &str) -> Option<f32> {
        match self.floats(name)?.as_slice() {
            &[value] => Some(value),
            _ => None,
        }
    }

    /// A constant of 64-bit integers, like a shape.
    #[must_use]
    pub fn integers(&self, name: &str) -> Option<Vec<i64>> {
        let tensor = self.index.constant(name)?;
        (tensor.data_type == DataType::Int64 as i32).then_some(())?;
        let bytes = tensor_bytes(tensor, self.files).ok()?;
        Some(bytes.as_chunks().0.iter().map(|&bytes| i64::from_le_bytes(bytes)).collect())
    }

    /// A constant as it is stored, that the graph computes with in 32 bits, whatever it does to it before use: nothing,
    /// a cast, a transposition, a dequantisation. `None` for what is no such constant, and for one that cannot be read.
    #[must_use]
    pub fn weight(&self, name: &str) -> Option<StoredWeight<'a>> {
        self.weight_or_table(name).filter(|stored| !stored.is_f16)
    }

    /// As [`Constants::weight`], and constants of 16 bits whose rows are cast when they are looked up.
    #[must_use]
    pub fn weight_or_table(&self, name: &str) -> Option<StoredWeight<'a>> {
        self.behind(name, |node| self.dequantized(node))
    }

    /// The constant of floating point, or what `dequantized` finds, behind the nodes that hand it on as the tensor `name`.
    fn behind(
        &self,
        name: &str,
        dequantized: impl Fn(&'a NodeProto) -> Option<StoredWeight<'a>>,
    ) -> Option<StoredWeight<'a>> {
        let (mut name, mut transpositions, mut is_cast) = (name, 0, false);
        for _ in 0..MAX_STEPS {
            let found = match self.index.constant(name) {
                Some(tensor) => Some(self.floating_point(tensor)?),
                None => {
                    let (_, node) = self.index.producer(name)?;
                    name = node.input.first()?;
                    match operator(node)? {
                        "Identity" => None,
                        "Cast" if attribute::integer(node, "to", 0) == DataType::Float as i64 => {
                            is_cast = true;
                            None
                        }
                        "Transpose" if exchanges_two_axes(node) => {
                            transpositions += 1;
                            None
                        }
                        "DequantizeLinear" => Some(dequantized(node)?),
                        _ => return None,
                    }
                }
            };
            if let Some(mut stored) = found {
                (transpositions == 0 || stored.dims.len() == 2).then_some(())?;
                stored.transposed = transpositions % 2 == 1;
                stored.is_f16 &= !is_cast;
                return Some(stored);
            }
        }
        None
    }

    fn floating_point(&self, tensor: &'a TensorProto) -> Option<StoredWeight<'a>> {
        let elements = match DataType::try_from(tensor.data_type).ok()? {
            DataType::Float => Elements::F32,
            DataType::Float16 => Elements::F16,
            _ => return None,
        };
        self.stored(tensor, elements)
    }

    /// The one zero point of u8 codes; of i8 codes it is moved up by 128, as their codes are then.
    #[must_use]
    pub fn zero_point(&self, name: &str) -> Option<u8> {
        let tensor = self.index.constant(name)?;
        let &[byte] = &*tensor_bytes(tensor, self.files).ok()? else { return None };
        match DataType::try_from(tensor.data_type).ok()? {
            DataType::Uint8 => Some(byte),
            DataType::Int8 => Some(byte ^ 0x80),
            _ => None,
        }
    }

    /// The elements of 32-bit integers that the graph dequantises, with one scale or one for each, and no zero points: a
    /// quantised bias.
    #[must_use]
    pub fn dequantized_integers32(&self, name: &str) -> Option<Vec<f64>> {
        let node = self.index.produced_by("DequantizeLinear", name)?;
        (attribute::integer(node, "block_size", 0) == 0).then_some(())?;
        let tensor = self.index.constant(node.input.first()?)?;
        (tensor.data_type == DataType::Int32 as i32).then_some(())?;
        if let Some(zeros) = node.input.get(2).filter(|name| !name.is_empty()) {
            let zeros = tensor_bytes(self.index.constant(zeros)?, self.files).ok()?;
            zeros.iter().all(|&byte| byte == 0).then_some(())?;
        }
        let scales = self.floats(node.input.get(1)?)?;
        let bytes = tensor_bytes(tensor, self.files).ok()?;
        let integers = bytes.as_chunks().0.iter().map(|&bytes| i32::from_le_bytes(bytes));
        let scale = |at: usize| scales.get(if scales.len() == 1 { 0 } else { at }).copied();
        let value = |(at, integer)| Some(f64::from(integer) * f64::from(scale(at)?));
        integers.enumerate().map(value).collect()
    }

    /// An int8 tensor that no node dequantises, with no scales.
    #[must_use]
    pub fn integers8(&self, name: &str) -> Option<StoredWeight<'a>> {
        let tensor = self.index.constant(name)?;
        (tensor.data_type == DataType::Int8 as i32).then_some(())?;
        self.stored(tensor, Elements::Int8 { scales: Vec::new(), axis: 0 })
    }

    /// int8 with a scale for each entry of an axis and no zero points.
    fn dequantized(&self, node: &NodeProto) -> Option<StoredWeight<'a>> {
        // Opset 21 has scales for blocks of an axis.
        (attribute::integer(node, "block_size", 0) == 0).then_some(())?;
        let mut stored = self.integers8(node.input.first()?)?;
        let scales = self.behind(node.input.get(1)?, |_| None).filter(|scales| !scales.is_f16)?;
        (scales.dims.len() <= 1).then_some(())?;
        let is_single = scales.dims.is_empty();
        let mut scales = scales.to_f32();
        if let Some(zeros) = node.input.get(2).filter(|name| !name.is_empty()) {
            self.integers8(zeros)?.bytes.iter().all(|&zero| zero == 0).then_some(())?;
        }
        let axis = attribute::integer(node, "axis", 1);
        let rank = stored.dims.len() as i64;
        let axis = usize::try_from(if axis < 0 { axis + rank } else { axis }).ok()?;
        if is_single {
            scales = vec![*scales.first()?; *stored.dims.get(axis)?];
        }
        (stored.dims.get(axis) == Some(&scales.len())).then_some(())?;
        stored.elements = Elements::Int8 { scales, axis };
        Some(stored)
    }

    /// `tensor`, if it has as many bytes as its shape says.
    fn stored(&self, tensor: &'a TensorProto, elements: Elements) -> Option<StoredWeight<'a>> {
        let bytes = tensor_bytes(tensor, self.files).ok()?;
        let dims = tensor.dims.iter().map(|&dim| usize::try_from(dim).ok());
        let dims = dims.collect::<Option<Vec<_>>>()?;
        let count = element_count(tensor)?;
        (bytes.len() == count.checked_mul(elements.size())?).then_some(())?;
        let is_f16 = elements == Elements::F16;
        Some(StoredWeight { tensor, bytes, dims, elements, transposed: false, is_f16 })
    }
}

impl StoredWeight<'_> {
    /// All elements in 32 bits, in the order in which they are stored; int8 without scales as it is.
    #[must_use]
    pub fn to_f32(&self) -> Vec<f32> {
        match &self.elements {
            Elements::F32 => {
                self.bytes.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect()
            }
            Elements::F16 => {
                let halves = self.bytes.as_chunks().0.iter();
                let halves: Vec<f16> = halves.map(|&bytes| f16::from_le_bytes(bytes)).collect();
                let mut values = vec![0.0; halves.len()];
                halves.convert_to_f32_slice(&mut values);
                values
            }
            Elements::Int8 { scales, .. } if scales.is_empty() => {
                self.bytes.iter().map(|byte| f32::from(byte.cast_signed())).collect()
            }
            Elements::Int8 { scales, axis } => {
                // Elements that follow each other within one entry of the axis.
                let run: usize = self.dims.get(axis + 1..).unwrap_or_default().iter().product();
                let scale = |at: usize| scales[at / run.max(1) % scales.len()];
                let bytes = self.bytes.iter().enumerate();
                bytes.map(|(at, &byte)| f32::from(byte.cast_signed()) * scale(at)).collect()
            }
        }
    }
}

/// Whether a `Transpose` exchanges the axes of a matrix.
fn exchanges_two_axes(transpose: &NodeProto) -> bool {
    attribute::integers(transpose, "perm").is_none_or(|perm| perm == [1, 0])
}

/// How many elements the shape of a tensor means; `None` for negative sizes and for more than there can be.
#[must_use]
pub fn element_count(tensor: &TensorProto) -> Option<usize> {
    let mut dims = tensor.dims.iter().map(|&dim| usize::try_from(dim).ok());
    dims.try_fold(1_usize, |count, dim| count.checked_mul(dim?))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{
        Opset,
        builder::{self, node},
    };

    /// What is known of `name` in a graph of these nodes and initializers.
    fn weight(
        nodes: Vec<NodeProto>,
        initializer: Vec<TensorProto>,
        name: &str,
    ) -> Option<(Vec<f32>, Elements, bool)> {
        let graph = GraphProto { node: nodes, initializer, ..GraphProto::default() };
        let index = GraphIndex::new(&graph, Opset::new(21));
        let files = BTreeMap::new();
        let stored = Constants::new(&index, &files).weight(name)?;
        Some((stored.to_f32(), stored.elements.clone(), stored.transposed))
    }

    fn int8(name: &str, dims: &[i64], values: &[i8]) -> TensorProto {
        TensorProto {
            name: name.to_owned(),
            dims: dims.to_vec(),
            data_type: DataType::Int8 as i32,
            raw_data: values.iter().map(|v| v.cast_unsigned()).collect(),
            ..TensorProto::default()
        }
    }

    #[test]
    fn int8_that_no_node_dequantises_is_read_as_it_is() {
        let initializer = vec![int8("q", &[2], &[-3, 127])];
        let graph = GraphProto { initializer, ..GraphProto::default() };
        let index = GraphIndex::new(&graph, Opset::new(21));
        let files = BTreeMap::new();
        let stored = Constants::new(&index, &files).integers8("q").unwrap();
        assert_eq!(stored.to_f32(), [-3.0, 127.0]);
    }

    fn dequantize(attributes: Vec<tract_onnx::pb::AttributeProto>) -> NodeProto {
        node("DequantizeLinear", &["q", "s"], "w", attributes)
    }

    #[test]
    fn int8_is_seen_through_a_dequantisation_and_a_transposition() {
        let nodes = vec![
            dequantize(vec![attribute::of_integer("axis", 0)]),
            node("Transpose", &["w"], "t", Vec::new()),
        ];
        let tensors =
            vec![int8("q", &[2, 2], &[1, 2, 3, -4]), builder::f32_tensor("s", &[2], &[0.5, 2.0])];
        let (values, elements, transposed) = weight(nodes, tensors, "t").unwrap();
        assert_eq!(values, [0.5, 1.0, 6.0, -8.0]);
        assert_eq!(elements, Elements::Int8 { scales: vec![0.5, 2.0], axis: 0 });
        assert!(transposed);
    }

    #[test]
    fn one_scale_of_int8_is_that_of_every_entry() {
        let tensors =
            vec![int8("q", &[2, 2], &[1, 2, 3, 4]), builder::f32_tensor("s", &[], &[0.5])];
        let (values, elements, _) = weight(vec![dequantize(Vec::new())], tensors, "w").unwrap();
        assert_eq!(values, [0.5, 1.0, 1.5, 2.0]);
        assert_eq!(elements, Elements::Int8 { scales: vec![0.5, 0.5], axis: 1 });
    }

    #[test]
    fn zero_points_of_i8_are_moved_to_those_of_u8() {
        let unsigned = builder::raw_tensor("unsigned", DataType::Uint8, &[], vec![7]);
        let pair = builder::raw_tensor("pair", DataType::Uint8, &[2], vec![7, 7]);
        let initializer = vec![unsigned, int8("signed", &[1], &[-128]), pair];
        let graph = GraphProto { initializer, ..GraphProto::default() };
        let index = GraphIndex::new(&graph, Opset::new(17));
        let files = BTreeMap::new();
        let constants = Constants::new(&index, &files);
        let found = ["unsigned", "signed", "pair"].map(|name| constants.zero_point(name));
        assert_eq!(found, [Some(7), Some(0), None]);
    }

    #[test]
    fn a_quantised_bias_is_seen_through_its_dequantisation() {
        let bytes = [3_i32, -4].iter().flat_map(|v| v.to_le_bytes()).collect();
        let graph = GraphProto {
            node: vec![dequantize(vec![attribute::of_integer("axis", 0)])],
            initializer: vec![
                builder::raw_tensor("q", DataType::Int32, &[2], bytes),
                builder::f32_tensor("s", &[2], &[0.5, 2.0]),
            ],
            ..GraphProto::default()
        };
        let index = GraphIndex::new(&graph, Opset::new(17));
        let files = BTreeMap::new();
        let constants = Constants::new(&index, &files);
        assert_eq!(constants.dequantized_integers32("w"), Some(vec![1.5, -8.0]));
        assert_eq!(constants.floats("w"), Some(vec![1.5, -8.0]));
    }

    #[test]
    fn scales_of_blocks_are_not_taken_for_scales_of_rows() {
        let blocks = vec![attribute::of_integer("axis", 1), attribute::of_integer("block_size", 2)];
        let tensors = vec![
            int8("q", &[2, 4], &[1; 8]),
            builder::f32_tensor("s", &[2, 2], &[1.0, 2.0, 3.0, 4.0]),
        ];
        assert_eq!(weight(vec![dequantize(blocks)], tensors.clone(), "w"), None);
        let axis = vec![attribute::of_integer("axis", 1)];
        assert_eq!(weight(vec![dequantize(axis)], tensors, "w"), None);
    }

    #[test]
    fn a_tensor_with_fewer_bytes_than_its_shape_says_is_no_weight() {
        let mut tensor = builder::f32_tensor("w", &[2], &[1.0, 2.0]);
        tensor.dims = vec![3];
        assert_eq!(weight(Vec::new(), vec![tensor.clone()], "w"), None);
        tensor.dims = vec![i64::MAX, i64::MAX];
        assert_eq!(weight(Vec::new(), vec![tensor], "w"), None);
    }
}
