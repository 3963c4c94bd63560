//! The report of the memory tests as tables.

use super::MemoryReport;
use super::dreamer::MemoryMode;
use super::score::{HitRate, ModeReport, ReturnReport};
use crate::pose::PoseStats;
use crate::table::{Table, dash, headings, number, percent};

/// The tables of a report, without those that would be empty.
pub fn tables(report: &MemoryReport) -> Vec<Table> {
    let mut tables: Vec<Table> = report.modes.iter().filter_map(returns).collect();
    tables.extend(report.modes.first().and_then(true_frames));
    tables.extend(histories(report));
    tables.extend(frame_times(report));
    tables
}

/// T1 to T4 in one mode.
fn returns(mode: &ModeReport) -> Option<Table> {
    let first = mode.returns.first()?;
    let row = |test: &ReturnReport| {
        vec![
            test.test.name(),
            number(Some(test.gap), 0),
            number(test.truth, 1),
            number(test.floor, 1),
            number(test.own, 1),
            number(test.own_floor, 1),
            rate(test.walls),
            rate(test.objects),
            pose(test.pose),
        ]
    };
    Some(Table {
        title: format!(
            "Back at a view, {}: PSNR in dB ({} sequences)",
            mode.mode.name(),
            first.sequences
        ),
        head: headings(
            "test",
            &[
                "gap",
                "to the truth",
                "another maze",
                "to its own frame",
                "another maze",
                "wall colour",
                "object",
                "pose",
            ],
        ),
        rows: mode.returns.iter().map(row).collect(),
    })
}

/// What the probes read from true frames of T1 to T4.
fn true_frames(mode: &ModeReport) -> Option<Table> {
    let row = |test: &ReturnReport| {
        vec![
            test.test.name(),
            rate(test.true_walls),
            rate(test.true_objects),
            pose(test.true_pose),
        ]
    };
    (!mode.returns.is_empty()).then(|| Table {
        title: "What the probes read from the true frames".to_owned(),
        head: headings("test", &["wall colour", "object", "pose"]),
        rows: mode.returns.iter().map(row).collect(),
    })
}

/// T5, one column for each mode.
fn histories(report: &MemoryReport) -> Option<Table> {
    let first = report.modes.first()?;
    let row = |(i, test): (usize, &super::score::HistoryReport)| {
        let of_mode =
            |mode: &ModeReport| mode.histories.get(i).map_or_else(dash, |t| rate(t.colour));
        let mut row = vec![test.test.name()];
        row.extend(report.modes.iter().map(of_mode));
        row.extend([rate(test.true_colour), percent(Some(test.chance))]);
        row
    };
    let mut columns: Vec<&str> = report.modes.iter().map(|mode| mode.mode.name()).collect();
    columns.extend(["true frames", "chance"]);
    (!first.histories.is_empty()).then(|| Table {
        title: "The colour of a wall that only the earlier history tells".to_owned(),
        head: headings("test", &columns),
        rows: first.histories.iter().enumerate().map(row).collect(),
    })
}

fn frame_times(report: &MemoryReport) -> Option<Table> {
    let row = |time: &super::frame_times::FrameTime| {
        let number = number(Some(time.ms), 2);
        vec![
            format!("{}, frame {}", time.mode.name(), time.frame),
            number,
        ]
    };
    (!report.frame_times.is_empty()).then(|| Table {
        title: "Time of a frame".to_owned(),
        head: headings("", &["ms"]),
        rows: report.frame_times.iter().map(row).collect(),
    })
}

/// A line about the modes that a world does not have.
pub fn absent(report: &MemoryReport) -> Option<String> {
    let names: Vec<&str> = report
        .absent
        .iter()
        .map(|mode| MemoryMode::name(*mode))
        .collect();
    (!names.is_empty()).then(|| {
        format!(
            "This world has no memory. Not measured: {}.",
            names.join(", ")
        )
    })
}

fn rate(rate: HitRate) -> String {
    match rate.share {
        Some(share) => format!("{} of {}", percent(Some(share)), rate.frames),
        None => dash(),
    }
}

fn pose(pose: Option<PoseStats>) -> String {
    pose.map_or_else(dash, |pose| {
        format!("{} / {}°", number(pose.distance, 2), number(pose.angle, 1))
    })
}
