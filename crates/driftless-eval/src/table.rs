//! A report as tables, for a terminal or for Markdown.

use super::free::{FreeBin, Presence};
use super::horizons::{PaddleStats, RolloutReport, Span};
use super::report::Report;

/// One table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// What it shows, and over what.
    pub title: String,
    /// Column heads.
    pub head: Vec<String>,
    /// Rows, each as long as the head; the first cell names the row.
    pub rows: Vec<Vec<String>>,
}

/// The tables of a report; those without a measure are left out.
pub fn tables(report: &Report) -> Vec<Table> {
    let mut tables = vec![tokenizer(report)];
    let rollouts = &report.rollouts;
    let singles = |span: &Span| span.from == span.to;
    let ranges = |span: &Span| span.from < span.to;
    let about = format!(
        "{} sequences, {} context frames, true actions",
        report.sequences, report.context
    );
    tables.push(spans(
        format!("PSNR in dB after h predicted frames ({about})"),
        rollouts.iter().filter(|r| r.label != "real frames"),
        singles,
        |span| number(span.psnr, 1),
    ));
    let all_spans = || rollouts.iter().flat_map(|r| &r.spans);
    if all_spans().any(|s| s.ssim.is_some()) {
        tables.push(spans(
            "SSIM after h predicted frames".to_owned(),
            rollouts.iter().filter(|r| r.label != "real frames"),
            singles,
            |span| number(span.ssim, 3),
        ));
    }
    if all_spans().any(|s| s.pose.is_some()) {
        tables.push(spans(
            "Pose read from the picture, median error: place / direction in degrees".to_owned(),
            rollouts.iter(),
            singles,
            |span| {
                span.pose.as_ref().map_or_else(dash, |pose| {
                    format!("{} / {}", number(pose.distance, 2), number(pose.angle, 1))
                })
            },
        ));
    }
    if all_spans().any(|s| s.ball.is_some()) {
        let paddle = |stats: &Option<PaddleStats>| {
            stats.as_ref().map_or_else(dash, |s| {
                format!(
                    "{} / {} / {}",
                    number(s.mean, 2),
                    number(s.median, 2),
                    percent(s.missing)
                )
            })
        };
        let what = "error px: mean / median / missing";
        tables.push(spans(
            format!("Player's paddle, {what}, at horizon h"),
            rollouts.iter(),
            singles,
            |span| paddle(&span.player),
        ));
        tables.push(spans(
            format!("Player's paddle, {what}, over horizons"),
            rollouts.iter(),
            ranges,
            |span| paddle(&span.player),
        ));
        let enemy = |span: &Span| span.enemy.as_ref().is_some_and(|s| s.frames > 0);
        if all_spans().any(enemy) {
            tables.push(spans(
                format!("Enemy's paddle, {what}, over horizons"),
                rollouts.iter(),
                ranges,
                |span| paddle(&span.enemy),
            ));
        }
        tables.push(spans(
            "Ball where truth has one: exactly one / within 2 px of truth".to_owned(),
            rollouts.iter(),
            ranges,
            |span| {
                span.ball.as_ref().map_or_else(dash, |b| {
                    format!("{} / {}", percent(b.exactly_one), percent(b.within_2px))
                })
            },
        ));
        tables.push(spans(
            "Ball: none where truth has one / some where truth has none".to_owned(),
            rollouts.iter(),
            ranges,
            |span| {
                span.ball.as_ref().map_or_else(dash, |b| {
                    format!("{} / {}", percent(b.none), percent(b.invented))
                })
            },
        ));
    }
    tables.extend(obedience(report));
    tables.extend(one_step(report));
    tables.extend(outcomes(report));
    tables.extend(free(report));
    tables
}

/// Tables for a terminal: columns aligned, numbers to the right.
pub fn text(tables: &[Table]) -> String {
    let mut out = String::new();
    for table in tables {
        let lines: Vec<&Vec<String>> = std::iter::once(&table.head).chain(&table.rows).collect();
        let widths: Vec<usize> = (0..table.head.len())
            .map(|column| {
                let cells = lines.iter().filter_map(|line| line.get(column));
                cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
            })
            .collect();
        out += &format!("{}\n", table.title);
        for line in lines {
            for (column, (cell, width)) in line.iter().zip(&widths).enumerate() {
                let pad = " ".repeat(width - cell.chars().count().min(*width));
                out += &match column {
                    0 => format!("  {cell}{pad}"),
                    _ => format!("  {pad}{cell}"),
                };
            }
            out.truncate(out.trim_end().len());
            out.push('\n');
        }
        out.push('\n');
    }
    out
}

/// Tables as Markdown.
pub fn markdown(tables: &[Table]) -> String {
    let row = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let mut out = String::new();
    for table in tables {
        let rule: Vec<String> = (0..table.head.len())
            .map(|column| if column == 0 { "---" } else { "---:" }.to_owned())
            .collect();
        out += &format!("**{}**\n\n", table.title);
        out += &row(&table.head);
        out += &row(&rule);
        table.rows.iter().for_each(|cells| out += &row(cells));
        out.push('\n');
    }
    out
}

pub(super) fn dash() -> String {
    "–".to_owned()
}

pub(super) fn number(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(dash, |value| format!("{value:.digits$}"))
}

pub(super) fn percent(value: Option<f64>) -> String {
    value.map_or_else(dash, |value| format!("{:.1} %", value * 100.0))
}

fn heads(first: &str, others: &[&str]) -> Vec<String> {
    std::iter::once(first)
        .chain(others.iter().copied())
        .map(str::to_owned)
        .collect()
}

fn range(from: usize, to: usize) -> String {
    if from == to {
        format!("h = {from}")
    } else {
        format!("h {from}–{to}")
    }
}

fn tokenizer(report: &Report) -> Table {
    let t = &report.tokenizer;
    let mut rows = vec![vec![
        "PSNR over the frame, dB".to_owned(),
        number(t.psnr, 2),
    ]];
    let mut row = |name: &str, value: String| rows.push(vec![name.to_owned(), value]);
    if let Some(ball) = &t.ball {
        row(
            "PSNR in 9 × 9 px around the ball, dB",
            number(ball.box_psnr, 2),
        );
        row("ball within 2 px of truth", percent(ball.survives));
        row("exactly one ball", percent(ball.exactly_one));
    }
    if let Some(s) = &t.smoothness {
        let shift = format!("latent moves, ball shifted by {} px", s.shift_px);
        row(&shift, number(Some(s.shifted), 3));
        row("latent moves, ball taken away", number(Some(s.removed), 3));
        row("shifted / taken away", number(Some(s.ratio), 3));
    }
    Table {
        title: format!(
            "Tokenizer alone ({} of {} held-out frames)",
            t.frames, report.frames
        ),
        head: heads("measure", &["value"]),
        rows,
    }
}

fn spans<'a>(
    title: String,
    reports: impl Iterator<Item = &'a RolloutReport>,
    wanted: impl Fn(&Span) -> bool,
    cell: impl Fn(&Span) -> String,
) -> Table {
    let mut head = heads("", &[]);
    let mut rows = Vec::new();
    for report in reports {
        let spans: Vec<&Span> = report.spans.iter().filter(|span| wanted(span)).collect();
        if rows.is_empty() {
            head.extend(spans.iter().map(|span| range(span.from, span.to)));
        }
        let cells = spans.iter().map(|span| cell(span));
        rows.push(std::iter::once(report.label.clone()).chain(cells).collect());
    }
    Table { title, head, rows }
}

fn obedience(report: &Report) -> Option<Table> {
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
            "The player obeys: mean error px under true and under shuffled actions, K = {}",
            shuffled.steps
        ),
        head: heads("horizon", &["true", "shuffled", "times worse"]),
        rows: rows.collect(),
    })
}

fn one_step(report: &Report) -> Option<Table> {
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

fn outcomes(report: &Report) -> Option<Table> {
    let outcomes = report.outcomes.as_ref()?;
    let mut rows: Vec<Vec<String>> = outcomes
        .rewards
        .iter()
        .map(|row| {
            let name = format!("mean predicted reward where it is {}", row.reward);
            vec![name, number(row.predicted, 3), row.frames.to_string()]
        })
        .collect();
    let mut row = |name: &str, value, frames: usize| {
        rows.push(vec![name.to_owned(), percent(value), frames.to_string()]);
    };
    if outcomes.ends > 0 {
        row(
            "ends of episodes that are predicted",
            outcomes.ends_found,
            outcomes.ends,
        );
    }
    row(
        "ends predicted where none is",
        outcomes.ends_invented,
        outcomes.others,
    );
    Some(Table {
        title: format!(
            "Reward and end of one predicted frame, K = {}",
            outcomes.steps
        ),
        head: heads("", &["value", "frames"]),
        rows,
    })
}

fn free(report: &Report) -> Option<Table> {
    let free = report.free.as_ref()?;
    let row = |name: String, p: &Presence, reencoding: Option<f64>| {
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
    // Relative to the first, so that a drift shows whatever a share's size.
    if let [first, .., last] = free.bins.as_slice() {
        let change = |of: fn(&FreeBin) -> Option<f64>| {
            let ratio = of(first).zip(of(last)).filter(|(first, _)| *first > 0.0);
            ratio.map_or_else(dash, |(first, last)| {
                format!("{:+.1} %", (last / first - 1.0) * 100.0)
            })
        };
        rows.push(vec![
            "last beside first".to_owned(),
            change(|bin| bin.presence.player),
            change(|bin| bin.presence.enemy),
            change(|bin| bin.presence.one_ball),
            change(|bin| bin.presence.more_balls),
            change(|bin| bin.reencoding),
        ]);
    }
    Some(Table {
        title: format!(
            "Free running under random held keys: share of frames ({} runs of {} frames, K = {})",
            free.runs, free.frames, free.steps
        ),
        head: heads(
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

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        Table {
            title: "T".to_owned(),
            head: heads("name", &["x"]),
            rows: vec![heads("é", &["1.5"]), heads("longer name", &["10"])],
        }
    }

    #[test]
    fn text_aligns_columns() {
        let expected = "T\n  name           x\n  é            1.5\n  longer name   10\n\n";
        assert_eq!(text(&[table()]), expected);
    }

    #[test]
    fn markdown_has_a_rule_under_the_head() {
        let expected =
            "**T**\n\n| name | x |\n| --- | ---: |\n| é | 1.5 |\n| longer name | 10 |\n\n";
        assert_eq!(markdown(&[table()]), expected);
    }
}
