//! Just enough of Python's pickle format to find the tensors in it. Nothing is executed: the names of functions are
//! compared with those that PyTorch rebuilds tensors with, and whatever else a file calls becomes
//! [`Value::Other`].

use std::collections::HashMap;
use std::rc::Rc;

use super::rebuild::{rebuild, storage};
use super::values::{ArenaIndex, Objects, Pickle, Value};

/// The most objects that a pickle may make. A state dict makes about thirty for each tensor.
const MAX_OBJECTS: usize = 1_000_000;

/// What is wrong with a pickle.
pub(super) type Result<T> = std::result::Result<T, String>;

/// An entry of the stack: a value, or the mark below a group of values.
enum Entry {
    Mark,
    Value(Value),
}

/// Reads one pickle from the front of `bytes`, and moves `bytes` behind it.
///
/// # Errors
/// Returns what is wrong if the pickle is cut off, or uses what state dicts do not.
pub(super) fn read(bytes: &mut &[u8]) -> Result<Pickle> {
    let mut machine = Machine {
        bytes,
        stack: Vec::new(),
        memo: HashMap::new(),
        objects: Objects::default(),
    };
    for _ in 0..MAX_OBJECTS {
        if let Some(root) = machine.step()? {
            let objects = machine.objects;
            return Ok(Pickle { root, objects });
        }
    }
    Err(format!("more than {MAX_OBJECTS} instructions"))
}

struct Machine<'a, 'b> {
    bytes: &'a mut &'b [u8],
    stack: Vec<Entry>,
    memo: HashMap<u32, Value>,
    objects: Objects,
}

impl Machine<'_, '_> {
    fn take(&mut self, len: usize) -> Result<Vec<u8>> {
        let (taken, rest) = self.bytes.split_at_checked(len).ok_or("cut off")?;
        *self.bytes = rest;
        Ok(taken.to_vec())
    }

    fn number(&mut self, len: usize) -> Result<u32> {
        let bytes = self.take(len)?;
        Ok(bytes
            .iter()
            .rev()
            .fold(0, |sum, &byte| sum << 8 | u32::from(byte)))
    }

    fn text(&mut self, len: usize) -> Result<Value> {
        let text = String::from_utf8(self.take(len)?).map_err(|_| "text that is not UTF-8")?;
        Ok(Value::Text(text.into()))
    }

    fn line(&mut self) -> Result<String> {
        let end = self.bytes.iter().position(|&byte| byte == b'\n');
        let line = self.take(end.ok_or("cut off")? + 1)?;
        Ok(String::from_utf8_lossy(&line).trim_end().to_owned())
    }

    fn push(&mut self, value: Value) {
        self.stack.push(Entry::Value(value));
    }

    fn pop(&mut self) -> Result<Value> {
        match self.stack.pop() {
            Some(Entry::Value(value)) => Ok(value),
            _ => Err("a value is missing".into()),
        }
    }

    fn top(&self) -> Result<&Value> {
        match self.stack.last() {
            Some(Entry::Value(value)) => Ok(value),
            _ => Err("a value is missing".into()),
        }
    }

    /// The values above the last mark.
    fn pop_group(&mut self) -> Result<Vec<Value>> {
        let mut values = Vec::new();
        loop {
            match self.stack.pop().ok_or("a mark is missing")? {
                Entry::Mark => break,
                Entry::Value(value) => values.push(value),
            }
        }
        values.reverse();
        Ok(values)
    }

    fn pop_tuple(&mut self, len: usize) -> Result<()> {
        let mut values = (0..len).map(|_| self.pop()).collect::<Result<Vec<_>>>()?;
        values.reverse();
        self.push_tuple(values);
        Ok(())
    }

    fn push_tuple(&mut self, values: Vec<Value>) {
        let index = self.objects.add_sequence(values);
        self.push(Value::Tuple(index));
    }

    fn extend(&mut self, values: Vec<Value>) -> Result<()> {
        if let Value::List(ArenaIndex(at)) = *self.top()?
            && let Some(list) = self.objects.sequences.get_mut(at)
        {
            list.extend(values);
        }
        Ok(())
    }

    fn set(&mut self, values: &[Value]) -> Result<()> {
        if let Value::Dict(ArenaIndex(at)) = *self.top()?
            && let Some(dict) = self.objects.dicts.get_mut(at)
        {
            let (pairs, _) = values.as_chunks::<2>();
            dict.extend(pairs.iter().cloned().map(|[key, value]| (key, value)));
        }
        Ok(())
    }

    fn remember(&mut self, at: u32) -> Result<()> {
        let value = self.top()?.clone();
        self.memo.insert(at, value);
        Ok(())
    }

    fn recall(&mut self, at: u32) -> Result<()> {
        let value = self.memo.get(&at).ok_or("an unknown reference")?.clone();
        self.push(value);
        Ok(())
    }

    /// Runs one instruction; returns the result after the last one.
    fn step(&mut self) -> Result<Option<Value>> {
        let code = self.number(1)? as u8;
        match code {
            b'.' => return self.pop().map(Some),
            // PROTO and FRAME say nothing that is needed.
            0x80 => drop(self.take(1)?),
            0x95 => drop(self.take(8)?),
            // BUILD adds attributes, which state dicts do not need.
            b'b' => drop(self.pop()?),
            _ => {
                let known = self.scalar(code)?
                    || self.container(code)?
                    || self.reference(code)?
                    || self.call(code)?;
                if !known {
                    return Err(format!(
                        "instruction {code:#04x}, which weights do not need"
                    ));
                }
            }
        }
        Ok(None)
    }

    /// Numbers, texts and what counts as nothing. Returns false for another instruction.
    fn scalar(&mut self, code: u8) -> Result<bool> {
        match code {
            b'K' => self.integer(1)?,
            b'M' => self.integer(2)?,
            b'J' => {
                let value = self.number(4)?.cast_signed();
                self.push(Value::Int(value.into()));
            }
            0x8a => self.long()?,
            b'G' => {
                let bytes = self.take(8)?.try_into().map_err(|_| "cut off")?;
                self.push(Value::Float(f64::from_be_bytes(bytes)));
            }
            b'N' => self.push(Value::Other),
            0x88 => self.push(Value::Flag(true)),
            0x89 => self.push(Value::Flag(false)),
            b'X' | b'T' => self.string(4)?,
            b'U' | 0x8c => self.string(1)?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Tuples, lists and dicts. Returns false for another instruction.
    fn container(&mut self, code: u8) -> Result<bool> {
        match code {
            b'(' => self.stack.push(Entry::Mark),
            b')' => self.pop_tuple(0)?,
            0x85 => self.pop_tuple(1)?,
            0x86 => self.pop_tuple(2)?,
            0x87 => self.pop_tuple(3)?,
            b't' => {
                let values = self.pop_group()?;
                self.push_tuple(values);
            }
            b']' => {
                let index = self.objects.add_sequence(Vec::new());
                self.push(Value::List(index));
            }
            b'}' => {
                let index = self.objects.add_dict(Vec::new());
                self.push(Value::Dict(index));
            }
            b'a' => {
                let value = self.pop()?;
                self.extend(vec![value])?;
            }
            b'e' => {
                let values = self.pop_group()?;
                self.extend(values)?;
            }
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                self.set(&[key, value])?;
            }
            b'u' => {
                let values = self.pop_group()?;
                self.set(&values)?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Objects that are used again. Returns false for another instruction.
    fn reference(&mut self, code: u8) -> Result<bool> {
        let (short, long) = (1, 4);
        match code {
            b'q' | b'r' => {
                let at = self.number(if code == b'q' { short } else { long })?;
                self.remember(at)?;
            }
            b'h' | b'j' => {
                let at = self.number(if code == b'h' { short } else { long })?;
                self.recall(at)?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Functions and storages by name, and calls, which are not made. Returns false for another
    /// instruction.
    fn call(&mut self, code: u8) -> Result<bool> {
        match code {
            b'c' => {
                let name = format!("{} {}", self.line()?, self.line()?);
                self.push(Value::Global(name.into()));
            }
            b'Q' => {
                let id = self.pop()?;
                let storage = storage(&id, &self.objects).map(Rc::new);
                self.push(storage.map_or(Value::Other, Value::Storage));
            }
            b'R' | 0x81 => {
                let (arguments, function) = (self.pop()?, self.pop()?);
                let made = rebuild(&function, &arguments, &mut self.objects);
                if let (None, Value::Global(name)) = (&made, function) {
                    self.objects.unknown_call.get_or_insert(name);
                }
                self.push(made.unwrap_or(Value::Other));
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn integer(&mut self, len: usize) -> Result<()> {
        let value = self.number(len)?;
        self.push(Value::Int(value.into()));
        Ok(())
    }

    fn string(&mut self, len: usize) -> Result<()> {
        let len = self.number(len)? as usize;
        let text = self.text(len)?;
        self.push(text);
        Ok(())
    }

    /// An integer of any length; one that does not fit 64 bits is of no use here.
    fn long(&mut self) -> Result<()> {
        let len = self.number(1)? as usize;
        let bytes = self.take(len)?;
        let negative = bytes.last().is_some_and(|byte| byte & 0x80 != 0);
        let mut all = if negative { [0xff; 8] } else { [0; 8] };
        self.push(match all.get_mut(..len) {
            Some(low) => {
                low.copy_from_slice(&bytes);
                Value::Int(i64::from_le_bytes(all))
            }
            None => Value::Other,
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root(bytes: &mut &[u8]) -> Result<Value> {
        read(bytes).map(|pickle| pickle.root)
    }

    #[test]
    fn calls_are_not_made() {
        // cos.system('true'), as a pickle that attacks does it.
        let mut bytes: &[u8] = b"\x80\x02cos\nsystem\nU\x04true\x85R.rest";
        assert!(matches!(root(&mut bytes), Ok(Value::Other)));
        assert_eq!(bytes, b"rest");
    }

    #[test]
    fn integers_of_any_length() {
        let int = |mut bytes: &[u8]| match root(&mut bytes) {
            Ok(Value::Int(value)) => Some(value),
            _ => None,
        };
        assert_eq!(int(b"\x8a\x01\xff."), Some(-1));
        assert_eq!(int(b"\x8a\x02\x00\x01."), Some(256));
        assert_eq!(int(b"\x8a\x00."), Some(0));
        assert_eq!(int(b"J\xfe\xff\xff\xff."), Some(-2));
        // A magic number of ten bytes is read, and is nothing.
        assert_eq!(
            int(b"\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."),
            None
        );
    }

    #[test]
    fn damage_is_named() {
        for (bytes, expected) in [
            (&b"\x80"[..], "cut off"),
            (b"X\xff\xff\xff\xffab", "cut off"),
            (b"h\x07.", "reference"),
            (b"u.", "mark"),
            (b".", "missing"),
            (b"i", "instruction 0x69"),
        ] {
            let error = read(&mut &*bytes).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
        let endless = vec![b'N'; MAX_OBJECTS + 1];
        assert!(read(&mut &*endless).unwrap_err().contains("more than"));
    }

    #[test]
    fn deep_nesting_is_read_and_dropped() {
        // Tuples in tuples, and lists in lists from the outermost on.
        let tuples = [b")".to_vec(), vec![0x85; MAX_OBJECTS - 2], b".".to_vec()].concat();
        assert!(matches!(root(&mut &*tuples), Ok(Value::Tuple(_))));
        let mut lists = b"]".to_vec();
        for _ in 0..MAX_OBJECTS / 5 {
            // The innermost list gets another, which takes its place on the stack.
            lists.extend(b"]q\0ah\0");
        }
        lists.push(b'.');
        assert!(matches!(root(&mut &*lists), Ok(Value::List(_))));
    }

    #[test]
    fn shared_objects_take_no_memory() {
        // A tuple of two of itself, sixty times over: 2⁶⁰ values if they were copied.
        let mut bytes = b")".to_vec();
        for i in 0..60 {
            bytes.extend([b'q', i, b'h', i, 0x86]);
        }
        bytes.push(b'.');
        assert!(matches!(root(&mut &*bytes), Ok(Value::Tuple(_))));
    }
}
