//! The table as an SVG drawing: dots on logarithmic axes, one panel per figure, on light pages and on dark ones.

use std::fmt::Write;

use super::{
    program::Kind,
    table::{Figure, Row, Table, thousands},
};

/// Each text has a halo, which keeps it readable where it crosses a line of the grid.
const STYLE: &str = "
svg { font: 12px system-ui, 'Segoe UI', 'Helvetica Neue', Arial, sans-serif; }
.page { fill: #ffffff; } text { fill: #1f2328; } .faint { fill: #59636e; } .title { font-size: 14px; font-weight: 600; }
.grid { stroke: #d1d9e0; } .peer { fill: #6e7781; stroke: #6e7781; } .ours { fill: #0969da; stroke: #0969da; }
.limit { fill: #ffffff; stroke: #6e7781; } text.ours { font-weight: 600; } .span { stroke-width: 2; }
text, text.ours { stroke: #ffffff; stroke-width: 4px; paint-order: stroke; }
@media (prefers-color-scheme: dark) {
.page { fill: #0d1117; } text { fill: #f0f6fc; } .faint { fill: #9198a1; }
.grid { stroke: #30363d; } .peer { fill: #9198a1; stroke: #9198a1; } .ours { fill: #4493f8; stroke: #4493f8; }
.limit { fill: #0d1117; stroke: #9198a1; } text, text.ours { stroke: #0d1117; }
}";

const MARGIN: f64 = 16.0;
const PANEL_WIDTH: f64 = 424.0;
/// Above the rows of a panel: its title and what its axis shows.
const HEAD: f64 = 48.0;
const ROW: f64 = 22.0;
/// Below the rows: the numbers of the axis, and air.
const FOOT: f64 = 40.0;
/// Beside the axis: the programs' names, and the number of the outermost dot.
const NAMES: f64 = 112.0;
const NUMBERS: f64 = 112.0;

/// One panel: programs, best first.
struct Panel {
    title: &'static str,
    subtitle: &'static str,
    marks: Vec<Mark>,
}

/// One program in a panel.
struct Mark {
    name: &'static str,
    kind: Kind,
    value: f64,
    /// What the line covers.
    span: [f64; 2],
    label: String,
}

/// The drawing.
pub(crate) fn svg(table: &Table) -> String {
    let panels: Vec<Panel> = [
        rates(
            table,
            "Enqueue, one by one",
            "jobs/s, logarithmic, 64 under way; farther right is better",
            Figure::Single,
        ),
        rates(table, "Enqueue in bulk", "jobs/s, logarithmic; farther right is better", Figure::Bulk),
        rates(table, "Process no-op jobs", "jobs/s, logarithmic; farther right is better", Figure::Process),
        latencies(table),
    ]
    .into_iter()
    .filter(|panel| !panel.marks.is_empty())
    .collect();

    let (mut body, mut top) = (String::new(), 2.0 * MARGIN + 14.0);
    for pair in panels.chunks(2) {
        for (column, panel) in pair.iter().enumerate() {
            panel.draw(&mut body, MARGIN + column as f64 * (PANEL_WIDTH + MARGIN), top);
        }
        top += pair.iter().map(Panel::height).fold(0.0, f64::max);
    }
    let (width, height) = (3.0 * MARGIN + 2.0 * PANEL_WIDTH, top);
    let Table { machine, redis, rounds, jobs, .. } = table;
    let caption = format!(
        "Medians of {rounds} interleaved rounds of {jobs} jobs (lines: the rounds' range); {} cores, {}, Redis {redis}",
        machine.cores, machine.cpu
    );
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" \
         role=\"img\" aria-label=\"Speed of Millstream and other job systems\">\n<style>{STYLE}</style>\n\
         <rect class=\"page\" width=\"100%\" height=\"100%\"/>\n{}{body}</svg>\n",
        text(MARGIN, MARGIN + 12.0, "class=\"faint\"", &caption)
    )
}

fn rates(table: &Table, title: &'static str, subtitle: &'static str, figure: Figure) -> Panel {
    let mark = |row: &Row| {
        let value = row.median(figure)?;
        Some(Mark::new(row, value, row.spread(figure), thousands(value)))
    };
    let mut marks: Vec<Mark> = table.rows.iter().filter_map(mark).collect();
    marks.sort_by(|a, b| b.value.total_cmp(&a.value));
    Panel { title, subtitle, marks }
}

/// A dot at the median, a line to the 99th percentile.
fn latencies(table: &Table) -> Panel {
    let mark = |row: &Row| {
        let (median, tail) = (row.median(Figure::Median)?, row.median(Figure::Tail)?);
        Some(Mark::new(row, median, [median, tail], format!("{} – {}", thousands(median), thousands(tail))))
    };
    let mut marks: Vec<Mark> = table.rows.iter().filter_map(mark).collect();
    marks.sort_by(|a, b| a.value.total_cmp(&b.value));
    let subtitle = "µs, logarithmic, at 1,000 jobs/s: median to 99th percentile";
    Panel { title: "From push to handler", subtitle, marks }
}

impl Mark {
    fn new(row: &Row, value: f64, span: [f64; 2], label: String) -> Self {
        Self { name: row.program.name, kind: row.program.kind, value, span, label }
    }

    fn class(&self) -> &'static str {
        match self.kind {
            Kind::Ours => "ours",
            Kind::Limit => "limit",
            Kind::Peer => "peer",
        }
    }
}

impl Panel {
    fn height(&self) -> f64 {
        HEAD + self.marks.len() as f64 * ROW + FOOT
    }

    fn draw(&self, out: &mut String, left: f64, top: f64) {
        let axis =
            Axis::over(self.marks.iter().flat_map(|mark| mark.span), left + NAMES, PANEL_WIDTH - NAMES - NUMBERS);
        let (first, end) = (top + HEAD, top + HEAD + self.marks.len() as f64 * ROW);
        out.push_str(&text(left, top + 14.0, "class=\"title\"", self.title));
        out.push_str(&text(left, top + 32.0, "class=\"faint\"", self.subtitle));
        for (value, name) in axis.decades() {
            let x = axis.x(value);
            let _ = writeln!(out, "<line class=\"grid\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{first}\" y2=\"{end}\"/>");
            out.push_str(&text(x, end + 16.0, "class=\"faint\" text-anchor=\"middle\"", &name));
        }
        for (index, mark) in self.marks.iter().enumerate() {
            let (y, class) = (first + (index as f64 + 0.5) * ROW, mark.class());
            let [from, x, to] = [mark.span[0], mark.value, mark.span[1]].map(|value| axis.x(value));
            let _ =
                writeln!(out, "<line class=\"span {class}\" x1=\"{from:.1}\" x2=\"{to:.1}\" y1=\"{y}\" y2=\"{y}\"/>");
            let _ = writeln!(out, "<circle class=\"{class}\" cx=\"{x:.1}\" cy=\"{y}\" r=\"4.5\" stroke-width=\"2\"/>");
            let emphasis = if mark.kind == Kind::Ours { " class=\"ours\"" } else { "" };
            let names = format!("text-anchor=\"end\"{emphasis}");
            out.push_str(&text(left + NAMES - 12.0, y + 4.0, &names, mark.name));
            out.push_str(&text(to.max(x) + 10.0, y + 4.0, emphasis.trim(), &mark.label));
        }
    }
}

/// A logarithmic axis that begins and ends at a power of ten.
struct Axis {
    low: i32,
    high: i32,
    left: f64,
    width: f64,
}

impl Axis {
    fn over(values: impl Iterator<Item = f64>, left: f64, width: f64) -> Self {
        let (low, high) = values
            .map(|value| value.max(1.0).log10())
            .fold((f64::INFINITY, 0.0_f64), |(low, high), log| (low.min(log), high.max(log)));
        let low = low.floor() as i32;
        Self { low, high: (high.ceil() as i32).max(low + 1), left, width }
    }

    fn x(&self, value: f64) -> f64 {
        let part = (value.max(1.0).log10() - f64::from(self.low)) / f64::from(self.high - self.low);
        self.left + part * self.width
    }

    fn decades(&self) -> impl Iterator<Item = (f64, String)> {
        (self.low..=self.high).map(|exponent| {
            let value = 10_f64.powi(exponent);
            let name = match exponent {
                6.. => format!("{}M", 10_f64.powi(exponent - 6)),
                3.. => format!("{}k", 10_f64.powi(exponent - 3)),
                _ => value.to_string(),
            };
            (value, name)
        })
    }
}

fn text(x: f64, y: f64, attributes: &str, words: &str) -> String {
    let words = words.replace('&', "&amp;").replace('<', "&lt;");
    format!("<text x=\"{x:.1}\" y=\"{y:.1}\" {attributes}>{words}</text>\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_begins_and_ends_at_powers_of_ten_and_names_them() {
        let axis = Axis::over([3_000.0, 250_000.0].into_iter(), 100.0, 300.0);
        let names: Vec<String> = axis.decades().map(|(_, name)| name).collect();
        assert_eq!(names, ["1k", "10k", "100k", "1M"]);
        assert_eq!([1e3, 1e4, 1e6].map(|value| axis.x(value)), [100.0, 200.0, 400.0]);
    }

    #[test]
    fn an_axis_of_one_value_has_a_width() {
        let axis = Axis::over([100.0].into_iter(), 0.0, 10.0);
        assert_eq!((axis.x(100.0), axis.x(1000.0)), (0.0, 10.0));
    }

    #[test]
    fn words_cannot_break_out_of_the_drawing() {
        assert!(text(0.0, 0.0, "", "a < b & c").contains("a &lt; b &amp; c"));
    }
}
