//! The picture of the page: how long each tool takes for a large file, as bars.

use std::fmt::Write as _;

use crate::generate::KINDS;
use crate::results::{Speed, SpeedRow};

/// The picture's name.
pub const NAME: &str = "scanner-speed.svg";

const WIDTH: f64 = 720.0;
const LABELS: f64 = 170.0;
const BARS: f64 = 430.0;
const ROW: f64 = 20.0;
const HEADING: f64 = 30.0;

/// The style, for light and dark pages: the picture itself has no background.
const STYLE: &str = "\
text{font:12px system-ui,sans-serif;fill:#1f2328}.kind{font-weight:600}\
.read{fill:#3b6fb6}.holdfast{fill:#c2571a}.skip{fill:none;stroke:#6e7781;stroke-dasharray:3 2}\
@media(prefers-color-scheme:dark){text{fill:#e6edf3}.read{fill:#6ea2e8}.holdfast{fill:#f0883e}.skip{stroke:#8b949e}}";

/// Draws it. A filled bar read the tensors, a dashed one did not.
pub fn speed(speed: &Speed) -> String {
    let longest = speed
        .rows
        .iter()
        .map(|row| row.seconds)
        .fold(f64::MIN_POSITIVE, f64::max);
    let mut body = String::new();
    let mut y = 0.0;
    for kind in KINDS {
        let rows: Vec<&SpeedRow> = speed.rows.iter().filter(|row| row.kind == kind).collect();
        if rows.is_empty() {
            continue;
        }
        y += HEADING;
        let _ = writeln!(
            body,
            "<text class=\"kind\" x=\"0\" y=\"{:.0}\">{}</text>",
            y - 9.0,
            kind.name()
        );
        for row in rows {
            let length = (row.seconds / longest * BARS).max(1.0);
            let class = match (row.reads_tensors(), row.tool) {
                (false, _) => "skip",
                (true, crate::tools::Tool::Holdfast) => "holdfast",
                (true, _) => "read",
            };
            let _ = writeln!(
                body,
                "<text x=\"{:.0}\" y=\"{:.0}\" text-anchor=\"end\">{}</text>\
                 <rect class=\"{class}\" x=\"{LABELS:.0}\" y=\"{:.0}\" width=\"{length:.1}\" height=\"12\"/>\
                 <text x=\"{:.1}\" y=\"{:.0}\">{:.2} s</text>",
                LABELS - 8.0,
                y + 11.0,
                row.tool.name(),
                y + 1.0,
                LABELS + length + 6.0,
                y + 11.0,
                row.seconds,
            );
            y += ROW;
        }
    }
    y += HEADING;
    let _ = writeln!(
        body,
        "<text x=\"0\" y=\"{:.0}\">Filled: read every byte. Dashed: did not read the tensors.</text>",
        y - 9.0
    );
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH:.0} {y:.0}\" width=\"{WIDTH:.0}\" role=\"img\" \
         aria-label=\"Seconds for one large file, by format and tool\"><style>{STYLE}</style>\n{body}</svg>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::results;

    #[test]
    fn each_measurement_is_a_bar_and_those_that_read_nothing_look_different() {
        let results = results();
        let picture = speed(&results.speed);
        assert_eq!(picture.matches("<rect").count(), results.speed.rows.len());
        assert_eq!(picture.matches("class=\"skip\"").count(), 1);
        assert_eq!(picture.matches("class=\"holdfast\"").count(), 1);
        assert!(picture.contains("prefers-color-scheme:dark"));
        assert!(picture.starts_with("<svg ") && picture.ends_with("</svg>\n"));
    }
}
