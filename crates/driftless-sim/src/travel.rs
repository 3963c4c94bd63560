//! The world-model thread's ways through what was played.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::history::{Entry, Made, Route};
use super::thread::{SNAPSHOT_AFTER, SNAPSHOT_EVERY, SNAPSHOT_SHARE, World};
use super::tried::begin;
use super::truth::{Reality, Start};
use super::{Beside, Command, Message, Place, Script, Session, headless};
use crate::Result;
use driftless_engine::StageTimes;

/// Frames that take long enough to be made again that it should be said.
const LONG: usize = 200;
/// Frames of a branch that are made again at most to be shown beside another.
const MADE_AGAIN: usize = 2048;

impl World<'_> {
    /// Stands where an earlier thread stood when it ended.
    pub fn go_on(&mut self, place: Place) -> Result<()> {
        let paused = self.paused;
        // The frame that is shown twice is counted once.
        self.sequence = self.left.history.sequence.saturating_sub(1);
        self.script = self.left.history.script.clone();
        self.left.history.tell();
        self.tell_branches();
        self.go_to(place)?;
        self.paused = paused;
        Ok(())
    }

    /// Pauses at a frame that was played.
    pub fn seek(&mut self, mut place: Place) -> Result<()> {
        // Of the places that somebody drags past, only the last one counts.
        while let Ok(command) = self.ports.commands.try_recv() {
            self.early.push_back(command);
        }
        while let Some(Command::Seek(later)) = self.early.front() {
            place = *later;
            self.early.pop_front();
        }
        // Who goes back wants to play.
        self.script = Script::default();
        self.go_to(place)
    }

    fn go_to(&mut self, place: Place) -> Result<()> {
        self.paused = true;
        self.steps = 0;
        self.key_changed = None;
        let by_a_step = self.tracing || self.inspecting;
        let Some(route) = self.left.history.route(place, by_a_step) else {
            self.notice("this frame is not known any more");
            return Ok(());
        };
        if !self.travel(&route)? {
            return Ok(());
        }
        self.left.history.turn_to(place);
        let last = &route.last;
        (self.number, self.context, self.score) = (last.number, last.context, last.score);
        self.free_seed = self.free_seed.map(|_| last.params.seed);
        self.taken = last.action();
        self.reality = self.reality_at(&route)?;
        (self.unsaved, self.played) = (route.steps.len(), Duration::ZERO);
        if let (Some(session), Some(id)) = (&mut self.left.session, self.left.history.id(place)) {
            session.go_on_from(id);
        }
        self.count();
        let none = StageTimes::default();
        let mut frame = self.frame(last.action(), None, none, last.params)?;
        self.put_at(&mut frame, place);
        self.ports.show(frame);
        Ok(())
    }

    /// Brings the player to a route's end; false if the thread was told to quit on the way.
    fn travel(&mut self, route: &Route) -> Result<bool> {
        if let Some(saved) = &route.saved {
            self.player.restore(saved)?;
        }
        for entry in &route.steps {
            if self.is_told_to_quit() {
                return Ok(false);
            }
            self.again(entry)?;
        }
        Ok(true)
    }

    /// Whether the thread should end, with all commands that have come put by.
    fn is_told_to_quit(&mut self) -> bool {
        while let Ok(command) = self.ports.commands.try_recv() {
            self.early.push_back(command);
        }
        self.early.contains(&Command::Quit)
    }

    /// Makes a frame as it was made.
    fn again(&mut self, entry: &Entry) -> Result<()> {
        match &entry.made {
            Made::Start(start) => {
                begin(self.player.as_mut(), start, entry.context, &entry.params)?;
            }
            Made::Step(action) => {
                self.player.step(*action, &entry.params)?;
            }
        }
        Ok(())
    }

    /// The truth of a route's end, if its start had one.
    fn reality_at(&self, route: &Route) -> Result<Option<Reality>> {
        let wanted = self.beside.start();
        let Some((start, params, actions)) = &route.since_start else {
            return Ok(None);
        };
        // Of a truth that was turned off since then, nothing comes back.
        if *start != wanted {
            return Ok(None);
        }
        let (context, frames) = (route.last.context, self.player.context_frames());
        let Some((mut reality, _)) = Reality::start(start, params, context, frames)? else {
            return Ok(None);
        };
        for action in actions {
            reality.step(*action)?;
        }
        Ok(Some(reality))
    }

    /// Counts one frame more.
    pub fn count(&mut self) {
        self.sequence += 1;
        self.left.history.sequence = self.sequence;
        self.left.history.script.clone_from(&self.script);
    }

    /// Keeps a snapshot from time to time.
    pub fn save(&mut self) -> Result<()> {
        self.unsaved += 1;
        let long = self.unsaved >= SNAPSHOT_EVERY || self.played >= SNAPSHOT_AFTER;
        if long && self.played >= self.snapshot_time * SNAPSHOT_SHARE {
            let started = Instant::now();
            let saved = self.player.snapshot()?;
            self.left.history.keep_saved(saved);
            self.snapshot_time = started.elapsed();
            (self.unsaved, self.played) = (0, Duration::ZERO);
        }
        Ok(())
    }

    /// Tells which branches there are, if one came or went.
    pub fn tell_branches(&mut self) {
        if let Some(branches) = self.left.history.news() {
            self.ports.say(Message::Branches(branches));
        }
    }

    /// Turns to something else beside the frames.
    pub fn put_beside(&mut self, beside: Beside) -> Result<()> {
        let before = std::mem::replace(&mut self.beside, beside);
        let stays = self.beside == Beside::Nothing && self.left.session.is_none();
        self.player.stay(stays);
        match self.beside.start() {
            Start::Context => {
                self.reality = None;
                if let Beside::Branch(branch) = self.beside {
                    self.fill_in(branch)?;
                }
                self.show_again()
            }
            start if before.start() != start => self.reset(),
            _ => Ok(()),
        }
    }

    /// Shows the frame where the game stands once more.
    pub fn show_again(&mut self) -> Result<()> {
        let Some(place) = self.left.history.at() else {
            return Ok(());
        };
        let Some(route) = self.left.history.route(place, false) else {
            return Ok(());
        };
        self.count();
        let (last, none) = (&route.last, StageTimes::default());
        let mut frame = self.frame(last.action(), None, none, last.params)?;
        self.put_at(&mut frame, place);
        self.ports.show(frame);
        Ok(())
    }

    /// What is shown beside the frame of a place.
    pub fn beside_frame(&self, place: Place) -> Option<Arc<[u8]>> {
        match &self.beside {
            Beside::Nothing => None,
            Beside::Branch(branch) => {
                let end = self.left.history.end(*branch)?;
                let index = place.index.min(end.checked_sub(1)?);
                let branch = *branch;
                self.left.history.picture(Place { branch, index })
            }
            Beside::Simulator(_) | Beside::Episode(_) => {
                let reality = self.reality.as_ref()?;
                reality.image().map(Into::into)
            }
        }
    }

    /// Makes the pictures that are missing of a branch's last episode, and comes back.
    fn fill_in(&mut self, branch: u32) -> Result<()> {
        let end = self
            .left
            .history
            .end(branch)
            .and_then(|end| end.checked_sub(1));
        let Some(index) = end else {
            return Ok(());
        };
        let frames = self.left.history.episode(Place { branch, index });
        let missing = |(place, _): &&(Place, Entry)| self.left.history.picture(*place).is_none();
        let lacking = frames.iter().filter(missing).count();
        if lacking == 0 {
            return Ok(());
        }
        if frames.len() > MADE_AGAIN {
            let notice =
                format!("of the other branch, only its last {MADE_AGAIN} frames are shown");
            self.ports.say(Message::Notice(notice));
        }
        let wanted = &frames[frames.len().saturating_sub(MADE_AGAIN)..];
        self.make_again(wanted, |world, place, _| {
            let picture = world.player.image()?.into();
            world.left.history.keep_picture(place, picture);
            Ok(())
        })
        .map(drop)
    }

    /// Answers [`Command::Pictures`].
    pub fn send_pictures(&self, branch: u32, indices: &[usize], within: usize) {
        let history = &self.left.history;
        let picture = |&index: &usize| {
            let found = history.picture_near(Place { branch, index }, within)?;
            Some((index, found))
        };
        let pictures = indices.iter().filter_map(picture).collect();
        self.ports.say(Message::Pictures { branch, pictures });
    }

    /// Answers [`Command::Keep`]: makes the frames from the last start to a place once more, as a
    /// recording, and comes back.
    pub fn keep(&mut self, place: Place) -> Result<()> {
        let frames = self.left.history.episode(place);
        if frames.len() > LONG {
            self.notice(&format!("{} frames are made once more …", frames.len()));
        }
        let mut session = Session::new(PathBuf::new());
        let all = self.make_again(&frames, |world, _, entry| {
            let (action, params) = (entry.action(), &entry.params);
            let player = world.player.as_mut();
            let frame = headless::frame(player, entry.number, entry.context, action, params)?;
            if let Some(notice) = session.append(&frame, player)? {
                world.ports.say(Message::Notice(notice));
            }
            Ok(())
        })?;
        if all {
            let episode = Arc::new(session.into_episode());
            self.ports.say(Message::Kept(episode));
        }
        Ok(())
    }

    /// Makes frames that follow each other once more, and comes back; false if the first is not known
    /// any more, or the thread was told to quit on the way.
    fn make_again(
        &mut self,
        frames: &[(Place, Entry)],
        mut each: impl FnMut(&mut Self, Place, &Entry) -> Result<()>,
    ) -> Result<bool> {
        let Some(((first, entry), rest)) = frames.split_first() else {
            return Ok(false);
        };
        let Some(route) = self.left.history.route(*first, false) else {
            return Ok(false);
        };
        let here = self.player.snapshot()?;
        let there = self.travel(&route)?;
        if there {
            each(self, *first, entry)?;
            for (place, entry) in rest {
                if self.is_told_to_quit() {
                    return Ok(false);
                }
                self.again(entry)?;
                each(self, *place, entry)?;
            }
        }
        self.player.restore(&here)?;
        Ok(there)
    }
}
