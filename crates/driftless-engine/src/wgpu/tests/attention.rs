//! Attention over a frame and over time, and the ring.

use super::super::ops::{RememberOp, SpaceOp, TimeOp};
use super::*;

/// `scale` / |x|, as queries and keys are brought to a length.
fn unit(x: &[f32], scale: f32) -> Vec<f32> {
    let length = (x.iter().map(|x| x * x).sum::<f32>() + 1e-6).sqrt();
    x.iter().map(|x| x * scale / length).collect()
}

/// Values mixed by the softmax of logits.
fn mixed(logits: &[f32], values: &[&[f32]]) -> Vec<f32> {
    let most = logits.iter().fold(f32::NEG_INFINITY, |a, x| a.max(*x));
    let shares: Vec<f32> = logits.iter().map(|x| (x - most).exp()).collect();
    let total: f32 = shares.iter().sum();
    let mut y = vec![0.0; values[0].len()];
    for (share, value) in shares.iter().zip(values) {
        for (y, value) in y.iter_mut().zip(*value) {
            *y += share / total * value;
        }
    }
    y
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[test]
fn attention_over_a_frame_mixes_values_by_scaled_cosines() {
    let Some(gpu) = gpu() else { return };
    for (tokens, heads, head) in [
        (1usize, 1usize, 4usize),
        (20, 4, 32),
        (67, 3, 8),
        (130, 2, 64),
    ] {
        let mut t = Trial::new(tokens as u64);
        let width = heads * head;
        let scales: Vec<f32> = (0..heads).map(|h| 2.0 + 3.0 * h as f32).collect();
        let (qkv, all) = t.region(tokens * 3 * width);
        let y = t.poison(tokens * width);
        let op = SpaceOp {
            qkv,
            y,
            tokens: tokens as u32,
            heads: heads as u32,
            scale: t.weights.push(&scales),
            unused: [0; 3],
        };
        let part = |token: usize, which: usize, h: usize| {
            let at = (token * 3 + which) * width + h * head;
            &all[at..at + head]
        };
        let mut expected = Vec::new();
        for token in 0..tokens {
            for (h, scale) in scales.iter().enumerate() {
                let query = unit(part(token, 0, h), *scale);
                let logits: Vec<f32> = (0..tokens)
                    .map(|j| dot(&query, &unit(part(j, 1, h), 1.0)))
                    .collect();
                let values: Vec<&[f32]> = (0..tokens).map(|j| part(j, 2, h)).collect();
                expected.extend(mixed(&logits, &values));
            }
        }
        let count = groups((tokens * heads) as u32);
        let written = region(y, tokens * width);
        let after = t.run(&gpu, head, written.clone(), &|r| {
            r.push(Kernel::AttendSpace, &op, [count, 1]);
        });
        assert_near(&format!("{tokens} tokens"), &after[written], &expected);
    }
}

#[test]
fn attention_over_time_reads_the_ring_backwards_and_the_present_last_writes_it() {
    let Some(gpu) = gpu() else { return };
    for (slot, seen) in [(0u32, 0usize), (0, 3), (2, 4), (4, 5)] {
        let (tokens, heads, head, slots, context) = (6usize, 2usize, 8usize, 5usize, 6usize);
        let width = heads * head;
        let mut t = Trial::new(u64::from(slot) + seen as u64);
        (t.head.slot, t.head.slots, t.head.seen) = (slot, slots as u32, seen as u32);
        let parameters = t.numbers(heads * (1 + context));
        let (qkv, all) = t.region(tokens * 3 * width);
        let (keys, old_keys) = t.region(slots * tokens * width);
        let (values, old_values) = t.region(slots * tokens * width);
        let y = t.poison(tokens * width);
        let op = TimeOp {
            qkv,
            y,
            keys,
            values,
            tokens: tokens as u32,
            heads: heads as u32,
            parameters: t.weights.push(&parameters),
            context: context as u32,
        };
        let remember = RememberOp {
            qkv,
            keys,
            values,
            tokens: tokens as u32,
            heads: heads as u32,
            unused: [0; 3],
        };
        let part = |token: usize, which: usize, h: usize| {
            let at = (token * 3 + which) * width + h * head;
            &all[at..at + head]
        };
        let (mut expected, mut new_keys) = (Vec::new(), old_keys.clone());
        let mut new_values = old_values.clone();
        for token in 0..tokens {
            for h in 0..heads {
                let own = &parameters[h * (1 + context)..];
                let query = unit(part(token, 0, h), own[0]);
                let key = unit(part(token, 1, h), 1.0);
                let old = |n: usize| {
                    let slot = (slot as usize + slots - n) % slots;
                    let at = (slot * tokens + token) * width + h * head;
                    at..at + head
                };
                let mut logits = vec![dot(&query, &key) + own[1]];
                let mut mixture = vec![part(token, 2, h)];
                for n in 1..=seen {
                    logits.push(dot(&query, &old_keys[old(n)]) + own[1 + n]);
                    mixture.push(&old_values[old(n)]);
                }
                expected.extend(mixed(&logits, &mixture));
                new_keys[old(0)].copy_from_slice(&key);
                new_values[old(0)].copy_from_slice(part(token, 2, h));
            }
        }
        let count = groups((tokens * heads) as u32);
        let end = t.regions.len as usize;
        let after = t.run(&gpu, head, keys as usize..end, &|r| {
            r.push(Kernel::AttendTime, &op, [count, 1]);
            r.push(Kernel::Remember, &remember, [count, 1]);
        });
        let what = format!("slot {slot}, {seen} seen");
        assert_near(&what, &after[region(y, tokens * width)], &expected);
        let ring = slots * tokens * width;
        assert_near(&what, &after[region(keys, ring)], &new_keys);
        assert_near(&what, &after[region(values, ring)], &new_values);
    }
}

#[test]
fn keys_that_are_not_finite_do_not_replace_the_oldest_frames() {
    let Some(gpu) = gpu() else { return };
    for wrong in [f32::NAN, f32::INFINITY] {
        let mut t = Trial::new(1);
        t.head.slots = 1;
        let mut row = t.numbers(3 * 8);
        row[8] = wrong;
        let op = RememberOp {
            qkv: t.given(&row),
            keys: t.region(8).0,
            values: t.region(8).0,
            tokens: 1,
            heads: 1,
            unused: [0; 3],
        };
        // Nothing at all may be written.
        t.run(&gpu, 8, 0..0, &|r| r.push(Kernel::Remember, &op, [1, 1]));
    }
}
