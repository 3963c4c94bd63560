//! What the page shows: the request, and the clips.

use std::sync::Arc;
use std::time::{Duration, Instant};

use eframe::egui::{ColorImage, Context, TextureHandle, TextureOptions};

use driftless_clip::{ClipOrigin, ClipParams, ClipRequest};

use super::worker::{About, Job};

/// Most clips side by side.
pub(super) const MOST_VARIANTS: usize = 4;

/// The page's state once the network is loaded.
pub(super) struct View {
    pub about: About,
    pub prompt: String,
    pub negative: String,
    pub params: ClipParams,
    pub variants: usize,
    /// Whether the world draws the frames after the first.
    pub world_draws: bool,
    /// The game's picture, u8 RGB [H, W, 3], if the clip may begin with it.
    pub picture: Option<Arc<[u8]>>,
    /// Whether it does.
    pub begins_with_picture: bool,
    /// The job whose clips are shown, and whether it still runs.
    pub job: Option<u64>,
    pub is_making: bool,
    pub clips: Vec<ShownClip>,
    /// The clip that is played on or saved.
    pub chosen: usize,
    /// The frame that is shown; `None` while the clips play.
    pub frame: Option<usize>,
    started: Instant,
    /// What the network did not read of the prompts.
    pub remark: Option<String>,
}

/// A clip on the page.
#[derive(Default)]
pub(super) struct ShownClip {
    /// Frames, u8 RGB [T, H, W, 3]; of a clip that is being made, those of x̂.
    pub images: Arc<Vec<u8>>,
    /// What is done in it, if the network knows actions and has finished.
    pub actions: Vec<u32>,
    /// How it came about, once it is finished.
    pub origin: Option<ClipOrigin>,
    pub seed: u64,
    /// Steps that are done.
    pub steps: usize,
    /// How long it took, once it is finished.
    pub took: Option<Duration>,
    textures: Vec<TextureHandle>,
    is_drawn: bool,
}

impl ShownClip {
    /// Shows other frames.
    pub fn set_images(&mut self, images: Vec<u8>) {
        self.images = Arc::new(images);
        self.is_drawn = false;
    }

    /// The textures of its frames.
    pub fn textures(&mut self, context: &Context, [height, width]: [usize; 2]) -> &[TextureHandle] {
        if !self.is_drawn {
            let frames = self.images.chunks_exact(height * width * 3);
            self.textures.truncate(frames.len());
            for (i, frame) in frames.enumerate() {
                let image = ColorImage::from_rgb([width, height], frame);
                match self.textures.get_mut(i) {
                    Some(texture) => texture.set(image, TextureOptions::NEAREST),
                    None => {
                        let name = format!("film-{i}");
                        let texture = context.load_texture(name, image, TextureOptions::NEAREST);
                        self.textures.push(texture);
                    }
                }
            }
            self.is_drawn = true;
        }
        &self.textures
    }

    /// Drops textures of a lost device.
    pub fn drop_textures(&mut self) {
        self.textures.clear();
        self.is_drawn = false;
    }
}

impl View {
    pub fn new(about: About, picture: Option<Arc<[u8]>>) -> Self {
        Self {
            prompt: about.config.examples.first().cloned().unwrap_or_default(),
            negative: String::new(),
            params: ClipParams::of(&about.config),
            variants: 1,
            world_draws: about.config.actions > 0,
            picture,
            begins_with_picture: false,
            job: None,
            is_making: false,
            clips: Vec::new(),
            chosen: 0,
            frame: None,
            started: Instant::now(),
            remark: None,
            about,
        }
    }

    /// What is asked for now.
    pub fn wish(&self) -> Job {
        let picture = self.picture.as_ref().filter(|_| self.begins_with_picture);
        Job {
            request: ClipRequest {
                prompt: self.prompt.clone(),
                negative: self.negative.clone(),
                first: picture.map(|picture| picture.to_vec()),
            },
            params: self.params,
            variants: self.variants,
            world_draws: self.world_draws,
        }
    }

    /// Shows the clips of a job that has begun.
    pub fn begin(&mut self, number: u64) {
        (self.job, self.is_making) = (Some(number), true);
        (self.chosen, self.frame, self.remark) = (0, None, None);
        self.started = Instant::now();
        let seeds = (0..self.variants as u64).map(|i| self.params.seed.wrapping_add(i));
        self.clips = seeds
            .map(|seed| ShownClip {
                seed,
                ..ShownClip::default()
            })
            .collect();
    }

    /// Frames of the clips that are shown: not those that are asked for now.
    pub fn shown_frames(&self) -> usize {
        let [height, width] = self.about.world.image;
        let images = self.clips.iter().map(|clip| clip.images.len());
        images.max().unwrap_or(0) / (height * width * 3)
    }

    /// The frame to be shown of a clip of so many.
    pub fn shown_frame(&self, frames: usize) -> usize {
        let seconds = self.started.elapsed().as_secs_f32();
        let playing = (seconds * self.about.world.fps) as usize;
        self.frame.unwrap_or(playing) % frames.max(1)
    }

    /// Plays from the first frame on.
    pub fn play(&mut self) {
        self.frame = None;
        self.started = Instant::now();
    }

    /// The chosen clip, if it is finished.
    pub fn finished(&self) -> Option<&ShownClip> {
        let chosen = self.clips.get(self.chosen)?;
        chosen.took.is_some().then_some(chosen)
    }
}
