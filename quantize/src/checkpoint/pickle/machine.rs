//! The opcodes of a pickle.

use std::collections::HashMap;

use super::node::{Id, Node};

/// Bytes of a class's module and name together.
pub(super) const MAX_NAME: usize = 1024;

/// The stack machine, which carries out a pickle's opcodes one after the other.
pub(super) struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    nodes: Vec<Node>,
    stack: Vec<Id>,
    /// Stack heights at which a mark was set.
    marks: Vec<usize>,
    memo: HashMap<u32, Id>,
}

impl<'a> Machine<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        let (nodes, stack, marks) = (Vec::new(), Vec::new(), Vec::new());
        Self { bytes, at: 0, nodes, stack, marks, memo: HashMap::new() }
    }

    /// Runs the program: the values that it makes, and the outermost one.
    pub(super) fn run(mut self) -> Result<(Vec<Node>, Id), String> {
        loop {
            let opcode = self.byte()?;
            match opcode {
                b'.' => {
                    let root = self.pop()?;
                    return Ok((self.nodes, root));
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
