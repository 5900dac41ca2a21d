//! A reader for the part of Python's pickle language that torch writes a checkpoint's table in.
//!
//! A pickle is a program for a stack machine that may call anything. This reader calls nothing: a
//! call becomes a [`Node::Call`] that records the callee, and a tensor is found by the call that would
//! have built it. The crates that read pickles either know neither persistent
//! ids nor calls (serde-pickle), are not kept (repugnant-pickle), or bring a whole tensor library
//! (candle-core).
//!
//! Source: the opcode tables of CPython's `pickletools.py`.

use std::collections::HashMap;

/// Index of a value in [`Pickle`]. Values refer to each other by index, so that a small file cannot unfold
/// into a large tree.
pub(super) type Id = usize;

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Node {
    /// `None`, floats, sets: values that no table of tensors needs.
    Opaque,
    Bool(bool),
    Int(i64),
    Text(String),
    Tuple(Vec<Id>),
    List(Vec<Id>),
    /// A `dict` or `OrderedDict`.
    Dict(Vec<(Id, Id)>),
    /// A function or class: `module name`.
    Global(String),
    /// An object that torch stores beside the pickle: a tensor's storage.
    Persistent(Id),
    /// A call that is not made.
    Call {
        callee: Id,
        arguments: Id,
    },
}

/// Bytes of a class's module and name together.
const MAX_NAME: usize = 1024;

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
        Machine {
            bytes,
            at: 0,
            nodes: Vec::new(),
            stack: Vec::new(),
            marks: Vec::new(),
            memo: HashMap::new(),
        }
        .run()
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

struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    nodes: Vec<Node>,
    stack: Vec<Id>,
    /// Stack heights at which a mark was set.
    marks: Vec<usize>,
    memo: HashMap<u32, Id>,
}

impl Machine<'_> {
    fn run(mut self) -> Result<Pickle, String> {
        loop {
            let opcode = self.byte()?;
            match opcode {
                b'.' => {
                    let root = self.pop()?;
                    return Ok(Pickle { nodes: self.nodes, root });
                }
                0x80 => self.skip(1)?, // PROTO
                0x95 => self.skip(8)?, // FRAME
                b'(' => self.marks.push(self.stack.len()),
                b'0' => drop(self.pop()?),
                b'1' => drop(self.pop_to_mark()?),
                b'2' => self.stack.push(*self.stack.last().ok_or_else(empty)?),
                b'N' => self.push(Node::Opaque),
                b'G' => {
                    self.skip(8)?;
                    self.push(Node::Opaque);
                }
                0x88 => self.push(Node::Bool(true)),
                0x89 => self.push(Node::Bool(false)),
                b'J' | b'K' | b'M' | 0x8a | 0x8b => self.integer(opcode)?,
                b'X' | 0x8c | 0x8d | b'T' | b'U' | b'B' | b'C' | 0x8e | 0x96 => {
                    self.string(opcode)?;
                }
                b'c' | 0x93 => self.named(opcode)?,
                b')' | b't' | 0x85..=0x87 => self.tuple(opcode)?,
                b']' => self.push(Node::List(Vec::new())),
                b'}' => self.push(Node::Dict(Vec::new())),
                0x8f => self.push(Node::Opaque), // EMPTY_SET
                b'a' | b'e' | 0x90 => self.append(opcode)?,
                0x91 => {
                    self.pop_to_mark()?;
                    self.push(Node::Opaque); // FROZENSET
                }
                b's' | b'u' => self.set_items(opcode)?,
                b'q' | b'r' | 0x94 | b'h' | b'j' => self.memory(opcode)?,
                b'R' | 0x81 => self.call()?,
                0x92 => {
                    self.pop()?; // NEWOBJ_EX: a call with named arguments
                    self.call()?;
                }
                b'b' => drop(self.pop()?), // BUILD: attributes such as _metadata
                b'Q' => {
                    let id = self.pop()?;
                    self.push(Node::Persistent(id));
                }
                other => {
                    let at = self.at - 1;
                    return Err(format!(
                        "opcode {other:#04x} at byte {at}, which torch does not write"
                    ));
                }
            }
        }
    }

    fn integer(&mut self, opcode: u8) -> Result<(), String> {
        let value = match opcode {
            b'J' => i64::from(i32::from_le_bytes(self.array()?)),
            b'K' => i64::from(self.byte()?),
            b'M' => i64::from(u16::from_le_bytes(self.array()?)),
            _ => match self.integer_length(opcode)? {
                length @ 0..=8 => {
                    let bytes = self.take(length)?;
                    let negative = bytes.last().is_some_and(|b| b & 0x80 != 0);
                    let mut wide = [if negative { 0xff } else { 0 }; 8];
                    wide.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
                    i64::from_le_bytes(wide)
                }
                length => {
                    self.skip(length)?;
                    self.push(Node::Opaque);
                    return Ok(());
                }
            },
        };
        self.push(Node::Int(value));
        Ok(())
    }

    /// Bytes of an integer of any length.
    fn integer_length(&mut self, opcode: u8) -> Result<usize, String> {
        match opcode {
            0x8b => usize::try_from(i32::from_le_bytes(self.array()?)).map_err(|_| cut_off()),
            _ => Ok(usize::from(self.byte()?)),
        }
    }

    fn string(&mut self, opcode: u8) -> Result<(), String> {
        let length = match opcode {
            0x8c | b'U' | b'C' => u64::from(self.byte()?),
            b'X' | b'T' | b'B' => u64::from(u32::from_le_bytes(self.array()?)),
            _ => u64::from_le_bytes(self.array()?),
        };
        let length = usize::try_from(length).map_err(|_| "a text beyond its end".to_owned())?;
        let bytes = self.take(length)?;
        let node = match (opcode, std::str::from_utf8(bytes)) {
            (b'B' | b'C' | 0x8e | 0x96, _) | (_, Err(_)) => Node::Opaque,
            (_, Ok(text)) => Node::Text(text.to_owned()),
        };
        self.push(node);
        Ok(())
    }

    fn named(&mut self, opcode: u8) -> Result<(), String> {
        let name = if opcode == b'c' {
            let module = self.line()?;
            format!("{module} {}", self.line()?)
        } else {
            let (name, module) = (self.pop()?, self.pop()?);
            match (self.nodes.get(module), self.nodes.get(name)) {
                // Memoised texts can be named again and again: long ones would multiply.
                (Some(Node::Text(module)), Some(Node::Text(name)))
                    if module.len() + name.len() <= MAX_NAME =>
                {
                    format!("{module} {name}")
                }
                _ => return Err("a class without a name, or with a very long one".to_owned()),
            }
        };
        self.push(Node::Global(name));
        Ok(())
    }

    fn tuple(&mut self, opcode: u8) -> Result<(), String> {
        let items = match opcode {
            b')' => Vec::new(),
            b't' => self.pop_to_mark()?,
            _ => {
                let height = self.stack.len().checked_sub(usize::from(opcode - 0x84));
                self.stack.split_off(height.ok_or_else(empty)?)
            }
        };
        self.push(Node::Tuple(items));
        Ok(())
    }

    fn append(&mut self, opcode: u8) -> Result<(), String> {
        let items = if opcode == b'a' { vec![self.pop()?] } else { self.pop_to_mark()? };
        if let Node::List(list) = self.top()? {
            list.extend(items);
        }
        Ok(())
    }

    fn set_items(&mut self, opcode: u8) -> Result<(), String> {
        let items = if opcode == b's' {
            let value = self.pop()?;
            vec![self.pop()?, value]
        } else {
            self.pop_to_mark()?
        };
        if let Node::Dict(entries) = self.top()? {
            entries.extend(items.as_chunks::<2>().0.iter().map(|&[key, value]| (key, value)));
        }
        Ok(())
    }

    fn memory(&mut self, opcode: u8) -> Result<(), String> {
        let place = match opcode {
            b'q' | b'h' => u32::from(self.byte()?),
            b'r' | b'j' => u32::from_le_bytes(self.array()?),
            _ => u32::try_from(self.memo.len()).map_err(|_| "too many values".to_owned())?,
        };
        if matches!(opcode, b'h' | b'j') {
            let value = self.memo.get(&place).copied();
            self.stack.push(value.ok_or_else(|| format!("a value {place} that was never stored"))?);
        } else {
            let value = *self.stack.last().ok_or_else(empty)?;
            self.memo.insert(place, value);
        }
        Ok(())
    }

    fn call(&mut self) -> Result<(), String> {
        let (arguments, callee) = (self.pop()?, self.pop()?);
        let dict = matches!(self.nodes.get(callee), Some(Node::Global(name)) if name == "collections OrderedDict");
        self.push(if dict { Node::Dict(Vec::new()) } else { Node::Call { callee, arguments } });
        Ok(())
    }

    fn push(&mut self, node: Node) {
        self.stack.push(self.nodes.len());
        self.nodes.push(node);
    }

    fn pop(&mut self) -> Result<Id, String> {
        self.stack.pop().ok_or_else(empty)
    }

    fn pop_to_mark(&mut self) -> Result<Vec<Id>, String> {
        let height = self.marks.pop().filter(|&height| height <= self.stack.len());
        Ok(self
            .stack
            .split_off(height.ok_or_else(|| "the end of a list without its start".to_owned())?))
    }

    fn top(&mut self) -> Result<&mut Node, String> {
        let id = *self.stack.last().ok_or_else(empty)?;
        self.nodes.get_mut(id).ok_or_else(empty)
    }

    fn byte(&mut self) -> Result<u8, String> {
        Ok(self.array::<1>()?[0])
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        self.take(N)?.try_into().map_err(|_| cut_off())
    }

    fn line(&mut self) -> Result<String, String> {
        let rest = self.bytes.get(self.at..).ok_or_else(cut_off)?;
        let length = rest.iter().position(|&b| b == b'\n').ok_or_else(cut_off)?;
        let line = String::from_utf8_lossy(self.take(length)?).into_owned();
        self.skip(1)?;
        Ok(line)
    }

    fn take(&mut self, length: usize) -> Result<&[u8], String> {
        let end = self.at.checked_add(length).ok_or_else(cut_off)?;
        let bytes = self.bytes.get(self.at..end).ok_or_else(cut_off)?;
        self.at = end;
        Ok(bytes)
    }

    fn skip(&mut self, length: usize) -> Result<(), String> {
        self.take(length).map(drop)
    }
}

fn cut_off() -> String {
    "a pickle that is cut off".to_owned()
}

fn empty() -> String {
    "a pickle that takes from an empty stack".to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

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
