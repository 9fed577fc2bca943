//! What is printed.

use crate::measure::{Outcome, percentile};
use std::fmt;
use std::time::Duration;

/// Everything measured, in order.
#[derive(Default)]
pub struct Report {
    rows: Vec<Row>,
    bars: Vec<Bar>,
}

enum Row {
    Title(String),
    Figure(Figure),
    Skip { name: String, why: String },
}

struct Figure {
    name: String,
    sorted: Vec<f64>,
    unit: &'static str,
    ratios: Vec<String>,
}

/// What we want a figure to be.
pub struct Bar {
    name: &'static str,
    is: Option<f64>,
    limit: f64,
    at_most: bool,
}

impl Bar {
    /// Not more than `limit`.
    pub fn at_most(name: &'static str, is: Option<f64>, limit: f64) -> Self {
        Self { name, is, limit, at_most: true }
    }

    /// Not less than `limit`.
    pub fn at_least(name: &'static str, is: Option<f64>, limit: f64) -> Self {
        Self { name, is, limit, at_most: false }
    }
}

impl fmt::Display for Bar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.at_most { "<=" } else { ">=" };
        let verdict = match self.is {
            Some(is) if (is <= self.limit) == self.at_most || is == self.limit => "met",
            Some(_) => "MISSED",
            None => "not measured",
        };
        let is = self.is.map(|is| format!("{is:.2}")).unwrap_or_default();
        write!(f, "{:<24} {is:>10}  {sign} {:<8} {verdict}", self.name, self.limit)
    }
}

impl Report {
    /// What follows belongs to this.
    pub fn title(&mut self, title: &str) {
        eprintln!("bench: {title}");
        self.rows.push(Row::Title(title.to_owned()));
    }

    /// Times.
    pub fn outcomes(&mut self, outcomes: Vec<Outcome>) {
        for Outcome { name, times } in outcomes {
            match times {
                Ok(times) => {
                    let values = times.iter().map(|time| time.as_secs_f64() * 1e3).collect();
                    self.figure(&name, "ms", values);
                }
                Err(why) => self.skip(&name, &why),
            }
        }
    }

    /// How many of something in a unit.
    pub fn rates(&mut self, name: &str, unit: &'static str, rates: Result<Vec<f64>, String>) {
        match rates {
            Ok(values) => self.figure(name, unit, values),
            Err(why) => self.skip(name, &why),
        }
    }

    /// Memory.
    pub fn kib(&mut self, name: &str, kib: f64) {
        self.figure(name, "KiB", vec![kib]);
    }

    /// It was not measured, because.
    pub fn skip(&mut self, name: &str, why: &str) {
        self.rows.push(Row::Skip { name: name.to_owned(), why: why.to_owned() });
    }

    /// Something that is not measured had to work.
    pub fn failed(&mut self, name: &str, done: Result<Duration, String>) {
        if let Err(why) = done {
            self.rows.push(Row::Skip { name: name.to_owned(), why });
        }
    }

    fn figure(&mut self, name: &str, unit: &'static str, mut values: Vec<f64>) {
        values.sort_by(f64::total_cmp);
        let name = name.to_owned();
        self.rows.push(Row::Figure(Figure { name, sorted: values, unit, ratios: Vec::new() }));
    }

    /// A figure's median.
    pub fn median(&self, name: &str) -> Option<f64> {
        let found = self.rows.iter().find_map(|row| match row {
            Row::Figure(figure) if figure.name == name => Some(figure),
            Row::Figure(_) | Row::Title(_) | Row::Skip { .. } => None,
        })?;
        (!found.sorted.is_empty()).then(|| percentile(&found.sorted, 0.5))
    }

    /// Say at one figure what part it is of another.
    pub fn ratio(&mut self, name: &str, of: &str) {
        let (Some(is), Some(whole)) = (self.median(name), self.median(of)) else { return };
        for row in &mut self.rows {
            if let Row::Figure(figure) = row
                && figure.name == name
            {
                figure.ratios.push(format!("{:.2} x {of}", is / whole));
            }
        }
    }

    /// The bars, for the end.
    pub fn bars(&mut self, bars: impl IntoIterator<Item = Bar>) {
        self.bars.extend(bars);
    }

    /// All of it.
    pub fn print(&self, taken: Duration) {
        let [name, n, median, p10, p90] = ["name", "n", "median", "p10", "p90"];
        println!("{name:<46} {n:>4} {median:>10} {p10:>10} {p90:>10}       ratio");
        for row in &self.rows {
            match row {
                Row::Title(title) => println!("\n{title}"),
                Row::Skip { name, why } => println!("  {name:<44} skipped: {why}"),
                Row::Figure(figure) => println!("{figure}"),
            }
        }
        println!("\nbars:");
        for bar in &self.bars {
            println!("  {bar}");
        }
        println!("\n{:.0} s", taken.as_secs_f64());
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = |share| {
            let value = percentile(&self.sorted, share);
            let digits = if value.abs() < 100.0 { 2 } else { 0 };
            format!("{value:.digits$}")
        };
        let (n, name, unit) = (self.sorted.len(), &self.name, self.unit);
        let [median, p10, p90] = [0.5, 0.1, 0.9].map(number);
        let ratios = self.ratios.join(", ");
        write!(f, "  {name:<44} {n:>4} {median:>10} {p10:>10} {p90:>10} {unit:<5} {ratios}")
    }
}
