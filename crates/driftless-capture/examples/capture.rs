//! Lists the windows, or captures one for some seconds and prints what was recorded:
//!
//! ```sh
//! cargo run --release -p driftless-capture --example capture
//! cargo run --release -p driftless-capture --example capture -- LBreakout2 Left,Right,space 20 data/lbreakout
//! ```

#![allow(clippy::print_stdout, reason = "an example prints its result")]

use std::path::PathBuf;
use std::time::Duration;

use driftless_capture::{
    CaptureActions, CapturePlan, ChosenKey, EPISODE_FRAMES, Result, SourceOptions, SystemClock,
    choose, finish, keys_of, open, record, windows,
};

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [title, keys, seconds, out] = args.as_slice() else {
        for window in windows(None)? {
            println!(
                "{:#x} {:?} {} {}",
                window.id, window.size, window.process, window.title
            );
        }
        return Ok(());
    };
    let keys = ChosenKey::parse_list(keys)?;
    let options = SourceOptions {
        display: None,
        window: choose(&windows(None)?, title)?,
        crop: None,
        keys: keys_of(&keys),
        mouse: false,
        stop_key: None,
        pause_key: None,
    };
    let plan = CapturePlan {
        out: PathBuf::from(out),
        journal: std::env::temp_dir(),
        name: title.clone(),
        window: options.window.title.clone(),
        fps: 20.0,
        size: [64, 64],
        keys,
        mouse: false,
        actions: CaptureActions::default(),
        length: Some(Duration::from_secs_f64(seconds.parse().unwrap_or(10.0))),
        episode_frames: EPISODE_FRAMES,
    };
    let mut source = open(&options)?;
    let clock = SystemClock::start();
    let captured = record(source.as_mut(), &clock, &plan, &mut |_| true)?;
    let report = finish(captured.open()?, &plan.out, &mut |_, _| {})?;
    println!(
        "{}: {} frames, {} lost",
        captured.end, report.frames, report.lost_frames
    );
    println!("late, in ms: {:?}", report.lateness_ms);
    for action in &report.actions {
        println!("{:>6} {}", action.frames, action.name);
    }
    Ok(())
}
