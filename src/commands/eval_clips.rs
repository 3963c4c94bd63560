//! `driftless eval --clips`: do the clips of a world show what their prompts say?

use std::path::Path;

use driftless::{Error, Result};
use driftless_clip::{ClipMaker, ClipParams, ClipRequest};
use driftless_data::{ClipCaption, Dataset, PathError as _, captions};
use driftless_engine::rollout::{redraw, rollout};
use driftless_engine::{DeviceOptions, GpuSource, Sampler, SamplerParams, candle_device};
use driftless_eval::EvalProgress;
use driftless_eval::clips::{
    ClipFeatures, ClipProbes, ClipReader, ClipSource, SourceReport, clip_before, compare, prompts,
    real_clip,
};

/// The arguments of `eval` that belong to `--clips`.
#[derive(clap::Args)]
pub struct ClipArgs {
    /// Measure instead whether clips made from words show what the words say: --data is a dataset with
    /// captions that was not trained on, --probe the one that was. --sequences is the number of prompts
    /// [default: 200].
    #[arg(long, requires = "probe", conflicts_with_all = ["memory", "alarm", "pictures", "free_frames", "free_runs", "free_bin", "horizon", "clip"])]
    pub clips: bool,
    /// With --clips: guidance, instead of the network's own.
    #[arg(long, value_name = "W", requires = "clips")]
    clip_guidance: Option<f64>,
    /// With --clips: frames of the clips, of which both datasets need captions [default: the shortest length
    /// that the network has learned].
    #[arg(long, value_name = "N", requires = "clips")]
    clip_frames: Option<usize>,
}

/// What is measured, on what.
pub struct ClipTest<'a> {
    /// Checkpoint folder.
    pub folder: &'a Path,
    /// Held-out episodes with captions.
    pub data: &'a Path,
    /// Episodes with captions that were trained on.
    pub trained_on: Option<&'a Path>,
    /// Number of prompts.
    pub prompts: Option<usize>,
    /// Sampling steps; each value is measured.
    pub steps: &'a [usize],
    pub seed: u64,
    pub device: DeviceOptions,
}

/// Prompts by default.
const PROMPTS: usize = 200;
/// Steps that the network of the Fréchet distance is trained for.
const FEATURE_STEPS: usize = 1500;

/// Measures the clip network of a world.
///
/// # Errors
/// Returns an error if the world makes no clips, if a dataset has no captions with facts, or if a clip fails.
pub fn measure(args: &ClipArgs, test: &ClipTest) -> Result<Vec<SourceReport>> {
    let (folder, data) = (test.folder, test.data);
    let maker = ClipMaker::read(folder, &candle_device(test.device.device)?)?;
    let own = ClipParams::of(maker.config());
    let frames = args.clip_frames.unwrap_or(own.frames);
    let own_params = |steps| ClipParams {
        frames,
        steps,
        guidance: args.clip_guidance.unwrap_or(own.guidance),
        seed: test.seed,
        ..own
    };
    for &steps in test.steps {
        own_params(steps).check(maker.config())?;
    }
    let read = |folder: &Path| -> Result<Vec<ClipCaption>> {
        let mut all = captions::read(folder)?.ok_or_else(|| no_captions(folder))?;
        all.retain(|caption| caption.frames == frames);
        if all.is_empty() {
            let what = format!(
                "has no captions of clips of {frames} frames, expected those of `driftless caption --frames {frames}`"
            );
            return Err(driftless_data::Error::invalid(folder, what).into());
        }
        Ok(all)
    };
    let trained_on = test.trained_on.ok_or_else(|| no_captions(data))?;
    let chosen = prompts(
        &read(data)?,
        &read(trained_on)?,
        test.prompts.unwrap_or(PROMPTS),
        test.seed,
    )?;
    let training = Dataset::read(trained_on)?;
    let dataset = Dataset::read(data)?;
    let reader = ClipReader::train(&training.episodes, test.seed)?;
    let features = ClipFeatures::train(&training.episodes, FEATURE_STEPS, test.seed)?;
    drop(training);
    let mut engine = driftless_engine::open(folder, test.device, &GpuSource::Own)?;
    let sampling = SamplerParams::of_world(engine.world());
    let context = engine.world().dynamics.context;
    let mut sources = vec![
        ClipSource {
            name: "recorded clips".to_owned(),
            make: Box::new(|caption, _| real_clip(&dataset, caption)),
            is_given_first: false,
        },
        ClipSource {
            name: "the world's rollouts under the true actions".to_owned(),
            make: Box::new(|caption, _| {
                let (clip, actions) = clip_before(&dataset, caption, context)?;
                Ok(rollout(&mut engine, &clip, &actions, &sampling)?)
            }),
            is_given_first: false,
        },
    ];
    for &steps in test.steps {
        for is_given_first in [false, true] {
            sources.push(made(
                &maker,
                &dataset,
                own_params(steps),
                is_given_first,
                None,
            ));
        }
        if maker.config().actions > 0 {
            let world = driftless_engine::open(folder, test.device, &GpuSource::Own)?;
            sources.push(made(
                &maker,
                &dataset,
                own_params(steps),
                false,
                Some(world),
            ));
        }
    }
    let bar = super::bar(0, "clips");
    let total = (sources.len() * chosen.len()) as u64;
    let mut show = |done: usize, _: usize| {
        bar.set_length(total);
        bar.set_position(done as u64);
    };
    let probes = ClipProbes {
        reader: &reader,
        features: &features,
    };
    let progress = &mut EvalProgress::new(&mut show);
    let reports = compare(&mut sources, &dataset, &chosen, &probes, progress)?;
    bar.finish_and_clear();
    Ok(reports)
}

/// Clips made with these parameters; with a world, it draws the frames after the first.
fn made<'a>(
    maker: &'a ClipMaker,
    dataset: &'a Dataset,
    params: ClipParams,
    is_given_first: bool,
    mut world: Option<Sampler>,
) -> ClipSource<'a> {
    let how = match (is_given_first, &world) {
        (true, _) => ", first frame given",
        (false, Some(_)) => ", drawn by the world",
        (false, None) => "",
    };
    let mut count = 0;
    let wrong = |e: driftless_clip::Error| driftless_eval::Error::Argument(e.to_string());
    ClipSource {
        name: format!("{} steps{how}", params.steps),
        make: Box::new(move |caption, text| {
            count += 1;
            let first = is_given_first.then(|| real_clip(dataset, caption));
            let first = first.transpose()?.map(|mut clip| {
                clip.truncate(clip.len() / caption.frames);
                clip
            });
            let request = ClipRequest {
                first,
                ..ClipRequest::new(text)
            };
            let params = ClipParams {
                seed: params.seed.wrapping_add(count),
                ..params
            };
            let clip = maker
                .make(&request, &params, &mut |_| true)
                .map_err(wrong)?;
            match &mut world {
                Some(world) => Ok(redraw(world, &clip.clip(), params.seed)?),
                None => Ok(clip.images),
            }
        }),
        is_given_first,
    }
}

fn no_captions(folder: &Path) -> Error {
    let what = "has no captions, expected those of `driftless caption`";
    Error::from(driftless_data::Error::invalid(folder, what))
}
