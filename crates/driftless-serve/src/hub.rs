//! All games of a server: who may begin one, and who may go on with one.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crossbeam_channel::{Sender, unbounded};
use driftless_sim::RecordOptions;
use rand::TryRngCore as _;
use rand::rngs::OsRng;
use serde_json::{Map, Value};
use subtle::ConstantTimeEq as _;
use tokio::sync::mpsc;

use crate::game::{Control, Game, GameLimits, Start};
use crate::metrics::{Metrics, Refusal, count};
use crate::pool::{Pool, TaskId};
use crate::protocol::{Pictures, Request, WorldInfo};
use crate::sending::Outgoing;
use crate::world::ServedWorld;
use crate::{Error, Result};

/// Words and frames on their way from a game to its connection. Frames are at most as many as a link holds, the
/// rest is for words.
const OUTGOING: usize = 64;

/// Where recordings go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recordings {
    /// The folder of finished ones.
    pub folder: PathBuf,
    /// The folder of their journals, until they are finished.
    pub journals: Option<PathBuf>,
}

/// The games.
pub struct Hub {
    worlds: Vec<Arc<ServedWorld>>,
    pool: Pool,
    places: Arc<Mutex<Places>>,
    metrics: Arc<Metrics>,
    limits: GameLimits,
    max_players: usize,
    recordings: Option<Recordings>,
    links: AtomicU64,
}

#[derive(Default)]
struct Places {
    games: HashMap<String, Place>,
    closed: bool,
}

struct Place {
    task: TaskId,
    controls: Sender<Control>,
    world: Arc<ServedWorld>,
    /// Whether its player has left it, and it is only written down.
    left: bool,
}

impl Places {
    /// Games that are played.
    fn played(&self) -> usize {
        self.games.values().filter(|place| !place.left).count()
    }
}

/// A player's end of a game.
pub struct Seat {
    hub: Arc<Hub>,
    link: u64,
    task: TaskId,
    controls: Sender<Control>,
    /// The key for going on.
    pub key: String,
    /// The world.
    pub world: Arc<ServedWorld>,
    /// What is sent to the player. It ends with the game, or when the game is gone on with over another link.
    pub outgoing: mpsc::Receiver<Outgoing>,
}

/// What [`Request::Join`] holds.
pub struct Join {
    /// The world's name.
    pub world: String,
    /// Index of the starting clip.
    pub clip: usize,
    /// The seed.
    pub seed: Option<u64>,
    /// Sampler settings.
    pub settings: Map<String, Value>,
    /// How pictures are sent.
    pub pictures: Pictures,
    /// Whether the game waits at its first frame.
    pub paused: bool,
}

impl Hub {
    /// A hub without games, whose threads have started.
    ///
    /// # Errors
    /// Returns an error if a thread cannot be started.
    pub fn new(
        worlds: Vec<Arc<ServedWorld>>,
        threads: usize,
        limits: GameLimits,
        max_players: usize,
        recordings: Option<Recordings>,
    ) -> Result<Self> {
        Ok(Self {
            worlds,
            pool: Pool::new(threads)?,
            places: Arc::default(),
            metrics: Arc::default(),
            limits,
            max_players,
            recordings,
            links: AtomicU64::new(0),
        })
    }

    /// What the server counts.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// The limits of games.
    pub fn limits(&self) -> &GameLimits {
        &self.limits
    }

    /// Whether games are recorded.
    pub fn records(&self) -> bool {
        self.recordings.is_some()
    }

    /// Games that are played, those without a link included.
    pub fn players(&self) -> usize {
        self.places().played()
    }

    /// The most games.
    pub fn max_players(&self) -> usize {
        self.max_players
    }

    /// The worlds.
    pub fn worlds(&self) -> Vec<WorldInfo> {
        self.worlds
            .iter()
            .map(|world| world.info().clone())
            .collect()
    }

    /// Begins a game, for which the player leaves the one of `seat`, if there is one, afterwards.
    ///
    /// # Errors
    /// Returns a sentence for the player if the world, the clip or a setting does not exist, or if all places are
    /// taken.
    pub fn join(
        self: &Arc<Self>,
        join: &Join,
        seat: Option<&Seat>,
    ) -> std::result::Result<Seat, String> {
        let world = self
            .worlds
            .iter()
            .find(|world| world.info().name == join.world);
        let world = Arc::clone(world.ok_or("there is no world of this name on this server")?);
        let clips = world.info().clips;
        if join.clip >= clips {
            let (clip, most) = (join.clip, clips.saturating_sub(1));
            return Err(format!(
                "starting clip {clip} does not exist, expected 0 to {most}"
            ));
        }
        let params = world.settings().changed(world.params(), &join.settings)?;
        let key = new_key().map_err(|e| e.to_string())?;
        let (controls, receiver) = unbounded();
        let (out, outgoing) = mpsc::channel(OUTGOING);
        let link = self.links.fetch_add(1, Ordering::Relaxed);
        let start = Start {
            clip: join.clip,
            seed: join.seed,
            params,
            pictures: join.pictures,
            paused: join.paused,
            record: self.record(&world.info().name, link),
        };
        let on_end = {
            let (places, key) = (Arc::downgrade(&self.places), key.clone());
            Box::new(move || {
                if let Some(places) = places.upgrade() {
                    lock(&places).games.remove(&key);
                }
            })
        };
        let game = Game::new(
            Arc::clone(&world),
            start,
            self.limits,
            Arc::clone(&self.metrics),
            receiver,
            on_end,
        );
        // The first control, so that the game knows its link before anything else.
        let _ = controls.send(Control::Attach(link, out));
        let mut places = self.places();
        if places.closed {
            return Err("the server is closing".into());
        }
        let own = seat.and_then(|seat| places.games.get(&seat.key));
        let others = places.played() - usize::from(own.is_some_and(|place| !place.left));
        let is_full = others >= self.max_players;
        // Games that are being written down have a limit, too.
        if is_full || places.games.len() > 2 * self.max_players {
            self.metrics.refuse(Refusal::Full);
            let most = self.max_players;
            return Err(format!("all {most} places are taken; try again later"));
        }
        // The game cannot end before it has its place: that takes the lock, too.
        let task = self.pool.add(Box::new(game));
        let place = Place {
            task,
            controls: controls.clone(),
            world: Arc::clone(&world),
            left: false,
        };
        places.games.insert(key.clone(), place);
        let (name, players) = (&world.info().name, places.played());
        tracing::info!(world = name, players, "a game begins");
        drop(places);
        count(&self.metrics.games, 1);
        Ok(Seat {
            hub: Arc::clone(self),
            link,
            task,
            controls,
            key,
            world,
            outgoing,
        })
    }

    /// Goes on with a game over another link.
    ///
    /// # Errors
    /// Returns a sentence for the player if there is no such game any more.
    pub fn resume(self: &Arc<Self>, key: &str) -> std::result::Result<Seat, String> {
        let places = self.places();
        // Every key is looked at: how long that takes says nothing about them.
        let found = places.games.iter().fold(None, |found, (known, place)| {
            let same: bool = known.as_bytes().ct_eq(key.as_bytes()).into();
            if same { Some(place) } else { found }
        });
        let place = found.ok_or("that game is over")?;
        let (out, outgoing) = mpsc::channel(OUTGOING);
        let link = self.links.fetch_add(1, Ordering::Relaxed);
        let seat = Seat {
            hub: Arc::clone(self),
            link,
            task: place.task,
            controls: place.controls.clone(),
            key: key.to_owned(),
            world: Arc::clone(&place.world),
            outgoing,
        };
        drop(places);
        seat.tell(Control::Attach(link, out));
        count(&self.metrics.resumed, 1);
        Ok(seat)
    }

    /// Ends all games, writes their recordings, and lets no new ones begin. Waits until that is done.
    pub fn close(&self) {
        let games: Vec<_> = {
            let mut places = self.places();
            places.closed = true;
            let games = places.games.values();
            games
                .map(|place| (place.task, place.controls.clone()))
                .collect()
        };
        for (task, controls) in games {
            let _ = controls.send(Control::Finish);
            self.pool.wake(task);
        }
        self.pool.finish();
    }

    fn places(&self) -> MutexGuard<'_, Places> {
        lock(&self.places)
    }

    /// Where the game with this number is recorded.
    fn record(&self, world: &str, number: u64) -> Option<RecordOptions> {
        let recordings = self.recordings.as_ref()?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let seconds = now.unwrap_or_default().as_secs();
        Some(RecordOptions {
            path: recordings
                .folder
                .join(format!("{world}-{seconds}-{number}.npz")),
            journal: recordings.journals.clone(),
            ..RecordOptions::default()
        })
    }
}

fn lock(places: &Mutex<Places>) -> MutexGuard<'_, Places> {
    places.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A key of 128 random bits.
fn new_key() -> Result<String> {
    let mut bytes = [0; 16];
    let filled = OsRng.try_fill_bytes(&mut bytes);
    filled.map_err(|e| Error::Start(format!("no random numbers: {e}")))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

impl Seat {
    /// Passes on what the player asks for.
    pub fn request(&self, request: Request) {
        self.tell(Control::Request(request, Instant::now()));
    }

    /// Ends the game; its place is free at once.
    pub fn leave(self) {
        if let Some(place) = self.hub.places().games.get_mut(&self.key) {
            place.left = true;
        }
        self.request(Request::Leave {});
    }

    fn tell(&self, control: Control) {
        // A game that has ended hears nothing.
        let _ = self.controls.send(control);
        self.hub.pool.wake(self.task);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.tell(Control::Detach(self.link));
    }
}
