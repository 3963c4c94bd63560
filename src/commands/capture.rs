//! `driftless capture`: records another program's window with the keys that are held, as a dataset.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde::Serialize;

use driftless::workspace::{UserPaths, frame_size};
use driftless::{ERROR_PREFIX, Result, interrupt};
use driftless_capture::{
    Activity, CaptureActions, CapturePlan, CaptureReport, CaptureSource, Captured, ChosenKey, Crop,
    EPISODE_FRAMES, Key, Marker, SourceOptions, SystemClock, WindowInfo, choose, count_down,
    finish, keys_of, learn_keys, open, record, windows,
};
use driftless_data::text::{counted, printable};

use super::import::{frame_rate, size};
use super::progress::{Progress, is_quiet};

/// Arguments of `capture`.
#[derive(clap::Args)]
pub struct Args {
    /// List the windows that can be captured.
    #[arg(long, conflicts_with_all = ["window", "out"])]
    list: bool,
    /// The window to capture: its title, a part of it, or its number.
    #[arg(long, value_name = "TITLE|ID", required_unless_present = "list")]
    window: Option<String>,
    /// The keys to record, separated by commas, for example Left,Right,space; no other key is. NAME=KEY gives a key
    /// another one for play: Control_L=F. The mouse's buttons are mouse1 to mouse3.
    #[arg(long, value_name = "KEYS", required_unless_present_any = ["list", "learn_keys", "actions"])]
    keys: Option<String>,
    /// Record the keys that are pressed in the window during so many seconds before the capture.
    #[arg(long, value_name = "SECONDS", value_parser = seconds, allow_hyphen_values = true, conflicts_with = "keys")]
    learn_keys: Option<Duration>,
    /// Map from keys to actions (TOML or .json; docs/data.md), for example the actions.toml of an earlier capture
    /// [default: each combination of keys that occurs is an action].
    #[arg(long, value_name = "MAP", conflicts_with = "learn_keys")]
    actions: Option<PathBuf>,
    /// Record the mouse's motion, too; only an action map (`mouse.dx`, `mouse.dy`) makes actions of it.
    #[arg(long)]
    mouse: bool,
    /// Frames per second.
    #[arg(long, value_name = "N", default_value = "15", value_parser = frame_rate, allow_hyphen_values = true)]
    fps: f32,
    /// Height and width of the recorded frames, for example 64x48, or 64 for a square; area-averaged. The presets
    /// train frames whose sides are multiples of 16.
    #[arg(long, value_name = "HxW", default_value = "64x64", value_parser = size, allow_hyphen_values = true)]
    size: [usize; 2],
    /// The part of the window to record: left, top, width and height in pixels [default: all of it].
    #[arg(long, value_name = "X,Y,W,H", value_parser = crop, allow_hyphen_values = true)]
    crop: Option<Crop>,
    /// Dataset folder to write, new or empty.
    #[arg(long, value_name = "DIR", required_unless_present = "list")]
    out: Option<PathBuf>,
    /// Name of the world [default: title of the window].
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Stop after so many seconds of captured play [default: when the stop key is pressed, or Ctrl-C].
    #[arg(long, value_name = "S", value_parser = seconds, allow_hyphen_values = true)]
    seconds: Option<Duration>,
    /// Wait so many seconds before the first frame.
    #[arg(long, value_name = "S", default_value = "3", value_parser = countdown, allow_hyphen_values = true)]
    countdown: u16,
    /// Key that stops the capture, in any window.
    #[arg(long, value_name = "KEY", default_value = "F12")]
    stop_key: String,
    /// Key that pauses the capture and goes on, in any window.
    #[arg(long, value_name = "KEY", default_value = "F11")]
    pause_key: String,
    /// Show no red frame around the window, and no counter above it. They are never in the recorded pictures.
    #[arg(long)]
    no_frame: bool,
    /// Print the result as one JSON object.
    #[arg(long)]
    json: bool,
}

/// A window as `--list --json` prints it.
#[derive(Serialize)]
struct WindowLine<'a> {
    id: String,
    title: &'a str,
    width: u32,
    height: u32,
    process: &'a str,
}

/// What was captured as `--json` prints it.
#[derive(Serialize)]
struct Outcome<'a> {
    /// Why the capture is over.
    end: String,
    #[serde(flatten)]
    report: &'a CaptureReport,
}

/// Captures a window, or lists the windows.
///
/// # Errors
/// Returns an error, before anything is recorded, if there is no display, no such window or key, if the crop is not
/// inside the window, if the folder is not empty, or if the stop key is pressed; and if nothing was captured or it
/// cannot be written.
pub fn run(args: &Args) -> Result<()> {
    if args.list {
        return list(args.json);
    }
    let actions = args.actions.as_deref().map(CaptureActions::read);
    let actions = actions.transpose()?.unwrap_or_default();
    let keys = match &args.keys {
        Some(keys) => ChosenKey::parse_list(keys)?,
        None => actions.keys()?,
    };
    let mut options = SourceOptions {
        display: None,
        window: WindowInfo::default(),
        crop: args.crop,
        keys: keys_of(&keys),
        mouse: args.mouse,
        stop_key: Some(Key::parse(&args.stop_key)?),
        pause_key: Some(Key::parse(&args.pause_key)?),
    };
    options.window = choose(&windows(None)?, args.window.as_deref().unwrap_or_default())?;
    let mut plan = CapturePlan {
        out: args.out.clone().unwrap_or_default(),
        journal: UserPaths::resolve(None)?.unfinished(),
        name: args
            .name
            .clone()
            .unwrap_or_else(|| options.window.title.clone()),
        window: options.window.title.clone(),
        fps: args.fps,
        size: args.size,
        keys,
        mouse: args.mouse,
        actions,
        length: args.seconds,
        episode_frames: EPISODE_FRAMES,
    };
    super::recover::remind(None);
    interrupt::watch();
    let mut sign = ScreenSign::new(options.window.id, args.no_frame);
    if let Some(length) = args.learn_keys {
        plan.keys = learn(&mut options, length, &args.stop_key, &mut sign)?;
    }
    plan.check()?;
    if let Some(remark) = frame_size::remark(plan.size) {
        say(&remark);
    }
    let mut source = open(&options)?;
    let captured = capture(source.as_mut(), &plan, args, &mut sign)?;
    drop((source, sign));
    let report = write(&captured, &plan)?;
    if args.json {
        let end = captured.end.to_string();
        super::print_json(&Outcome {
            end,
            report: &report,
        })
    } else {
        super::print(&summary(&report, &captured, &plan))
    }
}

/// Prints the windows.
fn list(json: bool) -> Result<()> {
    let windows = windows(None)?;
    if json {
        let lines = windows.iter().map(|window| WindowLine {
            id: format!("{:#x}", window.id),
            title: &window.title,
            width: window.size[0],
            height: window.size[1],
            process: &window.process,
        });
        return super::print_json(&lines.collect::<Vec<_>>());
    }
    let lines = windows.iter().map(|window| {
        let [width, height] = window.size;
        let (title, process) = (printable(&window.title), printable(&window.process));
        format!(
            "{:#010x}  {width:>5}×{height:<5} {process:<16} {title}",
            window.id
        )
    });
    let lines: Vec<String> = lines.collect();
    if lines.is_empty() {
        return super::print("no windows");
    }
    super::print(&lines.join("\n"))
}

/// The frame around the window and the text above it, drawn anew a few times a second.
struct ScreenSign {
    marker: Option<Marker>,
    last: Option<(Instant, Activity)>,
}

impl ScreenSign {
    /// Time between two drawings.
    const INTERVAL: Duration = Duration::from_millis(250);

    /// Without a display there is none, and the capture itself will say why.
    fn new(window: u32, none: bool) -> Self {
        let marker = (!none).then(|| Marker::new(None, window).ok()).flatten();
        Self { marker, last: None }
    }

    /// Shows the text, unless the same activity was shown a moment ago.
    fn show(&mut self, activity: Activity, text: impl FnOnce() -> String) {
        let shown =
            |(at, what): (Instant, Activity)| what == activity && at.elapsed() < Self::INTERVAL;
        if self.last.is_some_and(shown) {
            return;
        }
        self.last = Some((Instant::now(), activity));
        let gone = |marker: &Marker| marker.show(activity, &text()).is_err();
        if self.marker.as_ref().is_some_and(gone) {
            self.marker = None;
        }
    }
}

/// The keys that are pressed in the window; `options` will watch them.
fn learn(
    options: &mut SourceOptions,
    length: Duration,
    stop_key: &str,
    sign: &mut ScreenSign,
) -> Result<Vec<ChosenKey>> {
    let hotkeys = [options.stop_key, options.pause_key];
    options.keys = Key::all()
        .filter(|key| !hotkeys.contains(&Some(*key)))
        .collect();
    let mut source = open(options)?;
    say(&format!(
        "play for {} s in the window `{}`: the keys that you press are recorded later; {stop_key} stops",
        length.as_secs_f32(),
        options.window.title
    ));
    let clock = SystemClock::start();
    let pressed = learn_keys(source.as_mut(), &clock, length, &mut |activity| {
        sign.show(activity, || {
            let what = match activity {
                Activity::Recording => {
                    "play: the keys that you press now are those that are recorded later"
                }
                Activity::Paused | Activity::Unfocused => {
                    "click into this window, and press the keys of the game"
                }
            };
            format!("{what}; {stop_key} stops")
        });
        !interrupt::requested()
    })?;
    let pressed: Vec<Key> = pressed
        .indices()
        .filter_map(|i| options.keys.get(i).copied())
        .collect();
    let keys = ChosenKey::for_keys(&pressed)?;
    let names = keys.iter().map(|one| match one.key.play() {
        Some(play) if play == one.play => one.key.name().to_owned(),
        _ => format!("{}={}", one.key, one.play),
    });
    say(&format!("keys: {}", names.collect::<Vec<_>>().join(",")));
    options.keys = pressed;
    Ok(keys)
}

/// Captures, and shows how far it is.
fn capture(
    source: &mut dyn CaptureSource,
    plan: &CapturePlan,
    args: &Args,
    sign: &mut ScreenSign,
) -> Result<Captured> {
    say(&format!(
        "recording the keys {} in the window `{}`, and nothing else; {} pauses, {} stops",
        keys_of(&plan.keys)
            .iter()
            .map(|key| key.name())
            .collect::<Vec<_>>()
            .join(", "),
        plan.window,
        args.pause_key,
        args.stop_key
    ));
    wait(source, args, sign)?;
    let total = plan
        .length
        .map_or(0.0, |length| length.as_secs_f32() * plan.fps);
    let template = "{pos} frames {msg}";
    let bar = Progress::with_template(total as u64, 0, "frames", template);
    let clock = SystemClock::start();
    let captured = record(source, &clock, plan, &mut |progress| {
        let doing = match progress.activity {
            Activity::Recording => "recording",
            Activity::Paused => "paused",
            Activity::Unfocused => "waiting until the window has the focus",
        };
        sign.show(progress.activity, || {
            let seconds = (progress.frames as f32 / plan.fps) as u64;
            format!(
                "{doing}: {} frames, {}:{:02}; {} pauses, {} stops",
                progress.frames,
                seconds / 60,
                seconds % 60,
                args.pause_key,
                args.stop_key
            )
        });
        bar.set_message(match progress.lost {
            0 => doing.to_owned(),
            lost => format!("{doing}, {lost} lost"),
        });
        bar.set_position(progress.frames);
        !interrupt::requested()
    })?;
    bar.finish_and_clear();
    Ok(captured)
}

/// Waits before the first frame, and says how long it still waits.
fn wait(source: &mut dyn CaptureSource, args: &Args, sign: &mut ScreenSign) -> Result<()> {
    let length = Duration::from_secs(args.countdown.into());
    let mut said = None;
    let mut watch = |left: Duration, paused: bool| {
        let seconds = left.as_secs_f32().ceil() as u64;
        if said != Some(seconds) {
            say(&format!("{seconds} …"));
            said = Some(seconds);
        }
        let activity = if paused {
            Activity::Paused
        } else {
            Activity::Unfocused
        };
        sign.show(activity, || {
            let goes_on = if paused { ", once it goes on" } else { "" };
            format!(
                "recording begins in {seconds} s{goes_on}; {} pauses, {} stops",
                args.pause_key, args.stop_key
            )
        });
        !interrupt::requested()
    };
    count_down(source, &SystemClock::start(), length, &mut watch)?;
    Ok(())
}

/// Writes the dataset. A Ctrl-C that ended the capture does not end this.
fn write(captured: &Captured, plan: &CapturePlan) -> Result<CaptureReport> {
    let bar = super::bar(captured.frames, "frames written");
    let report = finish(captured.open()?, &plan.out, &mut |done, _| {
        bar.set_position(done as u64);
    });
    bar.finish_and_clear();
    Ok(report?)
}

/// What was captured, in a few lines.
fn summary(report: &CaptureReport, captured: &Captured, plan: &CapturePlan) -> String {
    let late = report.lateness_ms;
    let mut lines = vec![
        format!(
            "{}; {} in {}, {}",
            captured.end,
            counted(report.frames, "frame"),
            super::episodes(report.episodes.len()),
            plan.out.display()
        ),
        format!(
            "{} lost; frames were {:.1} ms late on average, 99 % of them less than {:.1} ms",
            counted(report.lost_frames, "frame"),
            late.mean,
            late.p99
        ),
    ];
    let total: usize = report.actions.iter().map(|action| action.frames).sum();
    for action in &report.actions {
        let share = 100.0 * action.frames as f64 / total.max(1) as f64;
        lines.push(format!(
            "{:>8}  {share:5.1} %  {}",
            action.frames,
            printable(&action.name)
        ));
    }
    lines.extend(
        report
            .remarks
            .iter()
            .map(|remark| format!("note: {remark}")),
    );
    lines.join("\n")
}

/// Tells the person at the terminal something.
fn say(what: &str) {
    if !is_quiet() {
        eprintln!("{ERROR_PREFIX}{}", printable(what));
    }
}

/// Parses `X,Y,W,H`.
fn crop(text: &str) -> std::result::Result<Crop, String> {
    let numbers: Option<Vec<u32>> = text
        .split(',')
        .map(|part| part.trim().parse().ok())
        .collect();
    match numbers.as_deref() {
        Some(&[x, y, width, height]) => Ok(Crop {
            x,
            y,
            width,
            height,
        }),
        _ => Err("expected LEFT,TOP,WIDTH,HEIGHT in pixels, for example 0,24,640,456".into()),
    }
}

/// Parses a length of time.
fn seconds(text: &str) -> std::result::Result<Duration, String> {
    let seconds = text
        .parse()
        .ok()
        .filter(|seconds| (0.1..=1e6).contains(seconds));
    let seconds = seconds.map(Duration::from_secs_f64);
    seconds.ok_or_else(|| "expected seconds, 0.1 to 1000000".into())
}

/// Parses the seconds of a countdown.
fn countdown(text: &str) -> std::result::Result<u16, String> {
    let seconds = text.parse().ok().filter(|seconds| *seconds <= 600);
    seconds.ok_or_else(|| "expected whole seconds, 0 to 600".into())
}
