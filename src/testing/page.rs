//! The text of a report, line by line.

use super::text::{Shown, show};

#[derive(Default)]
pub(super) struct Page(String);

impl Page {
    /// A line, two spaces in for each level.
    pub(super) fn line(&mut self, level: usize, text: &str) {
        self.0.push_str(&"  ".repeat(level));
        self.0.push_str(text);
        self.0.push('\n');
    }

    /// A value under its name.
    pub(super) fn value(&mut self, level: usize, name: &str, value: &[u8]) {
        match show(value) {
            Shown::Line(text) => self.line(level, &format!("{name} = {text}")),
            Shown::Lines(lines) => {
                self.line(level, &format!("{name} ="));
                lines.iter().for_each(|line| self.line(level + 1, line));
            }
        }
    }

    /// Text that has its line ends.
    pub(super) fn add(&mut self, text: &str) {
        self.0.push_str(text);
    }

    /// An empty line, but not at the start.
    pub(super) fn gap(&mut self) {
        if !self.0.is_empty() {
            self.0.push('\n');
        }
    }

    pub(super) fn text(self) -> String {
        self.0
    }
}
