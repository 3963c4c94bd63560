//! What PyTorch's functions make of their arguments, without calling them.

use std::rc::Rc;

use super::values::{Objects, Storage, Tensor, Value};

/// The storage that a persistent id names: `("storage", kind, key, device, length, …)`.
pub(super) fn storage(id: &Value, objects: &Objects) -> Option<Storage> {
    let Value::Tuple(id) = *id else { return None };
    match objects.sequence(id) {
        [Value::Text(what), Value::Global(kind), Value::Text(key), ..] if &**what == "storage" => {
            Some(Storage {
                kind: kind.strip_prefix("torch ")?.to_owned(),
                key: key.to_string(),
            })
        }
        _ => None,
    }
}

/// What a call of one of PyTorch's functions would make.
pub(super) fn rebuild(function: &Value, arguments: &Value, objects: &mut Objects) -> Option<Value> {
    let (Value::Global(name), &Value::Tuple(arguments)) = (function, arguments) else {
        return None;
    };
    match (&**name, objects.sequence(arguments)) {
        ("torch._utils _rebuild_tensor_v2" | "torch._utils _rebuild_tensor", values) => {
            let [
                Value::Storage(storage),
                Value::Int(offset),
                shape,
                stride,
                ..,
            ] = values
            else {
                return None;
            };
            Some(Value::Tensor(Rc::new(Tensor {
                storage: Rc::clone(storage),
                offset: usize::try_from(*offset).ok()?,
                shape: sizes(shape, objects)?,
                stride: sizes(stride, objects)?,
            })))
        }
        ("torch._utils _rebuild_parameter", [tensor, ..]) => Some(tensor.clone()),
        ("collections OrderedDict", []) => Some(Value::Dict(objects.add_dict(Vec::new()))),
        // Python 2 gives the pairs as a list of lists.
        ("collections OrderedDict", &[Value::List(pairs)]) => {
            let pair = |pair: &Value| match *pair {
                Value::List(pair) => match objects.sequence(pair) {
                    [key, value] => Some((key.clone(), value.clone())),
                    _ => None,
                },
                _ => None,
            };
            let pairs = objects.sequence(pairs).iter().filter_map(pair).collect();
            Some(Value::Dict(objects.add_dict(pairs)))
        }
        _ => None,
    }
}

fn sizes(values: &Value, objects: &Objects) -> Option<Vec<usize>> {
    let Value::Tuple(values) = *values else {
        return None;
    };
    let size = |value: &Value| match value {
        Value::Int(size) => usize::try_from(*size).ok(),
        _ => None,
    };
    objects.sequence(values).iter().map(size).collect()
}
