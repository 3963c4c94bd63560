//! Attention within a frame, over time and to recalled frames, and writing the KV cache; delta states.

use super::super::heads::HeadLayout;
use super::super::kernel_args::{
    DeltaReadArgs, DeltaWriteArgs, KvCacheWriteArgs, MemoryAttentionArgs, SpatialAttentionArgs,
    TemporalAttentionArgs,
};
use super::super::kernels::{Kernel, workgroups};
use super::{CaseInputs, ExpectedRegion, KernelCase};

/// All cases of this file.
pub fn cases() -> Vec<KernelCase> {
    let shapes = [(1, 1, 4), (20, 4, 32), (67, 3, 8), (130, 2, 64)];
    let mut cases: Vec<_> = shapes.map(spatial).into();
    cases.extend([(9, 1, 3), (21, 2, 8)].map(plain));
    cases.extend([(0, 0), (0, 3), (2, 4), (4, 5)].map(temporal));
    cases.extend([(0, 6), (5, 6), (6, 6)].map(memory));
    cases.extend([f32::NAN, f32::INFINITY].map(non_finite_keys));
    cases.extend([(1, 1, 4, true), (7, 2, 8, false), (20, 4, 32, true)].map(delta));
    cases.extend([0, 8].map(non_finite_writes));
    cases
}

/// `x` normalized to the length `scale`.
fn normalized(x: &[f32], scale: f32) -> Vec<f32> {
    let length = (x.iter().map(|x| x * x).sum::<f32>() + 1e-6).sqrt();
    x.iter().map(|x| x * scale / length).collect()
}

/// Average of `values`, weighted by the softmax of `logits`.
fn weighted_average(logits: &[f32], values: &[&[f32]]) -> Vec<f32> {
    let max = logits.iter().fold(f32::NEG_INFINITY, |a, x| a.max(*x));
    let weights: Vec<f32> = logits.iter().map(|x| (x - max).exp()).collect();
    let total: f32 = weights.iter().sum();
    let mut y = vec![0.0; values[0].len()];
    for (weight, value) in weights.iter().zip(values) {
        for (y, value) in y.iter_mut().zip(*value) {
            *y += weight / total * value;
        }
    }
    y
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Attention between the tokens of a frame: tokens, heads, head size.
fn spatial((tokens, heads, head): (usize, usize, usize)) -> KernelCase {
    let mut t = CaseInputs::new(tokens as u64);
    let width = heads * head;
    let scales: Vec<f32> = (0..heads).map(|h| 2.0 + 3.0 * h as f32).collect();
    let (qkv, qkv_values) = t.random_region(tokens * 3 * width);
    let y = t.nan_region(tokens * width);
    let args = SpatialAttentionArgs {
        qkv,
        y,
        tokens: tokens as u32,
        heads: heads as u32,
        scales: t.weights.push(&scales),
        scale: 0.0,
        unused: [0; 2],
    };
    let qkv_part = |token: usize, which: usize, h: usize| {
        let at = (token * 3 + which) * width + h * head;
        &qkv_values[at..at + head]
    };
    let mut values = Vec::new();
    for token in 0..tokens {
        for (h, scale) in scales.iter().enumerate() {
            let query = normalized(qkv_part(token, 0, h), *scale);
            let logits: Vec<f32> = (0..tokens)
                .map(|j| dot(&query, &normalized(qkv_part(j, 1, h), 1.0)))
                .collect();
            let heads_values: Vec<&[f32]> = (0..tokens).map(|j| qkv_part(j, 2, h)).collect();
            values.extend(weighted_average(&logits, &heads_values));
        }
    }
    let name = format!("spatial attention, {tokens} tokens, {heads} heads of {head}");
    let expected = vec![ExpectedRegion { at: y, values }];
    t.case(name, head, expected, move |r| {
        let count = workgroups((tokens * heads) as u32);
        r.push(Kernel::AttentionSpatial, &args, [count, 1]);
    })
}

/// Attention by plain products: tokens, heads, head size.
fn plain((tokens, heads, size): (usize, usize, usize)) -> KernelCase {
    let mut t = CaseInputs::new(tokens as u64);
    let layout = HeadLayout::new(heads, heads * size);
    let padded = layout.width();
    // Padding holds zeros, as a padded projection leaves it.
    let numbers = t.random(tokens * 3 * padded);
    let kept = |i: usize| layout.source(i % padded).map_or(0.0, |_| numbers[i]);
    let qkv: Vec<f32> = (0..numbers.len()).map(kept).collect();
    let (qkv_at, y) = (t.region_of(&qkv), t.nan_region(tokens * padded));
    let part = |token: usize, which: usize, h: usize| {
        &qkv[(token * 3 + which) * padded + h * layout.padded..][..layout.padded]
    };
    let mut values = Vec::new();
    for token in 0..tokens {
        for h in 0..heads {
            let logit = |j: usize| dot(part(token, 0, h), part(j, 1, h)) / (size as f32).sqrt();
            let logits: Vec<f32> = (0..tokens).map(logit).collect();
            let read: Vec<&[f32]> = (0..tokens).map(|j| part(j, 2, h)).collect();
            values.extend(weighted_average(&logits, &read));
        }
    }
    let name = format!("attention by products, {tokens} tokens, {heads} heads of {size}");
    let expected = vec![ExpectedRegion { at: y, values }];
    t.case(name, layout.padded, expected, move |r| {
        r.attention(layout, tokens as u32, qkv_at, y);
    })
}

/// Attention to earlier frames, then the frame's own entry in the KV cache: slot, attended frames.
fn temporal((slot, attended_frames): (u32, usize)) -> KernelCase {
    let (tokens, heads, head, slots, context) = (6usize, 2usize, 8usize, 5usize, 6usize);
    let width = heads * head;
    let mut t = CaseInputs::new(u64::from(slot) + attended_frames as u64);
    (t.frame.slot, t.frame.slots, t.frame.attended_frames) =
        (slot, slots as u32, attended_frames as u32);
    let parameters = t.random(heads * (1 + context));
    let (qkv, qkv_values) = t.random_region(tokens * 3 * width);
    let (keys, old_keys) = t.random_region(slots * tokens * width);
    let (values, old_values) = t.random_region(slots * tokens * width);
    let y = t.nan_region(tokens * width);
    let args = TemporalAttentionArgs {
        qkv,
        y,
        keys,
        values,
        tokens: tokens as u32,
        heads: heads as u32,
        parameters: t.weights.push(&parameters),
        context: context as u32,
    };
    let write_args = KvCacheWriteArgs {
        qkv,
        keys,
        values,
        tokens: tokens as u32,
        heads: heads as u32,
        unused: [0; 3],
    };
    let qkv_part = |token: usize, which: usize, h: usize| {
        let at = (token * 3 + which) * width + h * head;
        &qkv_values[at..at + head]
    };
    let (mut attended, mut new_keys) = (Vec::new(), old_keys.clone());
    let mut new_values = old_values.clone();
    for token in 0..tokens {
        for h in 0..heads {
            let head_params = &parameters[h * (1 + context)..];
            let query = normalized(qkv_part(token, 0, h), head_params[0]);
            let key = normalized(qkv_part(token, 1, h), 1.0);
            let cached = |n: usize| {
                let slot = (slot as usize + slots - n) % slots;
                let at = (slot * tokens + token) * width + h * head;
                at..at + head
            };
            let mut logits = vec![dot(&query, &key) + head_params[1]];
            let mut attended_values = vec![qkv_part(token, 2, h)];
            for n in 1..=attended_frames {
                logits.push(dot(&query, &old_keys[cached(n)]) + head_params[1 + n]);
                attended_values.push(&old_values[cached(n)]);
            }
            attended.extend(weighted_average(&logits, &attended_values));
            new_keys[cached(0)].copy_from_slice(&key);
            new_values[cached(0)].copy_from_slice(qkv_part(token, 2, h));
        }
    }
    let region = |at, values| ExpectedRegion { at, values };
    let expected = vec![
        region(y, attended),
        region(keys, new_keys),
        region(values, new_values),
    ];
    let name = format!("temporal attention, slot {slot}, {attended_frames} frames");
    t.case(name, head, expected, move |r| {
        let count = workgroups((tokens * heads) as u32);
        r.push(Kernel::AttentionTemporal, &args, [count, 1]);
        r.push(Kernel::KvCacheWrite, &write_args, [count, 1]);
    })
}

/// Attention to recalled frames: memory tokens that are there, and room for them.
fn memory((filled, room): (usize, usize)) -> KernelCase {
    let (tokens, heads, head) = (7usize, 2usize, 8usize);
    let width = heads * head;
    let mut t = CaseInputs::new(filled as u64);
    t.frame.memory_tokens = filled as u32;
    let parameters: Vec<f32> = t.random(2 * heads);
    let (q, queries) = t.random_region(tokens * width);
    let (kv, pairs) = t.random_region(room * 2 * width);
    let y = t.nan_region(tokens * width);
    let args = MemoryAttentionArgs {
        q,
        kv,
        y,
        tokens: tokens as u32,
        heads: heads as u32,
        parameters: t.weights.push(&parameters),
        unused: [0; 2],
    };
    let part = |j: usize, which: usize, h: usize| {
        let at = (2 * j + which) * width + h * head;
        &pairs[at..at + head]
    };
    let nothing = vec![0.0; head];
    let mut values = Vec::new();
    for token in 0..tokens {
        for h in 0..heads {
            let at = token * width + h * head;
            let query = normalized(&queries[at..at + head], parameters[2 * h]);
            let mut logits = vec![parameters[2 * h + 1]];
            let mut read: Vec<&[f32]> = vec![&nothing];
            for j in 0..filled {
                logits.push(dot(&query, &normalized(part(j, 0, h), 1.0)));
                read.push(part(j, 1, h));
            }
            values.extend(weighted_average(&logits, &read));
        }
    }
    let expected = vec![ExpectedRegion { at: y, values }];
    let name = format!("attention to {filled} memory tokens");
    t.case(name, head, expected, move |r| {
        let count = workgroups((tokens * heads) as u32);
        r.push(Kernel::AttentionMemory, &args, [count, 1]);
    })
}

/// A key that is not finite must not enter the cache: nothing may be written.
fn non_finite_keys(wrong: f32) -> KernelCase {
    let mut t = CaseInputs::new(1);
    t.frame.slots = 1;
    let mut row = t.random(3 * 8);
    row[8] = wrong;
    let args = KvCacheWriteArgs {
        qkv: t.region_of(&row),
        keys: t.random_region(8).0,
        values: t.random_region(8).0,
        tokens: 1,
        heads: 1,
        unused: [0; 3],
    };
    t.case(format!("{wrong} as a key"), 8, Vec::new(), move |r| {
        r.push(Kernel::KvCacheWrite, &args, [1, 1]);
    })
}

fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

/// Reading delta states, then writing into them: tokens, heads, head size, and whether they are read.
fn delta((tokens, heads, head, reads): (usize, usize, usize, bool)) -> KernelCase {
    let (width, keep_offset) = (heads * head, 1.5);
    let mut t = CaseInputs::new(tokens as u64);
    t.frame.reads_state = u32::from(reads);
    let (q, queries) = t.random_region(tokens * width);
    let (kv, written) = t.random_region(tokens * 2 * width);
    let (read_gates, read_logits) = t.random_region(tokens * heads);
    let (write_gates, write_logits) = t.random_region(tokens * 2 * heads);
    let (state, before) = t.random_region(tokens * width * head);
    let y = t.nan_region(tokens * width);
    let (tokens32, heads32) = (tokens as u32, heads as u32);
    let read_args = DeltaReadArgs {
        q,
        gates: read_gates,
        state,
        y,
        tokens: tokens32,
        heads: heads32,
        unused: [0; 2],
    };
    let write_args = DeltaWriteArgs {
        kv,
        gates: write_gates,
        state,
        tokens: tokens32,
        heads: heads32,
        keep_offset,
        unused: [0; 2],
    };
    let (mut values, mut after) = (Vec::new(), Vec::new());
    for (i, before) in before.chunks_exact(head * head).enumerate() {
        let (token, h) = (i / heads, i % heads);
        let column = |v: usize| before.iter().skip(v).step_by(head).copied();
        let product = |x: &[f32]| -> Vec<f32> {
            let of = |v| column(v).zip(x).map(|(s, x)| s * x).sum();
            (0..head).map(of).collect()
        };
        let gate = if reads { sigmoid(read_logits[i]) } else { 0.0 };
        let query = normalized(&queries[i * head..(i + 1) * head], gate);
        values.extend(product(&query));
        let part = |which: usize| {
            let at = (2 * token + which) * width + h * head;
            &written[at..at + head]
        };
        let logit = |which: usize| write_logits[(2 * token + which) * heads + h];
        let (keep, replace) = (sigmoid(logit(0) + keep_offset), sigmoid(logit(1)));
        let key = normalized(part(0), 1.0);
        let led_to = product(&key);
        for (j, key) in key.iter().enumerate() {
            let each = led_to.iter().zip(part(1)).enumerate();
            after.extend(each.map(|(v, (old, new))| {
                keep * before[j * head + v] + replace * key * (new - keep * old)
            }));
        }
    }
    let region = |at, values| ExpectedRegion { at, values };
    let expected = vec![region(y, values), region(state, after)];
    let name = format!("delta states, {tokens} tokens, {heads} heads of {head}");
    t.case(name, head, expected, move |r| {
        let count = workgroups(tokens32 * heads32);
        r.push(Kernel::DeltaRead, &read_args, [count, 1]);
        r.push(Kernel::DeltaWrite, &write_args, [count, 1]);
    })
}

/// A key or a value that is not finite must not enter a delta state: nothing may be written.
fn non_finite_writes(at: usize) -> KernelCase {
    let mut t = CaseInputs::new(1);
    let mut row = t.random(2 * 8);
    row[at] = f32::NAN;
    let args = DeltaWriteArgs {
        kv: t.region_of(&row),
        gates: t.random_region(2).0,
        state: t.random_region(8 * 8).0,
        tokens: 1,
        heads: 1,
        keep_offset: 0.0,
        unused: [0; 2],
    };
    t.case(
        format!("NaN in element {at} of a write"),
        8,
        Vec::new(),
        move |r| {
            r.push(Kernel::DeltaWrite, &args, [1, 1]);
        },
    )
}
