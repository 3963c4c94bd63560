//! What a pickle holds.

use std::rc::Rc;

/// An object of a pickle. What is in tuples, lists and dicts is in the [`Pickle`]: no object is inside of another,
/// however deep a file nests them.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Int(i64),
    Float(f64),
    Flag(bool),
    Text(Rc<str>),
    /// A name: `module name`.
    Global(Rc<str>),
    Tuple(ArenaIndex),
    List(ArenaIndex),
    Dict(ArenaIndex),
    Storage(Rc<Storage>),
    Tensor(Rc<Tensor>),
    Other,
}

/// Where in a [`Pickle`] the values of an object are.
#[derive(Clone, Copy, Debug)]
pub(super) struct ArenaIndex(pub usize);

/// What was read.
#[derive(Debug)]
pub(super) struct Pickle {
    pub root: Value,
    pub objects: Objects,
}

impl Pickle {
    /// The values of a tuple or a list.
    pub fn sequence(&self, index: ArenaIndex) -> &[Value] {
        self.objects.sequence(index)
    }

    /// The keys and values of a dict.
    pub fn dict(&self, index: ArenaIndex) -> &[(Value, Value)] {
        self.objects.dicts.get(index.0).map_or(&[], Vec::as_slice)
    }
}

/// The values of tuples, lists and dicts.
#[derive(Debug, Default)]
pub(super) struct Objects {
    /// The first function that is called and is none of PyTorch's: `module name`.
    pub unknown_call: Option<Rc<str>>,
    pub sequences: Vec<Vec<Value>>,
    pub dicts: Vec<Vec<(Value, Value)>>,
}

impl Objects {
    pub fn sequence(&self, index: ArenaIndex) -> &[Value] {
        self.sequences.get(index.0).map_or(&[], Vec::as_slice)
    }

    pub fn add_sequence(&mut self, values: Vec<Value>) -> ArenaIndex {
        self.sequences.push(values);
        ArenaIndex(self.sequences.len() - 1)
    }

    pub fn add_dict(&mut self, pairs: Vec<(Value, Value)>) -> ArenaIndex {
        self.dicts.push(pairs);
        ArenaIndex(self.dicts.len() - 1)
    }
}

/// An array on which tensors are views.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Storage {
    /// `FloatStorage`, for example.
    pub kind: String,
    /// Its name in the file.
    pub key: String,
}

/// A view on a storage; offset and strides in elements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tensor {
    pub storage: Rc<Storage>,
    pub offset: usize,
    pub shape: Vec<usize>,
    pub stride: Vec<usize>,
}
