//! What the marks of a stream stand for.

use std::collections::BTreeMap;

/// Marks and their meaning. Streams number them upwards, so most sit in one sorted run.
pub(super) struct Marks<T> {
    run: Vec<(u64, T)>,
    late: BTreeMap<u64, T>,
}

impl<T: Copy> Marks<T> {
    pub(super) fn new() -> Self {
        Self { run: Vec::new(), late: BTreeMap::new() }
    }

    /// Gives `mark` a meaning, in place of an older one.
    pub(super) fn set(&mut self, mark: u64, meaning: T) {
        match self.run.last() {
            Some(&(last, _)) if last >= mark => match self.find(mark) {
                Ok(at) => self.run[at].1 = meaning,
                Err(_) => drop(self.late.insert(mark, meaning)),
            },
            _ => self.run.push((mark, meaning)),
        }
    }

    pub(super) fn get(&self, mark: u64) -> Option<T> {
        self.find(mark).map_or_else(|_| self.late.get(&mark).copied(), |at| Some(self.run[at].1))
    }

    /// All of them, by number.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, T)> {
        let mut run = self.run.iter().copied().peekable();
        let mut late = self.late.iter().map(|(&mark, &meaning)| (mark, meaning)).peekable();
        std::iter::from_fn(move || match (run.peek(), late.peek()) {
            (Some(a), Some(b)) if b.0 < a.0 => late.next(),
            (Some(_), _) => run.next(),
            (None, _) => late.next(),
        })
    }

    fn find(&self, mark: u64) -> Result<usize, usize> {
        self.run.binary_search_by_key(&mark, |entry| entry.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_in_any_order_are_found_and_listed_by_number() {
        let mut marks = Marks::new();
        for (mark, meaning) in
            [(5, 'a'), (9, 'b'), (2, 'c'), (9, 'd'), (2, 'e'), (7, 'f'), (10, 'g')]
        {
            marks.set(mark, meaning);
        }
        let all: Vec<_> = marks.iter().collect();
        assert_eq!(all, [(2, 'e'), (5, 'a'), (7, 'f'), (9, 'd'), (10, 'g')], "the last one counts");
        assert_eq!((marks.get(7), marks.get(8)), (Some('f'), None));
    }
}
