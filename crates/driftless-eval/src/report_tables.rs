//! The report of an evaluation as tables.

use super::free_run::{FreeRunBin, ObjectPresence};
use super::holes::HoleReport;
use super::horizons::REAL_FRAMES;
use super::report::EvalReport;
use super::rollout_report::{BallStats, HorizonSpan, PaddleStats, RolloutReport};
use super::table::{Table, dash, headings, number, percent};

/// The tables of a report, without those that would be empty.
pub fn tables(report: &EvalReport) -> Vec<Table> {
    let mut tables = vec![tokenizer(report)];
    tables.extend(one_step_regions(report));
    tables.extend(image_tables(report));
    tables.extend(object_tables(&report.rollouts));
    tables.extend(action_response(report));
    tables.extend(one_step(report));
    tables.extend(outcomes(report));
    tables.extend(free(report));
    tables.extend(holes(report));
    tables
}

fn is_single(span: &HorizonSpan) -> bool {
    span.from == span.to
}

fn is_range(span: &HorizonSpan) -> bool {
    span.from < span.to
}

fn any_span(rollouts: &[RolloutReport], wanted: impl Fn(&HorizonSpan) -> bool) -> bool {
    rollouts.iter().flat_map(|r| &r.spans).any(wanted)
}

/// PSNR, SSIM, perceptual distances and poses of the rollouts.
fn image_tables(report: &EvalReport) -> Vec<Table> {
    let rollouts = &report.rollouts;
    let predicted = || rollouts.iter().filter(|r| r.label != REAL_FRAMES);
    let mut tables = vec![spans(
        format!(
            "PSNR in dB after h predicted frames ({} sequences, {} frames of starting clip, true actions)",
            report.sequences, report.clip_frames
        ),
        predicted(),
        is_single,
        |span| number(span.psnr, 1),
    )];
    if any_span(rollouts, |span| span.ssim.is_some()) {
        tables.push(spans(
            "SSIM after h predicted frames".to_owned(),
            predicted(),
            is_single,
            |span| number(span.ssim, 3),
        ));
    }
    if let Some(backbone) = &report.lpips {
        tables.push(spans(
            format!("LPIPS ({backbone}) after h predicted frames, 0 for equal frames"),
            predicted(),
            is_single,
            |span| number(span.lpips, 3),
        ));
    }
    tables.push(spans(
        "Distance of the tokenizer's latents after h predicted frames, 0 for equal frames (not LPIPS)"
            .to_owned(),
        predicted(),
        is_single,
        |span| number(span.latent_distance, 3),
    ));
    if any_span(rollouts, |span| span.pose.is_some()) {
        tables.push(spans(
            "Pose estimated from the frame, median error: position / direction in degrees"
                .to_owned(),
            rollouts.iter(),
            is_single,
            |span| {
                span.pose.as_ref().map_or_else(dash, |pose| {
                    format!("{} / {}", number(pose.distance, 2), number(pose.angle, 1))
                })
            },
        ));
    }
    tables
}

/// Paddles and ball of the rollouts; none for worlds without known objects.
fn object_tables(rollouts: &[RolloutReport]) -> Vec<Table> {
    if !any_span(rollouts, |span| span.ball.is_some()) {
        return Vec::new();
    }
    let what = "error px: mean / median / missing";
    let mut tables = vec![
        spans(
            format!("Player's paddle, {what}, at horizon h"),
            rollouts.iter(),
            is_single,
            |span| paddle(span.player.as_ref()),
        ),
        spans(
            format!("Player's paddle, {what}, over horizons"),
            rollouts.iter(),
            is_range,
            |span| paddle(span.player.as_ref()),
        ),
    ];
    let has_enemy = |span: &HorizonSpan| span.enemy.as_ref().is_some_and(|s| s.frames > 0);
    if any_span(rollouts, has_enemy) {
        tables.push(spans(
            format!("Enemy's paddle, {what}, over horizons"),
            rollouts.iter(),
            is_range,
            |span| paddle(span.enemy.as_ref()),
        ));
    }
    let ball = |title: &str, of: fn(&BallStats) -> [Option<f64>; 2]| {
        spans(title.to_owned(), rollouts.iter(), is_range, |span| {
            span.ball.as_ref().map_or_else(dash, |ball| {
                let [first, second] = of(ball).map(percent);
                format!("{first} / {second}")
            })
        })
    };
    tables.push(ball(
        "Ball, frames with a true ball: exactly one found / within 2 px of it",
        |ball| [ball.exactly_one, ball.within_2px],
    ));
    tables.push(ball(
        "Ball: missed where there is one / found where there is none",
        |ball| [ball.none, ball.invented],
    ));
    tables
}

fn paddle(stats: Option<&PaddleStats>) -> String {
    stats.map_or_else(dash, |stats| {
        format!(
            "{} / {} / {}",
            number(stats.mean, 2),
            number(stats.median, 2),
            percent(stats.missing)
        )
    })
}

fn range(from: usize, to: usize) -> String {
    if from == to {
        format!("h = {from}")
    } else {
        format!("h {from}–{to}")
    }
}

fn tokenizer(report: &EvalReport) -> Table {
    let t = &report.tokenizer;
    let mut rows = vec![vec![
        "PSNR over the frame, dB".to_owned(),
        number(t.psnr, 2),
    ]];
    let mut row = |name: &str, value: String| rows.push(vec![name.to_owned(), value]);
    if let Some(regions) = &t.regions {
        row("PSNR of objects, dB", number(regions.objects, 2));
        let near = "PSNR within 8 px of objects, dB";
        row(near, number(regions.surroundings, 2));
    }
    if let Some(ball) = &t.ball {
        row(
            "PSNR in 9 × 9 px around the ball, dB",
            number(ball.box_psnr, 2),
        );
        row("ball within 2 px of truth", percent(ball.survives));
        row("exactly one ball", percent(ball.exactly_one));
    }
    if let Some(s) = &t.smoothness {
        let shift = format!("latent distance, ball shifted by {} px", s.shift_px);
        row(&shift, number(Some(s.shifted), 3));
        row("latent distance, ball removed", number(Some(s.removed), 3));
        row("shifted / removed", number(Some(s.ratio), 3));
    }
    Table {
        title: format!(
            "Tokenizer alone ({} of {} held-out frames)",
            t.frames, report.frames
        ),
        head: headings("measure", &["value"]),
        rows,
    }
}

fn one_step_regions(report: &EvalReport) -> Option<Table> {
    let regions = report.one_step_regions.as_ref()?;
    let rows = [
        ("over the frame", regions.frame),
        ("of objects", regions.objects),
        ("within 8 px of objects", regions.surroundings),
    ];
    Some(Table {
        title: format!(
            "PSNR in dB of frames predicted one step ahead of true ones ({} frames)",
            regions.frames
        ),
        head: headings("", &["dB"]),
        rows: rows
            .map(|(name, psnr)| vec![name.to_owned(), number(psnr, 2)])
            .to_vec(),
    })
}

fn spans<'a>(
    title: String,
    reports: impl Iterator<Item = &'a RolloutReport>,
    wanted: impl Fn(&HorizonSpan) -> bool,
    cell: impl Fn(&HorizonSpan) -> String,
) -> Table {
    let mut head = headings("", &[]);
    let mut rows = Vec::new();
    for report in reports {
        let spans: Vec<&HorizonSpan> = report.spans.iter().filter(|span| wanted(span)).collect();
        if rows.is_empty() {
            head.extend(spans.iter().map(|span| range(span.from, span.to)));
        }
        let cells = spans.iter().map(|span| cell(span));
        rows.push(std::iter::once(report.label.clone()).chain(cells).collect());
    }
    Table { title, head, rows }
}

fn action_response(report: &EvalReport) -> Option<Table> {
    let shuffled = report.shuffled.as_ref()?;
    let rows = shuffled.spans.iter().map(|span| {
        vec![
            range(span.from, span.to),
            number(span.true_actions, 2),
            number(span.shuffled_actions, 2),
            number(span.factor, 1),
        ]
    });
    Some(Table {
        title: format!(
            "Response to actions: the player's mean error px under true and shuffled actions, K = {}",
            shuffled.steps
        ),
        head: headings("horizon", &["true", "shuffled", "ratio"]),
        rows: rows.collect(),
    })
}

fn one_step(report: &EvalReport) -> Option<Table> {
    let first = report.one_step.first()?;
    let rows = report.one_step.iter().map(|one| {
        vec![
            format!("K = {}", one.steps),
            percent(one.inside.within_2px),
            percent(one.crossing.within_2px),
        ]
    });
    Some(Table {
        title: format!(
            "Ball within 2 px after one predicted frame, by patches of {} px",
            first.patch
        ),
        head: vec![
            String::new(),
            format!("stays inside ({})", first.inside.frames),
            format!("crosses ({})", first.crossing.frames),
        ],
        rows: rows.collect(),
    })
}

fn outcomes(report: &EvalReport) -> Option<Table> {
    let outcomes = report.outcomes.as_ref()?;
    let mut rows: Vec<Vec<String>> = outcomes
        .rewards
        .iter()
        .map(|row| {
            let rewards = if row.from == row.to {
                format!("reward {}", row.from)
            } else {
                format!("rewards {:.3} to {:.3}", row.from, row.to)
            };
            let name = format!("mean predicted reward, true {rewards}");
            vec![name, number(row.predicted, 3), row.frames.to_string()]
        })
        .collect();
    let mut row = |name: &str, value, frames: usize| {
        rows.push(vec![name.to_owned(), percent(value), frames.to_string()]);
    };
    if outcomes.ends > 0 {
        row(
            "episode ends that are predicted",
            outcomes.ends_found,
            outcomes.ends,
        );
    }
    row(
        "ends predicted for other frames",
        outcomes.ends_invented,
        outcomes.others,
    );
    Some(Table {
        title: format!(
            "Reward and end of one predicted frame, K = {}",
            outcomes.steps
        ),
        head: headings("", &["value", "frames"]),
        rows,
    })
}

fn holes(report: &EvalReport) -> Option<Table> {
    let free = report.free.as_ref()?;
    let row = |name: &str, holes: &HoleReport| {
        let count = holes.holes.to_string();
        vec![name.to_owned(), count, percent(holes.filled_share())]
    };
    Some(Table {
        title: "Holes in the bricks that were filled again within 500 frames".to_owned(),
        head: headings("", &["holes", "filled"]),
        rows: vec![
            row("real held-out frames", free.real_holes.as_ref()?),
            row("free runs", free.holes.as_ref()?),
        ],
    })
}

fn free(report: &EvalReport) -> Option<Table> {
    let free = report.free.as_ref()?;
    let row = |name: String, p: &ObjectPresence, reencoding: Option<f64>| {
        vec![
            name,
            percent(p.player),
            percent(p.enemy),
            percent(p.one_ball),
            percent(p.more_balls),
            number(reencoding, 3),
        ]
    };
    let real = free.real.unwrap_or_default();
    let name = "real held-out frames".to_owned();
    let mut rows = vec![row(name, &real, free.real_reencoding)];
    rows.extend(free.bins.iter().map(|bin| {
        let name = format!("frames {}–{}", bin.from, bin.to);
        row(name, &bin.presence, bin.reencoding)
    }));
    // A relative change, so that small values show a drift, too.
    if let [first, .., last] = free.bins.as_slice() {
        let change = |of: fn(&FreeRunBin) -> Option<f64>| {
            let ratio = of(first).zip(of(last)).filter(|(first, _)| *first > 0.0);
            ratio.map_or_else(dash, |(first, last)| {
                format!("{:+.1} %", (last / first - 1.0) * 100.0)
            })
        };
        rows.push(vec![
            "last relative to first".to_owned(),
            change(|bin| bin.presence.player),
            change(|bin| bin.presence.enemy),
            change(|bin| bin.presence.one_ball),
            change(|bin| bin.presence.more_balls),
            change(|bin| bin.reencoding),
        ]);
    }
    Some(Table {
        title: format!(
            "Free runs under random held actions: share of frames ({} runs of {} frames, K = {})",
            free.runs, free.frames, free.steps
        ),
        head: headings(
            "",
            &[
                "player",
                "enemy",
                "exactly one ball",
                "more balls",
                "re-encoding",
            ],
        ),
        rows,
    })
}
