//! The records of `kernel_args.rs` against the layout that naga computes for the kernels' WGSL.

use std::mem::offset_of;

use bytemuck::Zeroable as _;
use naga::front::wgsl::parse_str;
use naga::proc::Layouter;
use naga::{Module, StructMember, TypeInner};

use super::super::kernel_args::{
    AffineArgs, DeltaReadArgs, DeltaWriteArgs, EmbedConditioningArgs, FinishFrameArgs, FrameParams,
    GroupNormArgs, GroupStatisticsArgs, KvCacheWriteArgs, MatmulArgs, MemoryAttentionArgs,
    PassParams, RmsNormArgs, RowLayout, SampleArgs, SpatialAttentionArgs, TemporalAttentionArgs,
};
use super::tests::OPTIONS;
use super::*;

/// A field's name, offset and size in bytes.
type Field = (&'static str, usize, usize);

/// A record's name, size and fields; does not compile if a field is left out.
macro_rules! record {
    ($type:ident: $($field:ident),*) => {{
        let value = $type::zeroed();
        let $type { $($field: _),* } = value;
        let fields: Vec<Field> = vec![
            $((stringify!($field), offset_of!($type, $field), size_of_val(&value.$field))),*
        ];
        (stringify!($type), size_of::<$type>(), fields)
    }};
}

type Record = (&'static str, usize, Vec<Field>);

/// The record that holds a kernel's arguments. The match makes a new kernel appear here.
fn args(kernel: Kernel) -> Record {
    match kernel {
        Kernel::Matmul(_) => {
            record!(MatmulArgs: x, y, m, n, k, weight, bias, activation, add, aligned)
        }
        Kernel::RmsNorm => record!(RmsNormArgs: x, y, width, gain, unused),
        Kernel::GroupStatistics => {
            record!(GroupStatisticsArgs: x, statistics, pixels, block, width)
        }
        Kernel::GroupNorm => {
            record!(GroupNormArgs:
                x, y, statistics, pixels, block, width, affine, channels, gain, silu)
        }
        Kernel::AttentionSpatial => {
            record!(SpatialAttentionArgs: qkv, y, tokens, heads, scales, scale, unused)
        }
        Kernel::AttentionTemporal => {
            record!(TemporalAttentionArgs:
                qkv, y, keys, values, tokens, heads, parameters, context)
        }
        Kernel::AttentionMemory => {
            record!(MemoryAttentionArgs: q, kv, y, tokens, heads, parameters, unused)
        }
        Kernel::KvCacheWrite => {
            record!(KvCacheWriteArgs: qkv, keys, values, tokens, heads, unused)
        }
        Kernel::DeltaRead => {
            record!(DeltaReadArgs: q, gates, state, y, tokens, heads, unused)
        }
        Kernel::DeltaWrite => {
            record!(DeltaWriteArgs: kv, gates, state, tokens, heads, keep_offset, unused)
        }
        Kernel::EmbedConditioning => {
            record!(EmbedConditioningArgs:
                start, y, rows, width, action, signal, step_size, action_row, signal_row,
                pass_index, axes, axis_count)
        }
        Kernel::Affine => record!(AffineArgs: x, y, rows, width, shift, scale),
        Kernel::Sample => record!(SampleArgs: z, x, len, operation, pass_index, unused),
        Kernel::FinishFrame => {
            record!(FinishFrameArgs:
                clean, context, latent, past, frames, cells, channels, finite)
        }
    }
}

/// A WGSL struct: its members, with offsets and sizes, and its size. A runtime-sized array at the end
/// counts as one element.
fn wgsl_struct(
    module: &Module,
    layouter: &Layouter,
    name: &str,
) -> (Vec<(String, usize, usize)>, usize) {
    let is_it = |ty: &naga::Type| ty.name.as_deref() == Some(name);
    let (_, ty) = module.types.iter().find(|(_, ty)| is_it(ty)).unwrap();
    let TypeInner::Struct { members, span } = &ty.inner else {
        panic!("{name} is not a struct");
    };
    let member = |member: &StructMember| {
        let size = layouter[member.ty].size;
        (
            member.name.clone().unwrap(),
            member.offset as usize,
            size as usize,
        )
    };
    (members.iter().map(member).collect(), *span as usize)
}

/// Checks a record against a struct: the same fields at the same offsets; only padding may follow.
fn check(module: &Module, layouter: &Layouter, name: &str, (record, size, fields): Record) {
    let (members, span) = wgsl_struct(module, layouter, name);
    for (member, (field, offset, bytes)) in members.iter().zip(&fields) {
        assert_eq!(
            (member.0.as_str(), member.1, member.2),
            (*field, *offset, *bytes),
            "{record}"
        );
    }
    let extra = fields.get(members.len()..).unwrap();
    assert!(
        extra.iter().all(|(field, ..)| *field == "unused"),
        "{record}"
    );
    assert!(size >= span, "{record} has {size} bytes, {name} {span}");
}

#[test]
fn records_match_their_wgsl_structs() {
    for kernel in Kernel::all() {
        let text = source(kernel, OPTIONS).unwrap();
        let module = parse_str(&text).unwrap_or_else(|e| panic!("{}", e.emit_to_string(&text)));
        let mut layouter = Layouter::default();
        layouter.update(module.to_ctx()).unwrap();
        let rows = record!(RowLayout: offset, run, outer, inner, segment, stride, unused);
        let pass = record!(PassParams: tau, z_scale, output_scale, step_index);
        let mut frame = record!(FrameParams:
            action, slot, slots, attended_frames, seed, number, temperature, alpha, sigma,
            memory_tokens, reads_state, unused, axes);
        // The passes follow the record directly.
        frame.2.push(("passes", frame.1, pass.1));
        frame.1 += pass.1;
        check(&module, &layouter, "RowLayout", rows);
        check(&module, &layouter, "Pass", pass);
        check(&module, &layouter, "Frame", frame);
        check(&module, &layouter, "Args", args(kernel));
    }
}
