//! What the sampler asks, as programs to run and regions to bring back.

use super::WgpuNetwork;
use super::dynamics::Dynamics;
use super::ops::PassValues;
use super::program::Recorder;
use crate::Result;
use crate::StageTimes;
use crate::network::{Ask, Copies, Made, Moment, Network, Outcome, Whole};
use driftless_flow::FlowError;
use driftless_model::dynamics::step_index;
use driftless_model::tokenizer::to_byte;

/// Most steps of a frame that is recorded whole; longer ones go pass by pass.
pub(super) const RECORDED_STEPS: usize = 64;

impl Network for WgpuNetwork {
    fn name(&self) -> &str {
        &self.name
    }

    fn begin(&mut self, moment: &Moment) -> Result<()> {
        self.turn_to(moment.frame, moment.seen);
        self.put_past(moment.past);
        self.run(Some(&self.begin), None, &[])?;
        Ok(())
    }

    fn denoise(&mut self, ask: &Ask, x: &mut [f32]) -> Result<()> {
        self.ask(ask);
        let region = (self.dynamics.x, x.len());
        let back = self.run(Some(&self.denoise), None, &[region])?;
        x.copy_from_slice(&back.numbers);
        Ok(())
    }

    fn cache(&mut self, ask: &Ask) -> Result<Option<Outcome>> {
        self.ask(ask);
        if self.config.dynamics.outcome == 0 {
            self.run(Some(&self.cache), None, &[])?;
            return Ok(None);
        }
        let region = (self.dynamics.report, Dynamics::REPORT);
        let back = self.run(Some(&self.cache), None, &[region])?;
        Ok(Some(Outcome::new([back.numbers[0], back.numbers[1]])))
    }

    fn makes_frames(&self, steps: usize) -> bool {
        steps <= RECORDED_STEPS
    }

    fn paints(&self) -> bool {
        self.painter.is_some()
    }

    fn put_past(&mut self, past: &[f32]) {
        self.write(self.dynamics.past, past);
    }

    fn frame(&mut self, whole: &Whole, copies: Option<Copies>) -> Result<Made> {
        let steps = whole.shares.len();
        if !self.frames.contains_key(&steps) {
            let record = |r: &mut Recorder| self.record_frame(r, steps);
            let program = self.gpu.scoped(|| Ok(self.record(&record)))?;
            self.frames.insert(steps, program);
        }
        self.turn_to(whole.frame, whole.seen);
        let words = |x: u64| [x as u32, (x >> 32) as u32];
        self.head.action = whole.action;
        self.head.seed = words(whole.seed);
        self.head.number = words(whole.frame);
        self.head.temperature = whole.temperature;
        let [signal, alpha, sigma] = whole.context;
        (self.head.alpha, self.head.sigma) = (alpha, sigma);
        let mut passes: Vec<_> = whole
            .shares
            .iter()
            .map(|share| PassValues {
                tau: share.signal,
                keep: share.keep,
                take: share.take,
                step: whole.step,
            })
            .collect();
        passes.push(PassValues {
            tau: signal,
            keep: 0.0,
            take: 0.0,
            step: step_index(usize::MAX, self.config.dynamics.k_max),
        });
        self.write_frame(&passes);
        let canvas = match (&copies, &mut self.painter) {
            (None, Some(painter)) => {
                let canvas = || Ok(painter.canvas(&self.gpu, &self.arena));
                Some(self.gpu.scoped(canvas)?)
            }
            _ => None,
        };
        let mut regions = vec![(self.dynamics.report, Dynamics::REPORT)];
        regions.extend(copies.iter().flat_map(|copies| self.regions(copies)));
        let back = self.run(self.frames.get(&steps), canvas, &regions)?;
        let (report, parts) = back.numbers.split_at(Dynamics::REPORT);
        if report[2] != 1.0 {
            let what = "the network's prediction";
            return Err(FlowError::NotFinite { what, tau: 1.0 }.into());
        }
        if let Some(copies) = copies {
            hand_over(parts, copies);
        }
        let [denoise, cache, decode] = back.times.unwrap_or_default();
        let outcome = Outcome::new([report[0], report[1]]);
        Ok(Made {
            painting: canvas.and_then(|canvas| Some(self.painter.as_ref()?.painting(canvas))),
            outcome: (self.config.dynamics.outcome > 0).then_some(outcome),
            times: StageTimes {
                denoise,
                cache,
                decode,
            },
        })
    }

    fn fetch(&mut self, copies: Copies) -> Result<()> {
        let back = self.run(None, None, &self.regions(&copies))?;
        hand_over(&back.numbers, copies);
        Ok(())
    }

    fn encode(&mut self, images: &[u8], latents: &mut [f32]) -> Result<()> {
        let latents = latents.chunks_exact_mut(self.config.latent_len());
        for (image, latent) in images.chunks_exact(self.config.image_len()).zip(latents) {
            let pixels: Vec<f32> = image.iter().map(|&b| f32::from(b) / 127.5 - 1.0).collect();
            self.write(self.tokenizer.image, &pixels);
            let region = (self.dynamics.x, latent.len());
            let back = self.run(Some(&self.encode), None, &[region])?;
            latent.copy_from_slice(&back.numbers);
        }
        Ok(())
    }

    fn decode(&mut self, latents: &[f32], images: &mut [u8]) -> Result<()> {
        let images = images.chunks_exact_mut(self.config.image_len());
        for (latent, image) in latents.chunks_exact(self.config.latent_len()).zip(images) {
            self.write(self.dynamics.x, latent);
            let region = (self.tokenizer.image, image.len());
            let back = self.run(Some(&self.decode), None, &[region])?;
            to_bytes(&back.numbers, image);
        }
        Ok(())
    }

    fn save(&self, out: &mut [f32]) -> Result<()> {
        let (padded, own) = self.ring_lengths();
        if padded == 0 {
            return Ok(());
        }
        let regions: Vec<_> = self
            .dynamics
            .rings()
            .flat_map(|r| [(r.keys, padded), (r.values, padded)])
            .collect();
        let all = self.run(None, None, &regions)?.numbers;
        let heads = self.dynamics.heads;
        for (from, to) in all.chunks_exact(padded).zip(out.chunks_exact_mut(own)) {
            let tokens = from.chunks_exact(heads.width());
            for (from, to) in tokens.zip(to.chunks_exact_mut(heads.count * heads.own)) {
                for (i, value) in from.iter().enumerate() {
                    if let Some(at) = heads.source(i) {
                        to[at] = *value;
                    }
                }
            }
        }
        Ok(())
    }

    fn load(&mut self, cache: &[f32]) -> Result<()> {
        let (padded, own) = self.ring_lengths();
        if padded == 0 {
            return Ok(());
        }
        let heads = self.dynamics.heads;
        let rings = self.dynamics.rings().flat_map(|r| [r.keys, r.values]);
        for (at, from) in rings.zip(cache.chunks_exact(own)) {
            let tokens = from.chunks_exact(heads.count * heads.own);
            let numbers: Vec<f32> = tokens
                .flat_map(|token| {
                    let of = |i: usize| heads.source(i).map_or(0.0, |at| token[at]);
                    (0..heads.width()).map(of)
                })
                .collect();
            debug_assert_eq!(numbers.len(), padded);
            self.write(at, &numbers);
        }
        Ok(())
    }
}

/// Deals out what was brought back of a frame.
fn hand_over(parts: &[f32], copies: Copies) {
    let Copies {
        latent,
        past,
        image,
    } = copies;
    let (first, rest) = parts.split_at(latent.len());
    let (second, pixels) = rest.split_at(past.len());
    latent.copy_from_slice(first);
    past.copy_from_slice(second);
    to_bytes(pixels, image);
}

/// Pixels in [−1, 1] as bytes.
fn to_bytes(pixels: &[f32], image: &mut [u8]) {
    for (byte, pixel) in image.iter_mut().zip(pixels) {
        *byte = to_byte(*pixel);
    }
}
