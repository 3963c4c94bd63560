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

/// For some frames at once.
#[derive(Default)]
struct Buffers {
    /// [rows, width] each.
    normed: Vec<f32>,
    attended: Vec<f32>,
    products: Vec<f32>,
    qkv: Vec<f32>,
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
        Ok(Self {
            shape,
            in_time: spec.in_time,
            last_in_time: layers.iter().rposition(|layer| layer.time.is_some()),
            cache: Cache::new(in_time, layers.len()),
            layers,
            space: SpaceAttention::new(shape, spec.sight),
            buffers: Buffers::default(),
        })
    }

    /// Makes room for so many threads.
    pub(crate) fn reserve(&mut self, threads: usize) {
        self.space.reserve(threads);
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

impl Buffers {
    /// Makes room for tokens of `len` numbers, and so many hidden units of each.
    fn resize(&mut self, len: usize, shape: Shape, hidden: usize) {
        let rows = len / shape.width();
        for (buffer, len) in [
            (&mut self.normed, len),
            (&mut self.attended, len),
            (&mut self.products, len),
            (&mut self.qkv, 3 * len),
            (&mut self.wide, 2 * rows * hidden),
            (&mut self.hidden, rows * hidden),
        ] {
            buffer.resize(len, 0.0);
        }
    }

    fn attend_in_space(
        &mut self,
        workers: &Workers,
        half: &Half,
        space: &mut SpaceAttention,
        x: &mut [f32],
    ) {
        rms_norm(workers, x, &half.norm, &mut self.normed);
        half.qkv
            .apply(workers, &self.normed, &mut self.qkv, Activation::None);
        space.attend(workers, &self.qkv, &mut self.attended);
        half.out
            .add_to(workers, &self.attended, None, x, &mut self.products);
    }

    /// Normalizes all tokens, and returns queries, keys and values of those that attend over time.
    fn project_in_time(
        &mut self,
        workers: &Workers,
        half: &Half,
        layout: RowLayout,
        x: &[f32],
    ) -> &[f32] {
        rms_norm(workers, x, &half.norm, &mut self.normed);
        let qkv = &mut self.qkv[..layout.count * half.qkv.outputs()];
        half.qkv
            .apply_rows(workers, &self.normed, layout, qkv, Activation::None);
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
        let products = &mut self.products[..rows * width];
        half.out
            .apply(workers, attended, products, Activation::None);
    }

    /// Adds `products` to the tokens that attend over time, and their normalized values to the others.
    fn add_in_time(&self, workers: &Workers, shape: Shape, in_time: usize, x: &mut [f32]) {
        let (width, tokens) = (shape.width(), shape.tokens);
        workers.for_rows(x, width, workers.least().light, |first, x| {
            for (i, x) in x.chunks_exact_mut(width).enumerate() {
                let (frame, token) = ((first + i) / tokens, (first + i) % tokens);
                let more = if token < in_time {
                    &self.products[(frame * in_time + token) * width..]
                } else {
                    &self.normed[(first + i) * width..]
                };
                x.iter_mut().zip(more).for_each(|(x, more)| *x += more);
            }
        });
    }

    fn feed_forward(&mut self, workers: &Workers, layer: &Layer, x: &mut [f32]) {
        let rows = x.len() / layer.norm.len();
        let hidden = rows * layer.down.inputs();
        rms_norm(workers, x, &layer.norm, &mut self.normed);
        let (wide, hidden) = (&mut self.wide[..2 * hidden], &mut self.hidden[..hidden]);
        layer.up.apply_gated(workers, &self.normed, wide, hidden);
        layer
            .down
            .add_to(workers, hidden, None, x, &mut self.products);
    }
}
