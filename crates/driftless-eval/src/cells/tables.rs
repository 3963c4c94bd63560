//! The report as tables.

use super::{CellReport, DoseReport, GroupReport};
use crate::table::Table;

/// Shares of drugs whose EC50 is read back within this many decades.
const DECADES: f64 = 0.5;

/// The report as tables.
pub fn tables(report: &CellReport) -> Vec<Table> {
    let mut all = vec![groups(report)];
    all.extend(report.groups.iter().map(features));
    all.push(doses(&report.doses));
    all.push(field(report));
    all
}

fn heads(heads: &[&str]) -> Vec<String> {
    heads.iter().map(|head| (*head).to_owned()).collect()
}

fn number(value: f64) -> String {
    format!("{value:.3}")
}

fn optional(value: Option<f64>) -> String {
    value.map_or_else(crate::table::dash, number)
}

fn groups(report: &CellReport) -> Table {
    type Row = (&'static str, fn(&GroupReport) -> Option<f64>);
    let rows: [Row; 24] = [
        ("gap closed, main effects", |g| {
            Some(g.main_effects.gap_closed)
        }),
        ("gap closed, main effects: ceiling", |g| {
            Some(g.main_effects.ceiling)
        }),
        ("gap closed, main effects: any trained compound", |g| {
            Some(g.main_effects.mean_drug)
        }),
        ("main effects", |g| Some(g.main_effects.pairs as f64)),
        ("gap closed", |g| Some(g.gap_closed)),
        ("gap closed: ceiling", |g| Some(g.ceiling)),
        ("gap closed: any trained compound", |g| Some(g.mean_drug)),
        ("mechanism accuracy", |g| g.accuracy),
        ("mechanism accuracy: floor", |g| g.accuracy_floor),
        ("mechanism accuracy: ceiling", |g| g.accuracy_ceiling),
        ("mechanism accuracy: any trained compound", |g| {
            g.accuracy_mean_drug
        }),
        ("mechanism accuracy, highest dose", |g| {
            g.accuracy_highest_dose
        }),
        ("mechanism accuracy, highest dose: ceiling", |g| {
            g.accuracy_highest_dose_ceiling
        }),
        ("Fréchet distance", |g| g.frechet),
        ("Fréchet distance: controls", |g| g.frechet_control),
        ("Fréchet distance: other treated", |g| g.frechet_real),
        ("Fréchet distance per compound", |g| g.frechet_per_compound),
        ("Fréchet distance per compound: other treated", |g| {
            g.frechet_per_compound_real
        }),
        ("kernel distance", |g| g.kernel),
        ("kernel distance: other treated", |g| g.kernel_real),
        ("cell error", |g| g.cell_error),
        ("cell error: control", |g| g.cell_error_control),
        ("cell error: another treated", |g| g.cell_error_other),
        ("conditions", |g| Some(g.conditions as f64)),
    ];
    let head = std::iter::once("").chain(report.groups.iter().map(|g| g.held_out));
    Table {
        title: format!(
            "Doses in the upper half of the training range, {} pictures made",
            report.pictures
        ),
        head: head.map(str::to_owned).collect(),
        rows: rows
            .iter()
            .map(|(name, of)| {
                let cells = report.groups.iter().map(|group| optional(of(group)));
                std::iter::once((*name).to_owned()).chain(cells).collect()
            })
            .collect(),
    }
}

fn features(group: &GroupReport) -> Table {
    let row = |f: &super::FeatureReport| {
        let [control, made, real] = [f.control, f.made, f.real].map(|x| format!("{x:.4}"));
        let [gap, ceiling] = [f.gap_closed, f.ceiling].map(number);
        let changed = [f.changed_gap_closed, f.changed_ceiling].map(optional);
        let [changed_gap, changed_ceiling] = changed;
        vec![
            f.feature.clone(),
            control,
            made,
            real,
            gap,
            ceiling,
            f.changed_by.to_string(),
            changed_gap,
            changed_ceiling,
        ]
    };
    Table {
        title: format!(
            "Wasserstein-1 distance to real treated cells: {}",
            group.held_out
        ),
        head: heads(&[
            "feature",
            "control",
            "made",
            "other treated",
            "gap closed",
            "ceiling",
            "changed by",
            "gap closed there",
            "ceiling there",
        ]),
        rows: group.features.iter().map(row).collect(),
    }
}

/// Share of the compounds whose EC50 is within half a decade of the truth.
pub(super) fn within(
    doses: &[DoseReport],
    trained: bool,
    of: fn(&DoseReport) -> Option<f64>,
) -> Option<f64> {
    let known = doses
        .iter()
        .filter(|dose| dose.trained == trained && dose.truth.is_some());
    let count = known.clone().count();
    let near = known.filter(|dose| match (of(dose), dose.truth) {
        (Some(found), Some(truth)) => (found / truth).log10().abs() <= DECADES,
        _ => false,
    });
    (count > 0).then(|| near.count() as f64 / count as f64)
}

fn doses(doses: &[DoseReport]) -> Table {
    let mut rows: Vec<Vec<String>> = doses
        .iter()
        .map(|dose| {
            let name = if dose.trained { "" } else { " (held out)" };
            let [truth, made, real] = [dose.truth, dose.made, dose.real].map(optional);
            vec![format!("{}{name}", dose.compound), truth, made, real]
        })
        .collect();
    for (name, trained) in [
        ("within half a decade, trained", true),
        ("within half a decade, held out", false),
    ] {
        let made = optional(within(doses, trained, |dose| dose.made));
        let real = optional(within(doses, trained, |dose| dose.real));
        rows.push(vec![name.to_owned(), crate::table::dash(), made, real]);
    }
    Table {
        title: "EC50 read back".to_owned(),
        head: heads(&["compound", "true", "from made", "from real"]),
        rows,
    }
}

fn field(report: &CellReport) -> Table {
    let row = |name: &str, value: String| vec![name.to_owned(), value];
    Table {
        title: "The flow".to_owned(),
        head: heads(&["", "value"]),
        rows: vec![
            row(
                "reverse∘forward error",
                format!("{:.4}", report.reverse_error),
            ),
            row("drug-swap cosine", number(report.swap_cosine)),
            row(
                "gap closed, controls of the same plate",
                optional(report.same_plate_gap),
            ),
            row(
                "gap closed, controls of other plates",
                optional(report.other_plate_gap),
            ),
            row(
                "milliseconds for one picture",
                format!("{:.1}", report.milliseconds),
            ),
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ec50_counts_within_half_a_decade() {
        let dose = |trained, made| DoseReport {
            compound: "a".into(),
            trained,
            truth: Some(1.0),
            made,
            real: None,
        };
        let doses = [
            dose(true, Some(3.1)),
            dose(true, Some(3.3)),
            dose(true, None),
            dose(false, Some(0.5)),
        ];
        assert_eq!(within(&doses, true, |d| d.made), Some(1.0 / 3.0));
        assert_eq!(within(&doses, false, |d| d.made), Some(1.0));
        assert_eq!(within(&doses[..3], false, |d| d.made), None);
    }
}
