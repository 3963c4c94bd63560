// y = act(x W^T + b), or y += it: x [m, k] gathered by rows, W packed in panels.
//
// A workgroup makes a tile of BM x BN, BK inputs at a time; a thread ROWS4 x COLUMNS4 blocks of 4 x 4
// of it in registers. W is stored as panels of BN outputs: [panel, k, BN], so a tile of it is one run
// of memory; the engine stores it in 16 bits where it is told to.

struct Op {
    x: Rows,
    y: Rows,
    m: u32,
    n: u32,
    k: u32,
    // Of the panels, in vec4s.
    weight: u32,
    // Of the bias, in numbers, or NONE.
    bias: u32,
    // 0 none, 1 silu, 2 swiglu: outputs 2j and 2j + 1 are the two halves of output j.
    act: u32,
    // 1: add to y.
    add: u32,
    // 1: four inputs in a row, from a multiple of four on, lie side by side.
    aligned: u32,
};

override BM: u32 = 64u;
override BN: u32 = 64u;
override BK: u32 = 16u;
// The engine writes a variant's.
const ROWS4: u32 = 1u;
const COLUMNS4: u32 = 1u;
alias Stored = vec4<f32>;

@group(0) @binding(4) var<storage, read> panels: array<Stored>;

// [BK, BM], and [BK, BN / 4] vectors.
var<workgroup> tile_x: array<f32, BK * BM>;
var<workgroup> tile_w: array<Stored, BK * BN / 4u>;

fn input(r: u32, i: u32) -> f32 {
    if r >= op.m || i >= op.k {
        return 0.0;
    }
    return load(row_start(op.x, r) + along(op.x, i));
}

// Inputs i to i + 3 of a row; i is a multiple of 4.
fn inputs(r: u32, i: u32) -> vec4<f32> {
    if op.aligned == 0u {
        return vec4<f32>(input(r, i), input(r, i + 1u), input(r, i + 2u), input(r, i + 3u));
    }
    if r >= op.m || i >= op.k {
        return vec4<f32>();
    }
    let at = row_start(op.x, r) + along(op.x, i);
    return vec4<f32>(arena[at], arena[at + 1u], arena[at + 2u], arena[at + 3u]);
}

fn store_output(r: u32, i: u32, value: f32) {
    let at = row_start(op.y, r) + along(op.y, i);
    if op.add == 1u {
        store(at, load(at) + value);
    } else {
        store(at, value);
    }
}

// Bias, activation and store of outputs `column` to `column + 3` of row r.
fn finish(r: u32, column: u32, sum: vec4<f32>) {
    var out = sum;
    for (var j = 0u; j < 4u; j += 1u) {
        if op.bias != NONE && column + j < op.n {
            out[j] += weight(op.bias + column + j);
        }
        if op.act == 1u {
            out[j] = silu(out[j]);
        }
    }
    if op.act == 2u {
        if column < op.n {
            store_output(r, column / 2u, silu(out.x) * out.y);
        }
        if column + 2u < op.n {
            store_output(r, column / 2u + 1u, silu(out.z) * out.w);
        }
        return;
    }
    for (var j = 0u; j < 4u; j += 1u) {
        if column + j < op.n {
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
    let first = group.y * BM;
    let panel = op.weight + group.x * op.k * (BN / 4u);
    var sum = array<vec4<f32>, 4u * ROWS4 * COLUMNS4>();
    for (var k = 0u; k < op.k; k += BK) {
        for (var i = index; i < BM * BK / 4u; i += threads) {
            let r = i % BM;
            let part = i / BM;
            let x = inputs(first + r, k + 4u * part);
            for (var j = 0u; j < 4u; j += 1u) {
                tile_x[(4u * part + j) * BM + r] = x[j];
            }
        }
        for (var i = index; i < BK * BN / 4u; i += threads) {
            var w = Stored();
            if k + i / (BN / 4u) < op.k {
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
                let r = first + 4u * (local.y * ROWS4 + a) + i;
                if r < op.m {
                    let column = group.x * BN + 4u * (b * lanes + local.x);
                    finish(r, column, sum[4u * (a * COLUMNS4 + b) + i]);
                }
            }
        }
    }
}
