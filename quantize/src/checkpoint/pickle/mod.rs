//! A reader for the part of Python's pickle language that torch writes a checkpoint's table in.
//!
//! A pickle is a program for a stack machine that may call anything. This reader calls nothing: a
//! call becomes a [`Node::Call`] that records the callee, and a tensor is found by the call that would
//! have built it. The crates that read pickles either know neither persistent
//! ids nor calls (serde-pickle), are not kept (repugnant-pickle), or bring a whole tensor library
//! (candle-core).
//!
//! Source: the opcode tables of CPython's `pickletools.py`.

mod machine;
mod node;

use machine::Machine;
pub(super) use node::{Id, Node};

/// A parsed pickle: its values and the outermost one.
pub(super) struct Pickle {
    nodes: Vec<Node>,
    root: Id,
}

impl Pickle {
    /// Reads a pickle of protocol 2 to 5.
    ///
    /// # Errors
    /// The reason that it is none, as a noun phrase.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, String> {
        let (nodes, root) = Machine::new(bytes).run()?;
        Ok(Self { nodes, root })
    }

    pub(super) fn root(&self) -> Id {
        self.root
    }

    pub(super) fn node(&self, id: Id) -> &Node {
        &self.nodes[id]
    }

    pub(super) fn text(&self, id: Id) -> Option<&str> {
        match self.node(id) {
            Node::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn size(&self, id: Id) -> Option<usize> {
        match self.node(id) {
            Node::Int(value) => usize::try_from(*value).ok(),
            _ => None,
        }
    }

    pub(super) fn tuple(&self, id: Id) -> Option<&[Id]> {
        match self.node(id) {
            Node::Tuple(items) => Some(items),
            _ => None,
        }
    }

    pub(super) fn sizes(&self, id: Id) -> Option<Vec<usize>> {
        self.tuple(id)?.iter().map(|&item| self.size(item)).collect()
    }

    pub(super) fn global(&self, id: Id) -> Option<&str> {
        match self.node(id) {
            Node::Global(name) => Some(name),
            _ => None,
        }
    }

    /// The arguments of a call to `module name`.
    pub(super) fn call(&self, id: Id, name: &str) -> Option<&[Id]> {
        match *self.node(id) {
            Node::Call { callee, arguments } if self.global(callee) == Some(name) => {
                self.tuple(arguments)
            }
            _ => None,
        }
    }

    pub(super) fn dict(&self, id: Id) -> Option<&[(Id, Id)]> {
        match self.node(id) {
            Node::Dict(entries) => Some(entries),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{machine::MAX_NAME, *};

    #[test]
    fn a_dictionary_of_numbers_is_read() {
        // pickle.dumps({"a": 1, "b": (-2, 70000)}, protocol=2)
        let bytes = b"\x80\x02}q\x00(X\x01\x00\x00\x00aq\x01K\x01X\x01\x00\x00\x00bq\x02J\xfe\xff\xff\xffJp\x11\x01\x00\x86q\x03u.";
        let pickle = Pickle::read(bytes).unwrap();
        let entries = pickle.dict(pickle.root()).unwrap();
        assert_eq!(pickle.text(entries[0].0), Some("a"));
        assert_eq!(pickle.size(entries[0].1), Some(1));
        let pair = pickle.tuple(entries[1].1).unwrap();
        assert_eq!(
            (pickle.node(pair[0]), pickle.node(pair[1])),
            (&Node::Int(-2), &Node::Int(70000))
        );
    }

    #[test]
    fn a_call_is_remembered_and_not_made() {
        // pickle.dumps of an object whose __reduce__ is (os.system, ("true",))
        let bytes = b"\x80\x02cposix\nsystem\nq\x00X\x04\x00\x00\x00trueq\x01\x85q\x02Rq\x03.";
        let pickle = Pickle::read(bytes).unwrap();
        let arguments = pickle.call(pickle.root(), "posix system").unwrap();
        assert_eq!(pickle.text(arguments[0]), Some("true"));
    }

    #[test]
    fn what_training_scripts_keep_beside_the_tensors_is_passed_over() {
        // pickle.dumps(("k", frozenset([1]), bytearray(b"ab"), 1 << 2040, {2}, b"c"), protocol=5)
        let long = [&b"\x8b\x00\x01\x00\x00"[..], &[0; 255], &[1]].concat();
        let parts: [&[u8]; 5] = [
            b"\x80\x05(\x8c\x01k\x94(K\x01\x91\x94\x96\x02\x00\x00\x00\x00\x00\x00\x00ab\x94",
            &long,
            b"\x8f\x94(K\x02\x90C\x01c\x94",
            // An object made with named arguments, a value twice, and a list that is dropped.
            b"\x8c\x01m\x8c\x01C\x93)}\x92K\x072(K\x08K\x091",
            b"t.",
        ];
        let pickle = Pickle::read(&parts.concat()).unwrap();
        let items = pickle.tuple(pickle.root()).unwrap();
        assert_eq!(pickle.text(items[0]), Some("k"));
        assert_eq!(items[1..6].iter().filter(|&&i| *pickle.node(i) == Node::Opaque).count(), 5);
        assert!(pickle.call(items[6], "m C").unwrap().is_empty());
        assert_eq!(items[7..].iter().map(|&i| pickle.size(i)).collect::<Vec<_>>(), [Some(7); 2]);
    }

    #[test]
    fn a_long_name_that_is_used_again_and_again_is_refused() {
        let text = "m".repeat(MAX_NAME);
        let mut bytes = b"\x80\x04X".to_vec();
        bytes.extend((text.len() as u32).to_le_bytes());
        bytes.extend(text.as_bytes());
        bytes.extend(b"q\x00h\x00\x93.");
        let error = Pickle::read(&bytes).err().unwrap();
        assert_eq!(error, "a class without a name, or with a very long one");
    }

    #[test]
    fn an_unknown_opcode_is_named_with_its_place() {
        let error = Pickle::read(b"\x80\x02I1\n.").err().unwrap();
        assert!(error.starts_with("opcode 0x49 at byte 2"), "{error}");
    }

    #[test]
    fn a_pickle_that_doubles_itself_stays_small() {
        let mut bytes = b"\x80\x02)q\x00".to_vec();
        for _ in 0..64 {
            bytes.extend(b"h\x00h\x00\x86q\x00");
        }
        bytes.push(b'.');
        assert!(Pickle::read(&bytes).unwrap().nodes.len() < 100);
    }

    proptest! {
        #[test]
        fn any_bytes_end_in_a_value_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Pickle::read(&bytes);
        }
    }
}
