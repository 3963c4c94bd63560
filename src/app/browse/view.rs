//! What the page shows: the list, the chosen episode, and what is selected in it.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use eframe::egui::{ColorImage, Context, TextureHandle, TextureOptions};

use driftless_data::{ActionSpec, Episode};

use super::worker::Listing;

/// The page's state once the dataset is listed.
pub(super) struct View {
    pub listing: Listing,
    /// The file that is shown, and the episode in it once it is read.
    pub file: Option<String>,
    pub episode: Option<Shown>,
    /// Why the chosen file cannot be shown.
    pub unreadable: Option<String>,
    /// Whether a change is being made.
    pub is_busy: bool,
    /// What becomes of the actions, while that is being decided.
    pub remapping: Option<ActionTable>,
    /// Episodes that are copied, while a copy with other actions is written.
    pub copied: Option<usize>,
}

impl View {
    pub fn new(listing: Listing) -> Self {
        Self {
            listing,
            file: None,
            episode: None,
            unreadable: None,
            is_busy: false,
            remapping: None,
            copied: None,
        }
    }

    /// The place of the shown file in the list.
    pub fn place(&self) -> Option<usize> {
        let file = self.file.as_ref()?;
        self.listing.files.iter().position(|f| f.file == *file)
    }

    /// The file that lies `by` places from the shown one, if there is one.
    pub fn neighbour(&self, by: isize) -> Option<String> {
        let at = self.place()?.checked_add_signed(by)?;
        self.listing.files.get(at).map(|file| file.file.clone())
    }

    /// The copy with other actions is written, or will not be.
    pub fn finish_copy(&mut self) {
        self.copied = None;
        self.remapping = None;
    }

    /// What of a new list to show: the file that was shown, or else the one in its place.
    pub fn next_file(&self, listing: &Listing) -> Option<String> {
        let files = &listing.files;
        let same = files.iter().find(|f| Some(&f.file) == self.file.as_ref());
        let at = self.place().unwrap_or(0).min(files.len().saturating_sub(1));
        same.or(files.get(at)).map(|file| file.file.clone())
    }
}

/// An episode on the page.
pub(super) struct Shown {
    pub episode: Arc<Episode>,
    /// The frame that is shown.
    pub frame: usize,
    /// The selected frames, if any are.
    pub selected: Option<Range<usize>>,
    /// When and where playing began; `None` while a frame stands.
    playing: Option<(Instant, usize)>,
    texture: Option<(usize, TextureHandle)>,
}

impl Shown {
    pub fn new(episode: Arc<Episode>) -> Self {
        Self {
            episode,
            frame: 0,
            selected: None,
            playing: None,
            texture: None,
        }
    }

    pub fn is_playing(&self) -> bool {
        self.playing.is_some()
    }

    /// Shows a frame, and stops there.
    pub fn stop_at(&mut self, frame: usize) {
        self.frame = frame.min(self.episode.frames() - 1);
        self.playing = None;
    }

    /// Moves by some frames, and stops there.
    pub fn step(&mut self, by: isize) {
        self.stop_at(self.frame.saturating_add_signed(by));
    }

    /// Plays, from the start if the end is shown, or stops.
    pub fn toggle(&mut self, now: Instant) {
        if self.playing.take().is_none() {
            if self.frame + 1 >= self.episode.frames() {
                self.frame = 0;
            }
            self.playing = Some((now, self.frame));
        }
    }

    /// Moves on while it plays, at `fps`, and stops at the end.
    pub fn advance(&mut self, now: Instant, fps: f32) {
        if let Some((since, from)) = self.playing {
            let gone = now.duration_since(since).as_secs_f32() * fps;
            self.frame = from + gone as usize;
            if self.frame + 1 >= self.episode.frames() {
                self.stop_at(self.frame);
            }
        }
    }

    /// Selects from the shown frame on, up to the end of what is selected or the episode's.
    pub fn select_from_here(&mut self) {
        let end = self.selected.as_ref().map(|range| range.end);
        let end = end.filter(|end| *end > self.frame);
        self.selected = Some(self.frame..end.unwrap_or(self.episode.frames()));
    }

    /// Selects up to the shown frame, from the start of what is selected or the episode's.
    pub fn select_to_here(&mut self) {
        let start = self.selected.as_ref().map(|range| range.start);
        let start = start.filter(|start| *start <= self.frame);
        self.selected = Some(start.unwrap_or(0)..self.frame + 1);
    }

    /// The picture of the shown frame.
    pub fn texture(&mut self, context: &Context) -> &TextureHandle {
        let frame = self.frame;
        let image = || {
            let size = [self.episode.width, self.episode.height];
            ColorImage::from_rgb(size, self.episode.frame(frame))
        };
        let options = TextureOptions::NEAREST;
        let (shown, texture) = self
            .texture
            .get_or_insert_with(|| (frame, context.load_texture("episode", image(), options)));
        if *shown != frame {
            texture.set(image(), options);
            *shown = frame;
        }
        texture
    }

    /// Drops textures of a lost device.
    pub fn drop_textures(&mut self) {
        self.texture = None;
    }
}

/// What becomes of the actions: each keeps its name, gets another or joins one that comes before it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ActionTable {
    /// The actions of the dataset.
    old: Vec<ActionSpec>,
    /// The names.
    pub names: Vec<String>,
    /// What each one joins: itself, or another.
    joins: Vec<usize>,
}

impl ActionTable {
    pub fn new(actions: &[ActionSpec]) -> Self {
        Self {
            old: actions.to_vec(),
            names: actions.iter().map(|action| action.name.clone()).collect(),
            joins: (0..actions.len()).collect(),
        }
    }

    pub fn len(&self) -> usize {
        self.old.len()
    }

    /// The name that an action had.
    pub fn old_name(&self, action: usize) -> &str {
        &self.old[action].name
    }

    /// Lets an action join another, with those that have joined it; itself: it stays its own.
    pub fn join(&mut self, action: usize, to: usize) {
        let followers = self.joins.iter_mut().enumerate();
        for (_, join) in followers.filter(|(i, join)| *i == action || **join == action) {
            *join = to;
        }
    }

    /// Whether an action stays one of its own, so that others may join it.
    pub fn stays(&self, action: usize) -> bool {
        self.joins[action] == action
    }

    /// The action that it joins, if it does not stay its own.
    pub fn joined(&self, action: usize) -> Option<usize> {
        (!self.stays(action)).then_some(self.joins[action])
    }

    /// Why it cannot be done, if it cannot.
    pub fn problem(&self) -> Option<String> {
        let mut seen = BTreeMap::new();
        for action in (0..self.len()).filter(|&action| self.stays(action)) {
            let name = self.names[action].trim();
            if name.is_empty() {
                return Some(format!("The action {} has no name.", self.old_name(action)));
            }
            if seen.insert(name, action).is_some() {
                return Some(format!("Two actions have the name {name}."));
            }
        }
        let is_same = self.joins.iter().enumerate().all(|(i, to)| i == *to)
            && self
                .names
                .iter()
                .zip(&self.old)
                .all(|(name, old)| *name == old.name);
        is_same.then(|| "Nothing is changed yet.".to_owned())
    }

    /// The new actions, and what becomes of each old one. An action that others join has their keys too.
    pub fn result(&self) -> (Vec<ActionSpec>, Vec<u32>) {
        let mut actions: Vec<ActionSpec> = Vec::new();
        let mut places = vec![0; self.len()];
        for action in (0..self.len()).filter(|&action| self.stays(action)) {
            places[action] = actions.len();
            actions.push(ActionSpec {
                name: self.names[action].trim().to_owned(),
                keys: self.old[action].keys.clone(),
            });
        }
        let map: Vec<u32> = self.joins.iter().map(|&to| places[to] as u32).collect();
        for (action, old) in self.old.iter().enumerate() {
            // The idle action needs no keys.
            if self.stays(action) || self.joins[action] == 0 {
                continue;
            }
            let keys = &mut actions[map[action] as usize].keys;
            let new = old.keys.iter().filter(|key| !keys.contains(key));
            let new: Vec<String> = new.cloned().collect();
            keys.extend(new);
        }
        (actions, map)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn action(name: &str, keys: &[&str]) -> ActionSpec {
        ActionSpec {
            name: name.into(),
            keys: keys.iter().map(|key| (*key).to_owned()).collect(),
        }
    }

    #[test]
    fn joined_actions_share_their_keys() {
        let old = [
            action("noop", &[]),
            action("up", &["W"]),
            action("jump", &["Space"]),
            action("down", &["S"]),
        ];
        let mut table = ActionTable::new(&old);
        assert!(table.problem().unwrap().contains("Nothing"));
        table.join(2, 1);
        table.names[3] = " duck ".into();
        assert_eq!(table.problem(), None);
        let (actions, map) = table.result();
        let expected = [
            action("noop", &[]),
            action("up", &["W", "Space"]),
            action("duck", &["S"]),
        ];
        assert_eq!(actions, expected);
        assert_eq!(map, [0, 1, 1, 2]);
        // What is done nothing with takes no keys along.
        table.join(3, 0);
        let (actions, map) = table.result();
        assert_eq!(actions, expected[..2]);
        assert_eq!(map, [0, 1, 1, 0]);
        table.join(1, 0);
        assert_eq!(table.result().1, [0, 0, 0, 0]);
        table.join(1, 1);
        table.names[1] = "noop".into();
        assert!(table.problem().unwrap().contains("name noop"));
    }

    #[test]
    fn selection_begins_and_ends_at_frames() {
        let episode = Episode {
            height: 1,
            width: 1,
            images: vec![0; 30],
            actions: vec![0; 10],
            rewards: vec![0.0; 10],
            extras: BTreeMap::new(),
        };
        let mut shown = Shown::new(Arc::new(episode));
        shown.step(4);
        shown.select_from_here();
        assert_eq!(shown.selected, Some(4..10));
        shown.stop_at(7);
        shown.select_to_here();
        assert_eq!(shown.selected, Some(4..8));
        shown.stop_at(2);
        shown.select_to_here();
        assert_eq!(shown.selected, Some(0..3));
        shown.stop_at(99);
        assert_eq!(shown.frame, 9);
        let start = Instant::now();
        shown.toggle(start);
        assert_eq!(shown.frame, 0, "it plays again from the start");
        shown.advance(start + std::time::Duration::from_millis(310), 10.0);
        assert_eq!(shown.frame, 3);
        shown.advance(start + std::time::Duration::from_secs(5), 10.0);
        assert_eq!((shown.frame, shown.is_playing()), (9, false));
    }
}
