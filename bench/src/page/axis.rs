//! Where a value is drawn, and which values are written beside an axis.

use crate::report::time;

/// Steps between marks of a linear axis: about so many.
const MARKS: f64 = 5.0;

/// One direction of a plot.
#[derive(Clone, Debug)]
pub(super) struct Axis {
    least: f64,
    most: f64,
    is_logarithmic: bool,
    /// What is written beside it.
    pub(super) marks: Vec<(f64, String)>,
}

impl Axis {
    /// From zero, in even steps.
    pub(super) fn linear(_least: f64, most: f64) -> Self {
        let most = if most.is_finite() && most > 0.0 { most } else { 1.0 };
        let rough = most / MARKS;
        let power = 10_f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0]
            .into_iter()
            .map(|factor| factor * power)
            .find(|step| *step >= rough)
            .unwrap_or(power);
        let count = (most / step).ceil();
        let digits = usize::try_from((-step.log10().floor()).max(0.0) as u32).unwrap_or(0);
        let marks = (0..=count as u32).map(|index| f64::from(index) * step);
        let marks = marks.map(|value| (value, format!("{value:.digits$}"))).collect();
        Self { least: 0.0, most: count * step, is_logarithmic: false, marks }
    }

    /// Microseconds, each mark ten times the one below, with some between if there are few.
    pub(super) fn latency(least: f64, most: f64) -> Self {
        Self::logarithmic(least, most, |value| time(value).replace(".00", "").replace(".0 ", " "))
    }

    /// Counts each second.
    pub(super) fn rate(least: f64, most: f64) -> Self {
        Self::logarithmic(least, most, |value| match value {
            value if value >= 1e6 => format!("{}M", value / 1e6),
            value if value >= 1e3 => format!("{}k", value / 1e3),
            value => format!("{value}"),
        })
    }

    /// From one to `most`, with these marks.
    pub(super) fn marked(most: f64, marks: &[(f64, &str)]) -> Self {
        let marks = marks
            .iter()
            .filter(|(value, _)| *value <= most)
            .map(|(value, text)| (*value, (*text).to_owned()));
        Self { least: 1.0, most, is_logarithmic: true, marks: marks.collect() }
    }

    fn logarithmic(least: f64, most: f64, text: impl Fn(f64) -> String) -> Self {
        let (least, most) =
            if least.is_finite() && most.is_finite() { (least.max(0.1), most.max(0.1)) } else { (1.0, 10.0) };
        let factors: &[f64] = if most / least > 300.0 { &[1.0] } else { &[1.0, 2.0, 5.0] };
        let first = least.log10().floor() as i32;
        let all: Vec<f64> = (first..first + 14)
            .flat_map(|power| factors.iter().map(move |factor| factor * 10_f64.powi(power)))
            .collect();
        let low = all.iter().copied().rfind(|value| *value <= least).unwrap_or(least);
        let high = all.iter().copied().find(|value| *value >= most && *value > low).unwrap_or(most);
        let marks =
            all.into_iter().filter(|value| (low..=high).contains(value)).map(|value| (value, text(value)));
        Self { least: low, most: high, is_logarithmic: true, marks: marks.collect() }
    }

    /// Where a value is, from 0 to 1.
    pub(super) fn place(&self, value: f64) -> f64 {
        let (low, high, value) = if self.is_logarithmic {
            (self.least.ln(), self.most.ln(), value.max(f64::MIN_POSITIVE).ln())
        } else {
            (self.least, self.most, value)
        };
        if high > low { ((value - low) / (high - low)).clamp(0.0, 1.0) } else { 0.0 }
    }
}
