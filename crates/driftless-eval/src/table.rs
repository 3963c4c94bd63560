//! Tables, for a terminal or as Markdown.

/// One table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// What the table shows.
    pub title: String,
    /// Column headings.
    pub head: Vec<String>,
    /// Rows, each with as many cells as the head. The first cell names the row.
    pub rows: Vec<Vec<String>>,
}

/// Renders tables for a terminal, with aligned columns.
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

/// Renders tables as Markdown.
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

pub(crate) fn dash() -> String {
    "–".to_owned()
}

pub(crate) fn number(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(dash, |value| format!("{value:.digits$}"))
}

pub(crate) fn percent(value: Option<f64>) -> String {
    value.map_or_else(dash, |value| format!("{:.1} %", value * 100.0))
}

pub(crate) fn headings(first: &str, others: &[&str]) -> Vec<String> {
    std::iter::once(first)
        .chain(others.iter().copied())
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        Table {
            title: "T".to_owned(),
            head: headings("name", &["x"]),
            rows: vec![headings("é", &["1.5"]), headings("longer name", &["10"])],
        }
    }

    #[test]
    fn text_aligns_columns() {
        let expected = "T\n  name           x\n  é            1.5\n  longer name   10\n\n";
        assert_eq!(text(&[table()]), expected);
    }

    #[test]
    fn markdown_has_a_header_rule() {
        let expected =
            "**T**\n\n| name | x |\n| --- | ---: |\n| é | 1.5 |\n| longer name | 10 |\n\n";
        assert_eq!(markdown(&[table()]), expected);
    }
}
