//! Types and shapes of a graph's inputs and outputs.

use tract_onnx::pb::{
    TensorShapeProto, TypeProto, ValueInfoProto,
    tensor_proto::DataType,
    tensor_shape_proto::{Dimension, dimension::Value},
    type_proto,
};

/// A dimension of an input or output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dim {
    /// A size that is always the same.
    Fixed(usize),
    /// A size that a run decides; the same name means the same size.
    Named(String),
}

impl From<usize> for Dim {
    fn from(size: usize) -> Self {
        Self::Fixed(size)
    }
}

impl From<&str> for Dim {
    fn from(name: &str) -> Self {
        Self::Named(name.to_owned())
    }
}

/// Describes the tensor `name` of this type and shape.
#[must_use]
pub fn tensor(name: &str, data_type: DataType, dims: &[Dim]) -> ValueInfoProto {
    let dim = |dim: &Dim| Dimension {
        value: Some(match dim {
            Dim::Fixed(size) => Value::DimValue(*size as i64),
            Dim::Named(name) => Value::DimParam(name.clone()),
        }),
        ..Dimension::default()
    };
    of_shape(name, data_type, Some(TensorShapeProto { dim: dims.iter().map(dim).collect() }))
}

/// Describes the tensor `name` of this type, whatever its shape.
#[must_use]
pub fn tensor_of_any_shape(name: &str, data_type: DataType) -> ValueInfoProto {
    of_shape(name, data_type, None)
}

fn of_shape(name: &str, data_type: DataType, shape: Option<TensorShapeProto>) -> ValueInfoProto {
    let tensor = type_proto::Tensor { elem_type: data_type as i32, shape };
    let kind = type_proto::Value::TensorType(tensor);
    ValueInfoProto {
        name: name.to_owned(),
        r#type: Some(TypeProto { value: Some(kind), ..TypeProto::default() }),
        ..ValueInfoProto::default()
    }
}

/// The shape that `info` states; `None` if it states none.
#[must_use]
pub fn shape(info: &ValueInfoProto) -> Option<&TensorShapeProto> {
    let type_proto::Value::TensorType(tensor) = info.r#type.as_ref()?.value.as_ref()?;
    tensor.shape.as_ref()
}

/// The same tensor of another type, with its axes in this order; `None` if it has other axes.
#[must_use]
pub fn reordered(
    info: &ValueInfoProto,
    data_type: DataType,
    order: &[usize],
) -> Option<ValueInfoProto> {
    let stated = shape(info).filter(|shape| shape.dim.len() == order.len())?;
    let dim = order.iter().map(|&axis| stated.dim.get(axis).cloned()).collect::<Option<_>>()?;
    Some(of_shape(&info.name, data_type, Some(TensorShapeProto { dim })))
}

/// The dimensions that `info` states, to be changed.
pub fn dimensions_mut(info: &mut ValueInfoProto) -> impl Iterator<Item = &mut Dimension> {
    let kind = info.r#type.as_mut().and_then(|kind| kind.value.as_mut());
    let shape = kind.and_then(|type_proto::Value::TensorType(tensor)| tensor.shape.as_mut());
    shape.into_iter().flat_map(|shape| &mut shape.dim)
}

/// The size of every axis, `None` where a run decides; `None` without a stated shape.
#[must_use]
pub fn sizes(info: &ValueInfoProto) -> Option<Vec<Option<usize>>> {
    let size = |dim: &Dimension| match dim.value {
        Some(Value::DimValue(size)) => usize::try_from(size).ok(),
        _ => None,
    };
    Some(shape(info)?.dim.iter().map(size).collect())
}
