//! Lines over two axes, as an SVG of its own.

use std::fmt::Write as _;

use super::axis::Axis;
use super::escape;

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 330.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 34.0;
const BOTTOM: f64 = 44.0;

/// A plot without its lines.
pub(super) struct Plot {
    title: String,
    x_name: &'static str,
    y_name: &'static str,
    x: Axis,
    y: Axis,
    mark: Option<(f64, &'static str)>,
}

/// Points that belong together.
pub(super) struct Line {
    pub(super) points: Vec<(f64, f64)>,
    name: String,
    color: usize,
    is_marked: bool,
}

impl Line {
    pub(super) fn new(name: &str, color: usize, points: Vec<(f64, f64)>) -> Self {
        Self { points, name: name.to_owned(), color, is_marked: false }
    }

    /// With a dot at each point.
    pub(super) fn marked(mut self) -> Self {
        self.is_marked = true;
        self
    }
}

impl Plot {
    /// A plot with a title that is safe as it is.
    pub(super) fn new(title: &str, x_name: &'static str, y_name: &'static str, x: Axis, y: Axis) -> Self {
        Self { title: title.to_owned(), x_name, y_name, x, y, mark: None }
    }

    /// With an upright line at a value.
    pub(super) fn marked_at(mut self, value: Option<f64>, name: &'static str) -> Self {
        self.mark = value.map(|value| (value, name));
        self
    }

    pub(super) fn draw(&self, lines: &[Line]) -> String {
        let mut svg = String::new();
        _ = writeln!(
            svg,
            "<figure><figcaption>{}</figcaption><svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}\">",
            self.title, self.title
        );
        self.draw_axes(&mut svg);
        for line in lines {
            self.draw_line(&mut svg, line);
        }
        draw_legend(&mut svg, lines);
        svg.push_str("</svg></figure>\n");
        svg
    }

    fn at(&self, (x, y): (f64, f64)) -> (f64, f64) {
        (
            LEFT + self.x.place(x) * (WIDTH - LEFT - RIGHT),
            HEIGHT - BOTTOM - self.y.place(y) * (HEIGHT - TOP - BOTTOM),
        )
    }

    fn draw_axes(&self, svg: &mut String) {
        let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
        for (value, text) in &self.y.marks {
            let y = HEIGHT - BOTTOM - self.y.place(*value) * (HEIGHT - TOP - BOTTOM);
            _ = writeln!(
                svg,
                "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>"
            );
            _ = writeln!(svg, "<text class=\"y\" x=\"{}\" y=\"{:.1}\">{text}</text>", LEFT - 8.0, y + 4.0);
        }
        for (value, text) in &self.x.marks {
            let x = LEFT + self.x.place(*value) * (WIDTH - LEFT - RIGHT);
            _ = writeln!(
                svg,
                "<line class=\"grid\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{TOP}\" y2=\"{bottom}\"/>"
            );
            _ = writeln!(svg, "<text class=\"x\" x=\"{x:.1}\" y=\"{}\">{text}</text>", bottom + 17.0);
        }
        let middle = f64::midpoint(LEFT, right);
        _ = writeln!(
            svg,
            "<text class=\"x name\" x=\"{middle}\" y=\"{}\">{}</text>",
            HEIGHT - 8.0,
            self.x_name
        );
        _ = writeln!(svg, "<text class=\"name\" x=\"4\" y=\"{}\">{}</text>", TOP - 14.0, self.y_name);
        if let Some((value, name)) = self.mark {
            let x = LEFT + self.x.place(value) * (WIDTH - LEFT - RIGHT);
            _ = writeln!(
                svg,
                "<line class=\"mark\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{TOP}\" y2=\"{bottom}\"/>"
            );
            _ = writeln!(
                svg,
                "<text class=\"y mark\" x=\"{:.1}\" y=\"{}\">{name}</text>",
                x - 5.0,
                TOP + 12.0
            );
        }
    }

    fn draw_line(&self, svg: &mut String, line: &Line) {
        let places: Vec<(f64, f64)> = line.points.iter().map(|point| self.at(*point)).collect();
        let path: Vec<String> = places.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let color = line.color % 6;
        _ = writeln!(svg, "<polyline class=\"c{color}\" points=\"{}\"/>", path.join(" "));
        if line.is_marked || places.len() == 1 {
            for (x, y) in places {
                _ = writeln!(svg, "<circle class=\"c{color}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\"/>");
            }
        }
    }
}

/// Names in the colours of their lines, at the upper right.
fn draw_legend(svg: &mut String, lines: &[Line]) {
    let mut x = WIDTH - RIGHT;
    for line in lines.iter().rev().filter(|line| !line.points.is_empty()) {
        let (color, name) = (line.color % 6, escape(&line.name));
        _ = writeln!(svg, "<text class=\"y legend c{color}\" x=\"{x}\" y=\"{}\">{name}</text>", TOP - 14.0);
        // A letter takes about seven units.
        x -= line.name.chars().count() as f64 * 7.0 + 18.0;
    }
}
