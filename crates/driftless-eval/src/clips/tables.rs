//! The report of prompt following as tables.

use super::following::{FollowingReport, FollowingScore, PromptGroup};
use crate::table::{Table, headings, percent};

/// The tables of a report: by group and kind, and by single statement.
pub fn tables(report: &FollowingReport) -> Vec<Table> {
    let table = |title: String, scores: &[FollowingScore]| Table {
        title,
        head: headings("statements", &["number", "hold", "of another prompt"]),
        rows: scores.iter().map(row).collect(),
    };
    vec![
        table(
            format!(
                "What of their prompts clips show ({} clips, {} of them of unseen combinations)",
                report.clips, report.unseen
            ),
            &report.scores,
        ),
        table("The same by statement".to_owned(), &report.statements),
    ]
}

fn row(score: &FollowingScore) -> Vec<String> {
    let group = match &score.group {
        PromptGroup::All => String::new(),
        PromptGroup::Unseen => " (unseen)".to_owned(),
        PromptGroup::Language(language) => format!(" ({language})"),
    };
    vec![
        format!("{}{group}", score.kind),
        score.statements.to_string(),
        percent(Some(score.share)),
        percent(score.swapped),
    ]
}
