//! Training on shards from a server on loopback, on one rank and on several, which are threads here.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use driftless_shards::testing::{Fault, Server};
use driftless_shards::{CacheOptions, CutOptions, Location, Stop, cut};

use super::ranks::{Place, finish, largest_difference, train_on};
use super::*;

/// Shards of one episode each, seven of them, at `/data/…` of a server.
struct Sharded {
    place: Place,
    server: Server,
}

impl Sharded {
    fn new() -> Self {
        let place = Place::new();
        record(&place.path("episodes"), 8, 7, 0);
        let out = place.path("shards");
        let options = CutOptions {
            data: place.path("episodes"),
            out: Location::parse(&out).unwrap(),
            shard_bytes: 40 * (SIDE * SIDE * 3) as u64,
            seed: 0,
            skip_bad: false,
            overwrite: false,
        };
        let never: Stop = Arc::new(|| false);
        let manifest = cut(&options, &never, &mut |_, _| {}).unwrap();
        assert_eq!(manifest.shards.len(), 7);
        let server = Server::web().unwrap();
        server.put_folder(&out).unwrap();
        Self { place, server }
    }

    /// Twenty steps of each stage, on three shards at a time.
    fn options(&self, out: &str) -> TrainOptions {
        let options = self.place.options(out);
        let settings = self.place.path("settings.toml");
        let text = std::fs::read_to_string(&settings).unwrap();
        let text = text.replace("[tokenizer]\n", "[tokenizer]\nrare_fraction = 0.25\n");
        std::fs::write(&settings, format!("open_shards = 3\n{text}")).unwrap();
        TrainOptions {
            data: format!("{}/data", self.server.url()).into(),
            ..options
        }
    }

    fn difference(&self, a: &str, b: &str) -> (f64, String) {
        largest_difference(&self.place.path(a), &self.place.path(b))
    }
}

#[test]
fn ranks_on_shards_train_what_one_would() {
    let sharded = Sharded::new();
    finish(1, &sharded.options("one"));
    // Both stages have gone on to other shards than the first.
    let reads = sharded.server.reads();
    let shards = reads.iter().filter(|(path, _)| path.contains("shard-"));
    assert!(
        shards.map(|(_, reads)| reads).sum::<usize>() > 2 * 6,
        "{reads:?}"
    );
    for (size, out) in [(2, "two"), (3, "three")] {
        finish(size, &sharded.options(out));
        let difference = sharded.difference("one", out);
        assert!(difference.0 < 1e-5, "{size} ranks: {difference:?}");
    }
}

#[test]
fn shards_in_a_folder_are_the_same() {
    let sharded = Sharded::new();
    finish(1, &sharded.options("server"));
    let folder = TrainOptions {
        data: sharded.place.path("shards"),
        ..sharded.options("folder")
    };
    finish(1, &folder);
    assert_eq!(sharded.difference("server", "folder"), (0.0, String::new()));
}

#[test]
fn training_on_shards_resumes_exactly() {
    let sharded = Sharded::new();
    finish(2, &sharded.options("whole"));
    for (size, out, bound) in [(2, "same", 0.0), (3, "other", 1e-5)] {
        let begun = TrainOptions {
            max_steps: Some(11),
            ..sharded.options(out)
        };
        finish(2, &begun);
        let resumed = TrainOptions {
            resume: true,
            ..sharded.options(out)
        };
        finish(size, &resumed);
        let difference = sharded.difference("whole", out);
        assert!(difference.0 <= bound, "{size} ranks: {difference:?}");
    }
}

/// After a few steps the server answers no more, and the user asks to stop.
struct Silence<'a>(&'a Server);

static ASKED: AtomicBool = AtomicBool::new(false);

impl TrainProgress for Silence<'_> {
    fn step_done(&mut self, step: &StepReport) {
        if step.step == 5 {
            let paths = self.0.paths();
            paths.iter().for_each(|path| self.0.silence(path));
            ASKED.store(true, Ordering::Relaxed);
        }
    }
}

#[test]
fn waiting_for_a_shard_can_be_interrupted() {
    let sharded = Sharded::new();
    finish(1, &sharded.options("whole"));
    let mut options = sharded.options("parts");
    options.shards.interrupted = || ASKED.load(Ordering::Relaxed);
    let silence = &mut Silence(&sharded.server);
    let outcome = driftless_train::run(&options, silence).unwrap();
    assert_eq!(outcome, TrainOutcome::Stopped);
    // What was saved goes on exactly, from a server that answers.
    let resumed = TrainOptions {
        resume: true,
        data: sharded.place.path("shards"),
        ..sharded.options("parts")
    };
    finish(1, &resumed);
    assert_eq!(sharded.difference("whole", "parts"), (0.0, String::new()));
}

#[test]
fn a_cache_is_read_in_place_of_the_server() {
    let sharded = Sharded::new();
    let mut options = sharded.options("first");
    options.shards.cache = Some(CacheOptions {
        folder: sharded.place.path("cache"),
        bytes: 1 << 30,
    });
    finish(1, &options);
    let reads = sharded.server.reads();
    assert!(
        reads
            .iter()
            .all(|(path, reads)| path.ends_with("shards.json") || *reads == 1),
        "{reads:?}"
    );
}

#[test]
fn a_cache_for_a_folder_is_refused() {
    let sharded = Sharded::new();
    let mut options = sharded.options("first");
    options.data = sharded.place.path("shards");
    options.shards.cache = Some(CacheOptions {
        folder: sharded.place.path("cache"),
        bytes: 1 << 30,
    });
    let error = driftless_train::run(&options, &mut ()).unwrap_err();
    assert!(
        error.to_string().starts_with("--shard-cache is for"),
        "{error}"
    );
    assert!(!options.out.exists());
}

#[test]
fn a_bad_shard_ends_all_ranks_by_name() {
    let sharded = Sharded::new();
    for path in sharded.server.paths() {
        if path.contains("shard-") {
            let whole = sharded.server.object(&path).unwrap();
            sharded.server.put(&path, whole.slice(..whole.len() - 100));
        }
    }
    let errors = train_on(2, &sharded.options("bad"), |_| {});
    let errors: Vec<String> = errors
        .into_iter()
        .map(|e| e.unwrap_err().to_string())
        .collect();
    for error in errors {
        assert!(error.contains("shards.json: shard `shard-"), "{error}");
        assert!(
            error.contains("is cut off") || error.contains("stopped"),
            "{error}"
        );
    }
    let path = sharded
        .server
        .paths()
        .into_iter()
        .find(|path| path.ends_with(".json"))
        .unwrap();
    sharded.server.fail(&path, &[Fault::Refused]);
    let error = driftless_train::run(&sharded.options("refused"), &mut ()).unwrap_err();
    assert!(error.to_string().contains("refuses access"), "{error}");
}

#[test]
fn what_shards_do_not_know_is_refused() {
    let sharded = Sharded::new();
    let refused = |size: usize, change: &(dyn Fn(&mut TrainOptions) + Sync)| {
        let results = train_on(size, &sharded.options("refused"), change);
        let errors = results
            .into_iter()
            .map(|result| result.unwrap_err().to_string());
        errors.last().unwrap()
    };
    let text = refused(1, &|options| options.skip_bad = true);
    assert!(
        text.starts_with("--skip-bad does not go with a dataset in shards"),
        "{text}"
    );
    let text = refused(1, &|options| options.unlabelled = Some("other".into()));
    assert!(text.starts_with("--unlabelled does not go with"), "{text}");
    let text = refused(4, &|_| {});
    assert!(
        text.starts_with("4 ranks read from 3 shards at a time"),
        "{text}"
    );
    assert!(!sharded.place.path("refused").exists());
}
