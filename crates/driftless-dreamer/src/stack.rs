//! The block-causal transformer that all of the networks are: in each layer, attention among the tokens of a frame,
//! then in some layers of a token to the same one in the frames before, then a feed-forward layer.

use driftless_engine::kernels::{RowLayout, Workers};
use driftless_published::{
    Activation, Affine, Cache, Linear, Result, Shape, Sides, Weights, rms_norm,
};

use crate::attention::{Sight, SpaceAttention};

/// What is known of a stack before it is read.
pub(crate) struct StackSpec<'a> {
    /// What its tensors' names begin with: `encoder.transformer`.
    pub name: &'a str,
    pub width: usize,
    pub heads: usize,
    /// Tokens of a frame.
    pub tokens: usize,
    pub sight: Sight,
    /// The first so many tokens see themselves in the frames before. The others do not, and add their own normalized
    /// values where those add what they saw, as the published program has it.
    pub in_time: usize,
}

/// The layers, with a cache and buffers.
pub(crate) struct Stack {
    shape: Shape,
    in_time: usize,
    layers: Vec<Layer>,
    /// The last layer with attention over time, of those that have it.
    last_in_time: Option<usize>,
    space: SpaceAttention,
    cache: Cache,
    buffers: Buffers,
}

struct Layer {
    space: Half,
    time: Option<Half>,
    norm: Vec<f32>,
    up: Linear,
    down: Linear,
}

/// One kind of attention.
struct Half {
    norm: Vec<f32>,
    qkv: Linear,
    out: Linear,
}

/// Rows that go through linear maps together where there are many: what is between the maps stays in the cache.
const BLOCK: usize = 96;

/// For some frames at once.
#[derive(Default)]
struct Buffers {
    /// [rows, width] each.
    attended: Vec<f32>,
    qkv: Vec<f32>,
    /// For all rows, if they are few.
    rows: RowBuffers,
    /// For a block of rows, one for each thread.
    blocks: Vec<RowBuffers>,
}

/// For some rows at once.
#[derive(Default)]
struct RowBuffers {
    /// [rows, width] each.
    normed: Vec<f32>,
    products: Vec<f32>,
    /// [rows, 2·hidden], and half of that.
    wide: Vec<f32>,
    hidden: Vec<f32>,
}

impl Half {
    /// Reads the norm and the attention of these names. Queries are divided by √d where `divided`.
    fn read(
        weights: &mut Weights,
        [norm, name]: [&str; 2],
        shape: Shape,
        divided: bool,
    ) -> Result<Self> {
        let width = shape.width();
        let mut qkv = weights.linear(&format!("{name}.qkv"), Sides::of(width).to(3 * width))?;
        if divided {
            divide_queries(&mut qkv, shape);
        }
        let out = weights.linear(&format!("{name}.out"), Sides::of(width).to(width))?;
        Ok(Self {
            norm: weights.vector(&format!("{norm}.scale"), width)?,
            qkv: Linear::new(&qkv),
            out: Linear::new(&out),
        })
    }
}

impl Layer {
    fn read(weights: &mut Weights, name: &str, shape: Shape) -> Result<Self> {
        let part = |part: &str| format!("{name}.{part}");
        let width = shape.width();
        let names = [
            part("norm1"),
            part("space.attn"),
            part("norm2"),
            part("time.attn"),
        ];
        let [norm, attention, time_norm, time_attention] = names.each_ref().map(String::as_str);
        let space = Half::read(weights, [norm, attention], shape, true)?;
        let has_time = weights.shape(&part("time.attn.qkv.weight")).is_some();
        let time = has_time.then(|| Half::read(weights, [time_norm, time_attention], shape, false));
        let time = time.transpose()?;
        let up = weights.linear(&part("mlp.fc_in"), Sides::of(width))?;
        if !up.outputs.is_multiple_of(2) {
            let name = part("mlp.fc_in.weight");
            return Err(weights.wrong(&name, &[up.outputs, width], "an even number of outputs"));
        }
        let down = Sides::of(up.outputs / 2).to(width);
        let down = weights.linear(&part("mlp.fc_out"), down)?;
        Ok(Self {
            space,
            time,
            norm: weights.vector(&part("norm3.scale"), width)?,
            up: Linear::new(&up),
            down: Linear::new(&down),
        })
    }
}

/// Divides the outputs that are queries by √d.
fn divide_queries(qkv: &mut Affine, shape: Shape) {
    let scale = 1.0 / (shape.d as f32).sqrt();
    let rows = shape.width();
    for weight in &mut qkv.weight[..rows * rows] {
        *weight *= scale;
    }
    for bias in qkv.bias.iter_mut().flat_map(|bias| &mut bias[..rows]) {
        *bias *= scale;
    }
}

impl Stack {
    /// The layers in a file.
    ///
    /// # Errors
    /// Returns an error if a tensor is missing or of another shape.
    pub(crate) fn read(weights: &mut Weights, spec: StackSpec) -> Result<Self> {
        let StackSpec { width, heads, .. } = spec;
        if !width.is_multiple_of(heads) {
            return Err(weights.error(format!(
                "`{}` is {width} wide, expected a multiple of its {heads} heads",
                spec.name
            )));
        }
        let shape = Shape {
            tokens: spec.tokens,
            heads,
            d: width / heads,
        };
        let name = format!("{}.layers.", spec.name);
        let count = weights.count(&name);
        if count == 0 {
            return Err(weights.error(format!("`{name}0` is missing, expected at least one layer")));
        }
        let layers: Result<Vec<Layer>> = (0..count)
            .map(|i| Layer::read(weights, &format!("{name}{i}"), shape))
            .collect();
        let layers = layers?;
        let in_time = Shape {
            tokens: spec.in_time,
            ..shape
        };
        let mut stack = Self {
            shape,
            in_time: spec.in_time,
            last_in_time: layers.iter().rposition(|layer| layer.time.is_some()),
            cache: Cache::new(in_time, layers.len()),
            layers,
            space: SpaceAttention::new(shape, spec.sight),
            buffers: Buffers::default(),
        };
        stack.reserve(1);
        Ok(stack)
    }

    /// Makes room for so many threads.
    pub(crate) fn reserve(&mut self, threads: usize) {
        self.space.reserve(threads);
        let blocks = &mut self.buffers.blocks;
        blocks.resize_with(threads.max(blocks.len()), RowBuffers::default);
    }

    /// Runs the layers on tokens `x` `[frames, tokens, width]` of frames in a row, the first of which is at `first`,
    /// given those before it in the cache, which then holds these, too.
    pub(crate) fn run(&mut self, workers: &Workers, first: usize, x: &mut [f32]) {
        self.run_layers(workers, first, x, self.layers.len());
    }

    /// As [`Self::run`], only to fill the cache: `x` is then of no use.
    pub(crate) fn remember(&mut self, workers: &Workers, first: usize, x: &mut [f32]) {
        if let Some(last) = self.last_in_time {
            self.run_layers(workers, first, x, last);
            let half = self.layers[last].time.as_ref();
            self.buffers
                .attend_in_space(workers, &self.layers[last].space, &mut self.space, x);
            if let Some(half) = half {
                let layout = self.rows_in_time(x.len());
                let qkv = self.buffers.project_in_time(workers, half, layout, x);
                self.cache.write(last, first, qkv);
            }
        }
    }

    /// The rows of `x` that attend over time.
    fn rows_in_time(&self, len: usize) -> RowLayout {
        let width = self.shape.width();
        let frame = self.shape.tokens * width;
        RowLayout {
            count: len / frame * self.in_time,
            run: self.in_time,
            outer: frame,
            inner: width,
            segments: 1,
            stride: 0,
        }
    }

    /// The first `count` layers.
    fn run_layers(&mut self, workers: &Workers, first: usize, x: &mut [f32], count: usize) {
        let frames = x.len() / (self.shape.tokens * self.shape.width());
        self.cache.reserve(first + frames - 1);
        let hidden = self.layers.iter().map(|layer| layer.down.inputs()).max();
        self.buffers
            .resize(x.len(), self.shape, hidden.unwrap_or_default());
        let layout = self.rows_in_time(x.len());
        for (i, layer) in self.layers[..count].iter().enumerate() {
            let t = &mut self.buffers;
            t.attend_in_space(workers, &layer.space, &mut self.space, x);
            if let Some(time) = &layer.time {
                t.project_in_time(workers, time, layout, x);
                t.attend_in_time(workers, time, &mut self.cache, [i, first, layout.count]);
                t.add_in_time(workers, self.shape, self.in_time, x);
            }
            t.feed_forward(workers, layer, x);
        }
    }

    /// Runs the first layer's attention in space and its feed-forward layer on nothing, to be timed.
    pub(crate) fn probe(&mut self, workers: &Workers) {
        let mut x = vec![0.0; self.shape.tokens * self.shape.width()];
        if let Some(layer) = self.layers.first() {
            let (t, hidden) = (&mut self.buffers, layer.down.inputs());
            t.resize(x.len(), self.shape, hidden);
            t.attend_in_space(workers, &layer.space, &mut self.space, &mut x);
            t.feed_forward(workers, layer, &mut x);
        }
    }
}

/// Whether so many rows go through linear maps in blocks.
fn are_many(rows: usize) -> bool {
    rows >= 2 * BLOCK
}

impl Buffers {
    /// Makes room for tokens of `len` numbers, and so many hidden units of each.
    fn resize(&mut self, len: usize, shape: Shape, hidden: usize) {
        let (rows, width) = (len / shape.width(), shape.width());
        self.attended.resize(len, 0.0);
        self.qkv.resize(3 * len, 0.0);
        self.rows
            .resize(rows, width, if are_many(rows) { 0 } else { hidden });
        for block in &mut self.blocks {
            block.resize(BLOCK, width, hidden);
        }
    }

    /// Elements of a block of rows of `x`: as many blocks for each thread, and none larger than [`BLOCK`]. `None` for so
    /// few rows that threads rather share the columns of a product.
    fn block(&self, workers: &Workers, x: &[f32], width: usize) -> Option<usize> {
        let rows = x.len() / width;
        let blocks = rows.div_ceil(BLOCK).next_multiple_of(workers.threads());
        are_many(rows).then(|| rows.div_ceil(blocks) * width)
    }

    fn attend_in_space(
        &mut self,
        workers: &Workers,
        half: &Half,
        space: &mut SpaceAttention,
        x: &mut [f32],
    ) {
        let width = half.norm.len();
        let Some(block) = self.block(workers, x, width) else {
            self.rows.project(workers, half, x, &mut self.qkv);
            space.attend(workers, &self.qkv, &mut self.attended);
            return self.rows.add(workers, &half.out, &self.attended, x);
        };
        let (blocks, qkv) = (&mut self.blocks, &mut self.qkv);
        workers.for_blocks(blocks, qkv, 3 * block, |t, first, qkv| {
            t.project(
                &Workers::none(),
                half,
                &x[first / 3..][..qkv.len() / 3],
                qkv,
            );
        });
        space.attend(workers, &self.qkv, &mut self.attended);
        let (blocks, attended) = (&mut self.blocks, &self.attended);
        workers.for_blocks(blocks, x, block, |t, first, x| {
            t.add(
                &Workers::none(),
                &half.out,
                &attended[first..][..x.len()],
                x,
            );
        });
    }

    /// Normalizes all tokens, and returns queries, keys and values of those that attend over time.
    fn project_in_time(
        &mut self,
        workers: &Workers,
        half: &Half,
        layout: RowLayout,
        x: &[f32],
    ) -> &[f32] {
        rms_norm(workers, x, &half.norm, &mut self.rows.normed);
        let qkv = &mut self.qkv[..layout.count * half.qkv.outputs()];
        let normed = &self.rows.normed;
        half.qkv
            .apply_rows(workers, normed, layout, qkv, Activation::None);
        qkv
    }

    /// Writes what tokens see of themselves in earlier frames into `products`.
    fn attend_in_time(
        &mut self,
        workers: &Workers,
        half: &Half,
        cache: &mut Cache,
        [layer, first, rows]: [usize; 3],
    ) {
        let width = half.out.outputs();
        let qkv = &self.qkv[..3 * rows * width];
        let attended = &mut self.attended[..rows * width];
        cache.attend(workers, layer, first, qkv, attended);
        let products = &mut self.rows.products[..rows * width];
        half.out
            .apply(workers, attended, products, Activation::None);
    }

    /// Adds `products` to the tokens that attend over time, and their normalized values to the others.
    fn add_in_time(&self, workers: &Workers, shape: Shape, in_time: usize, x: &mut [f32]) {
        let (width, tokens) = (shape.width(), shape.tokens);
        let RowBuffers {
            normed, products, ..
        } = &self.rows;
        workers.for_rows(x, width, workers.least().light, |first, x| {
            for (i, x) in x.chunks_exact_mut(width).enumerate() {
                let (frame, token) = ((first + i) / tokens, (first + i) % tokens);
                let more = if token < in_time {
                    &products[(frame * in_time + token) * width..]
                } else {
                    &normed[(first + i) * width..]
                };
                x.iter_mut().zip(more).for_each(|(x, more)| *x += more);
            }
        });
    }

    fn feed_forward(&mut self, workers: &Workers, layer: &Layer, x: &mut [f32]) {
        let Some(block) = self.block(workers, x, layer.norm.len()) else {
            return self.rows.feed_forward(workers, layer, x);
        };
        workers.for_blocks(&mut self.blocks, x, block, |t, _, x| {
            t.feed_forward(&Workers::none(), layer, x);
        });
    }
}

impl RowBuffers {
    fn resize(&mut self, rows: usize, width: usize, hidden: usize) {
        for (buffer, width) in [
            (&mut self.normed, width),
            (&mut self.products, width),
            (&mut self.wide, 2 * hidden),
            (&mut self.hidden, hidden),
        ] {
            buffer.resize(rows * width, 0.0);
        }
    }

    /// Writes queries, keys and values of the normalized rows of `x` into `qkv`.
    fn project(&mut self, workers: &Workers, half: &Half, x: &[f32], qkv: &mut [f32]) {
        let normed = &mut self.normed[..x.len()];
        rms_norm(workers, x, &half.norm, normed);
        half.qkv.apply(workers, normed, qkv, Activation::None);
    }

    /// Adds the outputs of a map of `h` to the rows of `x`.
    fn add(&mut self, workers: &Workers, map: &Linear, h: &[f32], x: &mut [f32]) {
        map.add_to(workers, h, None, x, &mut self.products[..x.len()]);
    }

    fn feed_forward(&mut self, workers: &Workers, layer: &Layer, x: &mut [f32]) {
        let hidden = x.len() / layer.norm.len() * layer.down.inputs();
        let normed = &mut self.normed[..x.len()];
        rms_norm(workers, x, &layer.norm, normed);
        let (wide, hidden) = (&mut self.wide[..2 * hidden], &mut self.hidden[..hidden]);
        layer.up.apply_gated(workers, normed, wide, hidden);
        let products = &mut self.products[..x.len()];
        layer.down.add_to(workers, hidden, None, x, products);
    }
}

#[cfg(test)]
mod tests {
    use driftless_published::testing::{Shapes, linear, write_random};

    use super::*;

    const WIDTH: usize = 24;
    const TOKENS: usize = 100;

    fn stack(threads: usize) -> Stack {
        let mut shapes = Shapes::new();
        for (layer, kinds) in [(0, &["space"][..]), (1, &["space", "time"])] {
            let part = |part: &str| format!("net.layers.{layer}.{part}");
            for norm in ["norm1", "norm2", "norm3"] {
                shapes.insert(part(&format!("{norm}.scale")), vec![WIDTH]);
            }
            for kind in kinds {
                let name = part(&format!("{kind}.attn"));
                linear(&mut shapes, &format!("{name}.qkv"), [3 * WIDTH, WIDTH]);
                linear(&mut shapes, &format!("{name}.out"), [WIDTH, WIDTH]);
            }
            linear(&mut shapes, &part("mlp.fc_in"), [80, WIDTH]);
            linear(&mut shapes, &part("mlp.fc_out"), [WIDTH, 40]);
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("net.safetensors");
        write_random(&path, &shapes).unwrap();
        let spec = StackSpec {
            name: "net",
            width: WIDTH,
            heads: 2,
            tokens: TOKENS,
            sight: vec![[0..3, 0..TOKENS], [3..TOKENS, 3..TOKENS]],
            in_time: 3,
        };
        let mut stack = Stack::read(&mut Weights::open(&path, "a test").unwrap(), spec).unwrap();
        stack.reserve(threads);
        stack
    }

    #[test]
    fn rows_in_blocks_are_as_rows_of_one_frame() {
        let tokens: Vec<f32> = (0..3 * TOKENS * WIDTH)
            .map(|i| (i * 7 % 31) as f32 / 20.0 - 0.7)
            .collect();
        assert!(are_many(3 * TOKENS) && !are_many(TOKENS));
        let mut one_by_one = tokens.clone();
        let mut alone = stack(1);
        for (i, frame) in one_by_one.chunks_mut(TOKENS * WIDTH).enumerate() {
            alone.run(&Workers::none(), i, frame);
        }
        assert!(
            one_by_one
                .iter()
                .zip(&tokens)
                .all(|(a, b)| a.is_finite() && a != b)
        );
        for threads in [1, 2, 3] {
            let mut at_once = tokens.clone();
            stack(threads).run(&Workers::new(threads).unwrap(), 0, &mut at_once);
            assert!(at_once == one_by_one, "{threads} threads");
        }
    }
}
