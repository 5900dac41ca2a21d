//! The memory that a file's messages take once they are parsed, told before they are.
//!
//! A message of two bytes, such as an empty attribute, becomes a struct of a thousand, and lists of them grow by doubling: a
//! file of some megabytes could take gigabytes.

use tract_onnx::pb::{
    AttributeProto, FunctionProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto,
    SparseTensorProto, StringStringEntryProto, TensorAnnotation, TensorProto, TensorShapeProto,
    TrainingInfoProto, TypeProto, ValueInfoProto, tensor_shape_proto, type_proto,
};

use crate::Error;

/// Most bytes of structs: those of 10,000 nodes with several attributes each.
const MAX_BYTES: usize = 64 << 20;
/// Messages inside each other, which prost does not take either.
const MAX_DEPTH: usize = 100;

/// Refuses a file whose messages would take more, whatever they say.
pub(crate) fn check(file: &[u8]) -> Result<(), Error> {
    match size(Message::Model, file, 0) {
        0..=MAX_BYTES => Ok(()),
        found => Err(Error::Limit { what: "bytes of parsed messages", limit: MAX_BYTES, found }),
    }
}

/// A kind of message, of those that an ONNX file may hold many of.
#[derive(Clone, Copy)]
enum Message {
    Annotation,
    Attribute,
    Dimension,
    Entry,
    Function,
    Graph,
    Model,
    Node,
    Opset,
    Shape,
    Sparse,
    Tensor,
    TensorType,
    Training,
    Type,
    ValueInfo,
}

impl Message {
    /// The kind of message that a field holds; `None` for texts, bytes and numbers.
    fn inside(self, field: u64) -> Option<Self> {
        use Message::*;
        Some(match (self, field) {
            (Model, 7) | (Attribute, 6 | 11) | (Training, 1 | 2) => Graph,
            (Model, 8) | (Function, 9) => Opset,
            (Model, 14) | (Annotation, 2) | (Training, 3 | 4) | (Tensor, 13) => Entry,
            (Model, 20) => Training,
            (Model, 25) => Function,
            (Graph, 1) | (Function, 7) => Node,
            (Graph, 5) | (Attribute, 5 | 10) | (Sparse, 1 | 2) => Tensor,
            (Graph, 11..=13) => ValueInfo,
            (Graph, 14) => Annotation,
            (Graph, 15) | (Attribute, 22 | 23) => Sparse,
            (Node, 5) => Attribute,
            (Attribute, 15) | (ValueInfo, 2) => Type,
            (Type, 1) => TensorType,
            (TensorType, 2) => Shape,
            (Shape, 1) => Dimension,
            _ => return None,
        })
    }

    /// Bytes of the struct.
    fn size(self) -> usize {
        match self {
            Self::Annotation => size_of::<TensorAnnotation>(),
            Self::Attribute => size_of::<AttributeProto>(),
            Self::Dimension => size_of::<tensor_shape_proto::Dimension>(),
            Self::Entry => size_of::<StringStringEntryProto>(),
            Self::Function => size_of::<FunctionProto>(),
            Self::Graph => size_of::<GraphProto>(),
            Self::Model => size_of::<ModelProto>(),
            Self::Node => size_of::<NodeProto>(),
            Self::Opset => size_of::<OperatorSetIdProto>(),
            Self::Shape => size_of::<TensorShapeProto>(),
            Self::Sparse => size_of::<SparseTensorProto>(),
            Self::Tensor => size_of::<TensorProto>(),
            Self::TensorType => size_of::<type_proto::Tensor>(),
            Self::Training => size_of::<TrainingInfoProto>(),
            Self::Type => size_of::<TypeProto>(),
            Self::ValueInfo => size_of::<ValueInfoProto>(),
        }
    }
}

/// Bytes of all structs in a message. Of one that is damaged, those before the damage: it is not parsed.
fn size(message: Message, mut bytes: &[u8], depth: usize) -> usize {
    let mut total = 0_usize;
    while let Some((field, content)) = next_field(&mut bytes) {
        total += match message.inside(field) {
            Some(inner) if depth < MAX_DEPTH => inner.size() + size(inner, content, depth + 1),
            _ => size_of::<String>(),
        };
    }
    total
}

/// Takes the next field off `bytes`: its number, and its content where it has a length. `None` at the end and at damage.
fn next_field<'a>(bytes: &mut &'a [u8]) -> Option<(u64, &'a [u8])> {
    let key = varint(bytes)?;
    let length = match key & 7 {
        0 => {
            varint(bytes)?;
            0
        }
        1 => 8,
        2 => usize::try_from(varint(bytes)?).ok()?,
        5 => 4,
        _ => return None,
    };
    let (content, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some((key >> 3, content))
}

/// Takes an integer of variable length off `bytes`.
fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7F) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use prost::Message as _;
    use tract_onnx::pb::TensorProto;

    use super::*;
    use crate::Model;

    fn delimited(field: u8, content: &[u8]) -> Vec<u8> {
        let mut bytes = vec![field << 3 | 2];
        prost::encode_length_delimiter(content.len(), &mut bytes).unwrap();
        [&bytes, content].concat()
    }

    /// A model of one graph with this field.
    fn model(field: u8, content: &[u8]) -> Vec<u8> {
        delimited(7, &delimited(field, content))
    }

    #[test]
    fn a_file_of_many_empty_messages_is_refused_before_it_is_parsed() {
        let attributes_of_a_node = b"\x2A\0".repeat(1 << 20);
        let dimensions = b"\x0A\0".repeat(4 << 20);
        let input = [2, 1, 2].into_iter().fold(dimensions, |inner, field| delimited(field, &inner));
        for file in [model(1, &attributes_of_a_node), model(11, &input)] {
            let error = Model::parse(&file).unwrap_err().to_string();
            assert!(error.contains("bytes of parsed messages, where at most 67108864"), "{error}");
        }
    }

    #[test]
    fn numbers_in_bytes_count_no_more_than_their_text() {
        let tensor = TensorProto { raw_data: vec![1; 4 << 20], ..TensorProto::default() };
        let file = model(5, &tensor.encode_to_vec());
        assert!(size(Message::Model, &file, 0) < 10_000);
        assert!(check(&file).is_ok());
    }

    #[test]
    fn damage_ends_the_walk() {
        let file = model(1, b"\x2A\x05abc");
        for length in 0..file.len() {
            assert!(check(&file[..length]).is_ok());
        }
        assert_eq!(varint(&mut &[0xFF; 20][..]), None);
    }
}
