//! The stack machine, without the instructions that could do anything.

use std::collections::HashMap;

use super::super::limits::{MAX_OBJECTS, MAX_PICKLE_BYTES};
use super::cursor::raw_unicode_escape;
use super::object::{Id, Known, Object, Objects, PickleError};

/// Reads a pickle of protocol 0 to 5.
///
/// # Errors
/// When it is damaged, over a bound, or wants anything but data.
pub fn read(bytes: &[u8]) -> Result<Objects, PickleError> {
    if bytes.len() as u64 > MAX_PICKLE_BYTES {
        return Err(PickleError::OverLimit("bytes"));
    }
    let mut machine = Machine {
        bytes,
        at: 0,
        all: Vec::new(),
        stack: Vec::new(),
        marks: Vec::new(),
        memo: HashMap::new(),
    };
    loop {
        let at = machine.at;
        let opcode = machine.byte()?;
        if opcode == b'.' {
            let root = machine.pop()?;
            return Ok(Objects { all: machine.all, root });
        }
        machine.step(opcode, at)?;
    }
}

pub(super) struct Machine<'b> {
    pub(super) bytes: &'b [u8],
    pub(super) at: usize,
    pub(super) all: Vec<Object>,
    pub(super) stack: Vec<Id>,
    /// Heights of the stack at each mark.
    marks: Vec<usize>,
    memo: HashMap<u64, Id>,
}

impl Machine<'_> {
    fn step(&mut self, opcode: u8, at: usize) -> Result<(), PickleError> {
        match opcode {
            0x80 => drop(self.byte()?),
            0x95 => drop(self.take(8)?),
            b'(' => self.marks.push(self.stack.len()),
            b'0' => drop(self.pop()?),
            b'1' => drop(self.since_mark()?),
            b'N' => self.push(Object::None)?,
            0x88 => self.push(Object::Bool(true))?,
            0x89 => self.push(Object::Bool(false))?,
            b'}' => self.push(Object::Dict(Vec::new()))?,
            b']' => self.push(Object::List(Vec::new()))?,
            b')' => self.push(Object::Tuple(Vec::new()))?,
            b'd' | b'l' | b't' | 0x85..=0x87 | b'a' | b'e' | b's' | b'u' => self.container(opcode)?,
            b'I' | b'L' | b'J' | b'K' | b'M' | 0x8a | b'F' | b'G' => self.number(opcode)?,
            b'S' | b'V' | b'X' | b'T' | b'U' | b'C' | b'B' | 0x8c | 0x8d | 0x8e | 0x96 => self.text(opcode)?,
            b'p' | b'q' | b'r' | 0x94 | b'g' | b'h' | b'j' => self.memory(opcode)?,
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.global(&module, &name, at)?;
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                let (Some(Object::Text(module)), Some(Object::Text(name))) = (self.all.get(module), self.all.get(name))
                else {
                    return self.damaged("a name that is no text");
                };
                let (module, name) = (module.clone(), name.clone());
                self.global(&module, &name, at)?;
            }
            b'R' => self.call(at)?,
            b'b' => self.build(at)?,
            opcode => return Err(PickleError::Instruction { opcode, at }),
        }
        Ok(())
    }

    fn container(&mut self, opcode: u8) -> Result<(), PickleError> {
        match opcode {
            b'l' => {
                let items = self.since_mark()?;
                self.push(Object::List(items))
            }
            b't' => {
                let items = self.since_mark()?;
                self.push(Object::Tuple(items))
            }
            b'd' => {
                let items = self.since_mark()?;
                self.push(Object::Dict(pairs(&items)))
            }
            0x85..=0x87 => {
                let count = usize::from(opcode - 0x84);
                let from = self
                    .stack
                    .len()
                    .checked_sub(count)
                    .ok_or(PickleError::CutShort(self.at))?;
                let items = self.stack.split_off(from);
                self.push(Object::Tuple(items))
            }
            b'a' | b'e' => {
                let items = if opcode == b'a' {
                    vec![self.pop()?]
                } else {
                    self.since_mark()?
                };
                match self.top()? {
                    Object::List(list) => list.extend(items),
                    _ => return self.damaged("append to what is no list"),
                }
                Ok(())
            }
            _ => {
                let items = if opcode == b's' {
                    let value = self.pop()?;
                    vec![self.pop()?, value]
                } else {
                    self.since_mark()?
                };
                match self.top()? {
                    Object::Dict(dict) => dict.extend(pairs(&items)),
                    _ => return self.damaged("an item for what is no dictionary"),
                }
                Ok(())
            }
        }
    }

    fn number(&mut self, opcode: u8) -> Result<(), PickleError> {
        let object = match opcode {
            b'I' | b'L' => {
                let line = self.line()?;
                match line.trim_end_matches('L') {
                    "00" => Object::Bool(false),
                    "01" => Object::Bool(true),
                    digits => Object::Int(self.parsed(digits)?),
                }
            }
            b'F' => {
                let line = self.line()?;
                Object::Float(self.parsed(&line)?)
            }
            b'G' => Object::Float(f64::from_be_bytes(self.array()?)),
            b'J' => Object::Int(i64::from(i32::from_le_bytes(self.array()?))),
            b'K' => Object::Int(i64::from(self.byte()?)),
            b'M' => Object::Int(i64::from(u16::from_le_bytes(self.array()?))),
            _ => {
                let length = usize::from(self.byte()?);
                let bytes = self.take(length)?;
                if bytes.len() > 8 {
                    return Err(PickleError::OverLimit("digits of a number"));
                }
                let fill = if bytes.last().is_some_and(|b| *b >= 0x80) {
                    0xff
                } else {
                    0
                };
                let mut wide = [fill; 8];
                wide.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
                Object::Int(i64::from_le_bytes(wide))
            }
        };
        self.push(object)
    }

    fn text(&mut self, opcode: u8) -> Result<(), PickleError> {
        let object = match opcode {
            b'S' => Object::Text(self.line()?.trim_matches(['\'', '"']).to_owned()),
            b'V' => Object::Text(raw_unicode_escape(&self.line_bytes()?)),
            opcode => {
                let length = match opcode {
                    b'U' | b'C' | 0x8c => usize::from(self.byte()?),
                    b'T' | b'X' | b'B' => usize::try_from(u32::from_le_bytes(self.array()?)).unwrap_or(usize::MAX),
                    _ => usize::try_from(u64::from_le_bytes(self.array()?)).unwrap_or(usize::MAX),
                };
                let bytes = self.take(length)?.to_vec();
                match opcode {
                    b'C' | b'B' | 0x8e | 0x96 => Object::Bytes(bytes),
                    // Python 2 strings: bytes, often not UTF-8; as Latin-1 nothing is lost.
                    b'T' | b'U' => Object::Text(bytes.into_iter().map(char::from).collect()),
                    _ => match String::from_utf8(bytes) {
                        Ok(text) => Object::Text(text),
                        Err(_) => return self.damaged("a text that is no UTF-8"),
                    },
                }
            }
        };
        self.push(object)
    }

    fn memory(&mut self, opcode: u8) -> Result<(), PickleError> {
        let key = match opcode {
            b'p' | b'g' => {
                let line = self.line()?;
                self.parsed(&line)?
            }
            b'q' | b'h' => u64::from(self.byte()?),
            b'r' | b'j' => u64::from(u32::from_le_bytes(self.array()?)),
            _ => self.memo.len() as u64,
        };
        if matches!(opcode, b'g' | b'h' | b'j') {
            let Some(&id) = self.memo.get(&key) else {
                return self.damaged("a memory that was never written");
            };
            self.stack.push(id);
            return Ok(());
        }
        let Some(&id) = self.stack.last() else {
            return self.damaged("an empty stack");
        };
        self.memo.insert(key, id);
        Ok(())
    }

    fn global(&mut self, module: &str, name: &str, at: usize) -> Result<(), PickleError> {
        let known = Known::named(module, name).ok_or_else(|| {
            let name: String = format!("{module}.{name}")
                .chars()
                .filter(|c| !c.is_control())
                .take(200)
                .collect();
            PickleError::Calls { name, at }
        })?;
        self.push(Object::Global(known))
    }

    pub(super) fn push(&mut self, object: Object) -> Result<(), PickleError> {
        if self.all.len() >= MAX_OBJECTS {
            return Err(PickleError::OverLimit("objects"));
        }
        self.stack.push(self.all.len());
        self.all.push(object);
        Ok(())
    }

    pub(super) fn pop(&mut self) -> Result<Id, PickleError> {
        self.stack.pop().ok_or(PickleError::Damaged {
            what: "an empty stack",
            at: self.at,
        })
    }

    pub(super) fn top(&mut self) -> Result<&mut Object, PickleError> {
        let at = self.at;
        let id = self.stack.last().copied();
        id.and_then(|id| self.all.get_mut(id)).ok_or(PickleError::Damaged {
            what: "an empty stack",
            at,
        })
    }

    fn since_mark(&mut self) -> Result<Vec<Id>, PickleError> {
        let height = self.marks.pop().filter(|h| *h <= self.stack.len());
        let height = height.ok_or(PickleError::Damaged {
            what: "no mark",
            at: self.at,
        })?;
        Ok(self.stack.split_off(height))
    }

    fn damaged<T>(&self, what: &'static str) -> Result<T, PickleError> {
        Err(PickleError::Damaged { what, at: self.at })
    }
}

fn pairs(items: &[Id]) -> Vec<(Id, Id)> {
    items.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test says what failed by panicking")]
    use super::*;

    #[test]
    fn a_call_is_refused_and_named() {
        // What `pickle.dumps` writes for an object whose __reduce__ gives (os.system, ("touch /tmp/owned",)).
        let error = read(b"cos\nsystem\n(S'touch /tmp/owned'\ntR.").unwrap_err();
        assert!(
            matches!(&error, PickleError::Calls { name, .. } if name == "os.system"),
            "{error}"
        );
        let error = read(b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x02ls\x85R.").unwrap_err();
        assert!(
            matches!(&error, PickleError::Calls { name, .. } if name == "posix.system"),
            "{error}"
        );
    }

    #[test]
    fn every_prefix_and_every_single_byte_is_refused_or_read_without_a_panic() {
        let whole = b"\x80\x04}(\x8c\x0asplitLayer\x8c\x01a\x8c\x09execTime1G?\xf0\x00\x00\x00\x00\x00\x00\x8c\x06result](K\x01K\x02eu.";
        assert!(read(whole).is_ok_and(|o| o.text("splitLayer") == Some("a")));
        for end in 0..whole.len() {
            assert!(read(&whole[..end]).is_err());
        }
        for at in 0..whole.len() {
            for byte in 0..=255 {
                let mut changed = whole.to_vec();
                changed[at] = byte;
                if let Ok(objects) = read(&changed) {
                    let _may_be_anything = objects.tensor("result");
                }
            }
        }
    }

    #[test]
    fn a_list_that_holds_itself_a_billion_times_costs_nothing() {
        // l = []; then 40 times: l = [l, l] through the memo.
        let mut bytes = b"]q\x00".to_vec();
        for i in 0..40_u8 {
            bytes.extend([b']', b'(', b'h', i, b'h', i, b'e', b'q', i + 1]);
        }
        bytes.push(b'.');
        let objects = read(&bytes).unwrap();
        assert!(matches!(objects.tensor(""), Err(PickleError::OverLimit(_))));
    }
}
