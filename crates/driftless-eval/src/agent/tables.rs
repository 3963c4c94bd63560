//! The report as tables.

use super::{AgentReport, Interval, PolicyReport};
use crate::table::{Table, dash};

/// The tables of a report.
pub fn tables(report: &AgentReport) -> Vec<Table> {
    let head = [
        "policy",
        "return",
        "length",
        "ended",
        "seen",
        "dreamt",
        "beside it",
    ];
    let policies = Table {
        title: format!(
            "{}, {} episodes of at most {} frames: means with 95 % intervals. Seen: the sum of the rewards \
             that the agent reads from the pictures. Dreamt: the same over {} dreamt frames, beside the true \
             rewards of as many.",
            report.game, report.episodes, report.frames, report.dreamt_frames
        ),
        head: head.map(str::to_owned).to_vec(),
        rows: report.policies.iter().map(row).collect(),
    };
    if report.policies.iter().all(|policy| policy.agent.is_none()) {
        return vec![policies];
    }
    let gain = Table {
        title: "What training in the dream brought, on the same episodes".to_owned(),
        head: vec!["".to_owned(), "return".to_owned()],
        rows: vec![vec!["trained − cloned".to_owned(), interval(&report.gain)]],
    };
    vec![policies, gain]
}

fn row(report: &PolicyReport) -> Vec<String> {
    let name = match report.agent {
        Some(agent) => format!("{}, agent {}", report.policy, agent + 1),
        None => report.policy.to_owned(),
    };
    let optional = |value: &Option<Interval>| value.as_ref().map_or_else(dash, interval);
    vec![
        name,
        interval(&report.returns),
        format!("{:.0}", report.length.mean),
        format!("{:.0} %", 100.0 * report.ended),
        optional(&report.seen),
        optional(&report.dreamt),
        optional(&report.beside_dreams),
    ]
}

fn interval(value: &Interval) -> String {
    format!("{:.2} ± {:.2}", value.mean, value.margin)
}
