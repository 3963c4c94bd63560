// y = activation(x W^T + b), or y += the same. x is [m, k], gathered by a row layout.
//
// A workgroup computes a BM x BN tile of y, BK inputs at a time; a thread holds ROWS4 x COLUMNS4 blocks of
// 4 x 4 in registers. W is packed in panels of BN outputs, [panel, k, BN], so that a tile of it is
// contiguous. The engine can store the panels in 16 bits.

struct Args {
    x: RowLayout,
    y: RowLayout,
    m: u32,
    n: u32,
    k: u32,
    // Offset in `panels`, in vec4s.
    weight: u32,
    // Bias in `weights`: [n], or NONE.
    bias: u32,
    // 0 none, 1 SiLU, 2 SwiGLU: columns 2j and 2j + 1 are the gate and the value of output j.
    activation: u32,
    // 1: add to y instead of overwriting it.
    add: u32,
    // 1: inputs 4i to 4i + 3 of a row are contiguous.
    aligned: u32,
};

override BM: u32 = 64u;
override BN: u32 = 64u;
override BK: u32 = 16u;
// Replaced by the engine with the values of a tile variant; see kernels.rs.
const ROWS4: u32 = 1u;
const COLUMNS4: u32 = 1u;
alias PanelElement = vec4<f32>;

@group(0) @binding(4) var<storage, read> panels: array<PanelElement>;

// [BK, BM] scalars and [BK, BN / 4] vec4s.
var<workgroup> tile_x: array<f32, BK * BM>;
var<workgroup> tile_w: array<PanelElement, BK * BN / 4u>;

fn load_input(r: u32, i: u32) -> f32 {
    if r >= args.m || i >= args.k {
        return 0.0;
    }
    return load(row_start(args.x, r) + column_offset(args.x, i));
}

// Inputs i to i + 3 of row r; i is a multiple of 4.
fn load_inputs(r: u32, i: u32) -> vec4<f32> {
    if args.aligned == 0u {
        return vec4<f32>(load_input(r, i), load_input(r, i + 1u), load_input(r, i + 2u), load_input(r, i + 3u));
    }
    if r >= args.m || i >= args.k {
        return vec4<f32>();
    }
    let at = row_start(args.x, r) + column_offset(args.x, i);
    return vec4<f32>(arena[at], arena[at + 1u], arena[at + 2u], arena[at + 3u]);
}

fn store_output(r: u32, i: u32, value: f32) {
    let at = row_start(args.y, r) + column_offset(args.y, i);
    if args.add == 1u {
        store(at, load(at) + value);
    } else {
        store(at, value);
    }
}

// Adds the bias, applies the activation and stores outputs `column` to `column + 3` of row r.
fn store_outputs(r: u32, column: u32, sum: vec4<f32>) {
    var out = sum;
    for (var j = 0u; j < 4u; j += 1u) {
        if args.bias != NONE && column + j < args.n {
            out[j] += weight(args.bias + column + j);
        }
        if args.activation == 1u {
            out[j] = silu(out[j]);
        }
    }
    if args.activation == 2u {
        if column < args.n {
            store_output(r, column / 2u, silu(out.x) * out.y);
        }
        if column + 2u < args.n {
            store_output(r, column / 2u + 1u, silu(out.z) * out.w);
        }
        return;
    }
    for (var j = 0u; j < 4u; j += 1u) {
        if column + j < args.n {
            store_output(r, column + j, out[j]);
        }
    }
}

@compute @workgroup_size(BN / 4u / COLUMNS4, BM / 4u / ROWS4)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_id) local: vec3<u32>,
    @builtin(local_invocation_index) index: u32,
) {
    let lanes = BN / 4u / COLUMNS4;
    let threads = lanes * (BM / 4u / ROWS4);
    let first_row = group.y * BM;
    let panel = args.weight + group.x * args.k * (BN / 4u);
    var sum = array<vec4<f32>, 4u * ROWS4 * COLUMNS4>();
    for (var k = 0u; k < args.k; k += BK) {
        for (var i = index; i < BM * BK / 4u; i += threads) {
            let r = i % BM;
            let quad = i / BM;
            let x = load_inputs(first_row + r, k + 4u * quad);
            for (var j = 0u; j < 4u; j += 1u) {
                tile_x[(4u * quad + j) * BM + r] = x[j];
            }
        }
        for (var i = index; i < BK * BN / 4u; i += threads) {
            var w = PanelElement();
            if k + i / (BN / 4u) < args.k {
                w = panels[panel + k * (BN / 4u) + i];
            }
            tile_w[i] = w;
        }
        workgroupBarrier();
        for (var i = 0u; i < BK; i += 1u) {
            for (var a = 0u; a < ROWS4; a += 1u) {
                let x = i * BM + 4u * (local.y * ROWS4 + a);
                for (var b = 0u; b < COLUMNS4; b += 1u) {
                    let w = vec4<f32>(tile_w[i * (BN / 4u) + b * lanes + local.x]);
                    let at = 4u * (a * COLUMNS4 + b);
                    sum[at] = fma(vec4<f32>(tile_x[x]), w, sum[at]);
                    sum[at + 1u] = fma(vec4<f32>(tile_x[x + 1u]), w, sum[at + 1u]);
                    sum[at + 2u] = fma(vec4<f32>(tile_x[x + 2u]), w, sum[at + 2u]);
                    sum[at + 3u] = fma(vec4<f32>(tile_x[x + 3u]), w, sum[at + 3u]);
                }
            }
        }
        workgroupBarrier();
    }
    for (var a = 0u; a < ROWS4; a += 1u) {
        for (var b = 0u; b < COLUMNS4; b += 1u) {
            for (var i = 0u; i < 4u; i += 1u) {
                let r = first_row + 4u * (local.y * ROWS4 + a) + i;
                if r < args.m {
                    let column = group.x * BN + 4u * (b * lanes + local.x);
                    store_outputs(r, column, sum[4u * (a * COLUMNS4 + b) + i]);
                }
            }
        }
    }
}
