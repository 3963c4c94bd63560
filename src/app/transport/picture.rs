//! The page's textures.

use eframe::egui::{Context, TextureHandle, TextureOptions};

use super::look::{Look, between};
use super::worker::Morph;

/// Textures of the cell, of its way, and of the truth.
#[derive(Default)]
pub(super) struct Pictures {
    pub control: Option<TextureHandle>,
    /// The picture at τ.
    pub shown: Option<TextureHandle>,
    pub truth: Option<TextureHandle>,
    /// One a state.
    pub strip: Vec<TextureHandle>,
    /// How the textures were drawn; `None` if the pictures are others by now.
    look: Option<Look>,
    tau: f32,
}

impl Pictures {
    /// Notes that there are other pictures.
    pub fn forget(&mut self) {
        self.look = None;
    }

    /// Draws what has changed.
    pub fn update(
        &mut self,
        context: &Context,
        morph: &Morph,
        look: &Look,
        tau: f32,
        size: [usize; 2],
    ) {
        let put = |texture: &mut Option<TextureHandle>, name: &str, picture: &[u8]| {
            let image = look.image(picture, size);
            // The squares of the pixels are what was measured; nothing is smoothed.
            let options = TextureOptions::NEAREST;
            match texture {
                Some(texture) => texture.set(image, options),
                None => *texture = Some(context.load_texture(name, image, options)),
            }
        };
        let same = self.look.as_ref() == Some(look);
        if !same {
            put(&mut self.control, "control", &morph.control);
            match &morph.truth {
                Some(truth) => put(&mut self.truth, "truth", truth),
                None => self.truth = None,
            }
            self.strip.truncate(morph.states.len());
            for (i, state) in morph.states.iter().enumerate() {
                let mut texture = self.strip.get(i).cloned();
                put(&mut texture, "state", state);
                if i >= self.strip.len() {
                    self.strip.extend(texture);
                }
            }
        }
        if !same || self.tau != tau {
            put(&mut self.shown, "shown", &between(&morph.states, tau));
        }
        (self.look, self.tau) = (Some(look.clone()), tau);
    }
}
