//! The commit graph as text, one commit at a time, newest first.
//!
//! Each column stands for a commit that is still to come. A commit takes its column, its first parent
//! inherits it, further parents open columns to the right; columns that wait for the same commit join.

/// The lines beside one commit.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Rows {
    /// Beside the first line of text; holds the `*`. Absent for a commit that is not shown.
    pub(crate) node: Option<String>,
    /// The edges that follow, each on a line of its own.
    pub(crate) edges: Vec<String>,
    /// Beside any further text.
    pub(crate) rest: String,
}

impl Rows {
    /// The rows in order, each padded to the same width; never ends for callers that have more text.
    pub(crate) fn prefixes(&self) -> impl Iterator<Item = String> + '_ {
        let width = self.width();
        let rows = self.node.iter().chain(&self.edges);
        rows.chain(std::iter::repeat(&self.rest)).map(move |row| format!("{row:width$} "))
    }

    /// How many rows must be shown, even without text.
    pub(crate) fn len(&self) -> usize {
        usize::from(self.node.is_some()) + self.edges.len()
    }

    fn width(&self) -> usize {
        let rows = self.node.iter().chain(&self.edges);
        rows.chain([&self.rest]).map(String::len).max().unwrap_or_default()
    }
}

/// Draws the graph; `T` names a commit.
#[derive(Debug)]
pub(crate) struct Graph<T> {
    columns: Vec<T>,
}

impl<T: PartialEq + Copy> Graph<T> {
    pub(crate) fn new() -> Self {
        Self { columns: Vec::new() }
    }

    /// The rows of the next commit. Children come before their parents.
    pub(crate) fn commit(&mut self, id: T, parents: &[T]) -> Rows {
        let at = self.column_of(id);
        let node = self.row(&[(2 * at, '*')]);
        let edges = self.advance(at, parents);
        Rows { node: Some(node), edges, rest: self.row(&[]) }
    }

    /// The rows of a commit that is passed over: lines run through it to its parents.
    pub(crate) fn skip(&mut self, id: T, parents: &[T]) -> Rows {
        let edges = match self.columns.iter().position(|c| *c == id) {
            Some(at) => self.advance(at, parents),
            None => Vec::new(),
        };
        Rows { node: None, edges, rest: self.row(&[]) }
    }

    fn column_of(&mut self, id: T) -> usize {
        self.columns.iter().position(|c| *c == id).unwrap_or_else(|| {
            self.columns.push(id);
            self.columns.len() - 1
        })
    }

    /// Gives the column to the parents; the edges between old and new columns.
    fn advance(&mut self, at: usize, parents: &[T]) -> Vec<String> {
        let mut edges = Vec::new();
        let Some((first, others)) = parents.split_first() else {
            self.close(at, &mut edges);
            return edges;
        };
        // Right to left, so that the second parent ends up next to the first.
        for parent in others.iter().rev().filter(|p| *p != first) {
            match self.columns.iter().position(|c| c == parent) {
                Some(there) => self.link(at, there, &mut edges),
                None => self.open(at, *parent, &mut edges),
            }
        }
        match self.columns.iter().position(|c| c == first) {
            None => self.columns[at] = *first,
            Some(there) => {
                let (left, right) = (there.min(at), there.max(at));
                self.join(left, right, &mut edges);
                self.columns[left] = *first;
            }
        }
        edges
    }

    /// A new column right of `at`; what stood there moves right.
    fn open(&mut self, at: usize, parent: T, edges: &mut Vec<String>) {
        let mut marks = vec![(2 * at, '|')];
        marks.extend((at..self.columns.len()).map(|c| (2 * c + 1, '\\')));
        edges.push(draw(at, &marks));
        self.columns.insert(at + 1, parent);
    }

    /// An edge from `at` to a column that is there already.
    fn link(&self, at: usize, there: usize, edges: &mut Vec<String>) {
        let (near, far, stroke) = match there < at {
            true => (2 * at - 1, 2 * there + 1, '/'),
            false => (2 * at + 1, 2 * there - 1, '\\'),
        };
        let between = near.min(far) + 2..near.max(far);
        let mut marks = vec![(near, stroke)];
        if near != far {
            // The far end of the flat part is drawn on the next row.
            marks.extend(between.step_by(2).map(|c| (c, '_')));
            edges.push(self.row(&marks));
            marks = vec![(far, stroke)];
        }
        edges.push(self.row(&marks));
    }

    /// The column `right` runs into `left`, and those right of it move up.
    fn join(&mut self, left: usize, right: usize, edges: &mut Vec<String>) {
        let shifts = (right..self.columns.len()).map(|c| (2 * c - 1, '/'));
        let mut marks: Vec<_> = shifts.collect();
        if right - left > 1 {
            marks.extend((2 * left + 3..2 * right - 1).step_by(2).map(|c| (c, '_')));
            edges.push(draw(right, &marks));
            marks = vec![(2 * left + 1, '/')];
            self.columns.remove(right);
            edges.push(self.row(&marks));
        } else {
            edges.push(draw(right, &marks));
            self.columns.remove(right);
        }
    }

    /// The column ends, and those right of it move up.
    fn close(&mut self, at: usize, edges: &mut Vec<String>) {
        if at + 1 < self.columns.len() {
            let marks: Vec<_> = (at + 1..self.columns.len()).map(|c| (2 * c - 1, '/')).collect();
            edges.push(draw(at, &marks));
        }
        self.columns.remove(at);
    }

    /// A row in which every column goes straight on, and some marks.
    fn row(&self, marks: &[(usize, char)]) -> String {
        draw(self.columns.len(), marks)
    }
}

/// The first `straight` columns go straight on; marks lie over them.
fn draw(straight: usize, marks: &[(usize, char)]) -> String {
    let bars = (0..straight).map(|c| (2 * c, '|'));
    let width = bars.clone().chain(marks.iter().copied()).map(|(at, _)| at + 1).max().unwrap_or(0);
    let mut row = vec![' '; width];
    for (at, mark) in bars.chain(marks.iter().copied()) {
        row[at] = mark;
    }
    row.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Draws a graph of commits, newest first.
    fn drawn(commits: &[(char, &str)]) -> String {
        let mut graph = Graph::new();
        let mut out = String::new();
        for (id, parents) in commits {
            let parents: Vec<char> = parents.chars().collect();
            let rows = if id.is_uppercase() {
                graph.skip(*id, &parents)
            } else {
                graph.commit(*id, &parents)
            };
            for (row, prefix) in rows.prefixes().take(rows.len()).enumerate() {
                let text =
                    if row == 0 && rows.node.is_some() { id.to_string() } else { String::new() };
                out.push_str(format!("{prefix}{text}").trim_end());
                out.push('\n');
            }
        }
        out
    }

    #[track_caller]
    fn check(commits: &[(char, &str)], want: &str) {
        let got = drawn(commits);
        assert_eq!(got, want, "drawn:\n{got}");
    }

    #[test]
    fn a_line_of_commits_is_a_column() {
        check(&[('c', "b"), ('b', "a"), ('a', "")], "* c\n* b\n* a\n");
    }

    #[test]
    fn a_merge_opens_a_column_and_a_fork_closes_it() {
        check(
            &[('e', "cd"), ('d', "b"), ('c', "b"), ('b', "a"), ('a', "")],
            "*   e\n\
             |\\\n\
             | * d\n\
             * | c\n\
             |/\n\
             * b\n\
             * a\n",
        );
    }

    #[test]
    fn heads_beside_each_other_join_at_their_fork() {
        check(
            &[('d', "a"), ('c', "a"), ('b', "a"), ('a', "")],
            "* d\n\
             | * c\n\
             |/\n\
             | * b\n\
             |/\n\
             * a\n",
        );
    }

    #[test]
    fn an_edge_crosses_the_columns_between() {
        check(
            &[('f', "a"), ('e', "b"), ('d', "c"), ('g', "a"), ('c', "a"), ('b', "a"), ('a', "")],
            "* f\n\
             | * e\n\
             | | * d\n\
             | | | * g\n\
             | |_|/\n\
             |/| |\n\
             | | * c\n\
             | |/\n\
             |/|\n\
             | * b\n\
             |/\n\
             * a\n",
        );
    }

    #[test]
    fn a_merge_with_a_neighbour_links_to_its_column() {
        check(
            &[('e', "c"), ('d', "b"), ('c', "ab"), ('b', "a"), ('a', "")],
            "* e\n\
             | * d\n\
             * | c\n\
             |\\|\n\
             | * b\n\
             |/\n\
             * a\n",
        );
    }

    #[test]
    fn a_merge_links_far_to_the_right_and_to_the_left() {
        check(
            &[('h', "g"), ('f', "b"), ('e', "c"), ('d', "z"), ('g', "az"), ('z', "b"), ('c', "ab")],
            "* h\n\
             | * f\n\
             | | * e\n\
             | | | * d\n\
             * | | | g\n\
             |\\|_| |\n\
             | | |\\|\n\
             | | | * z\n\
             | | |/\n\
             | |/|\n\
             | | * c\n\
             | |/|\n\
             | |/\n\
             |/|\n",
        );
    }

    #[test]
    fn an_octopus_has_a_column_for_each_parent() {
        check(
            &[('e', "bcd"), ('d', "a"), ('c', "a"), ('b', "a"), ('a', "")],
            "*     e\n\
             |\\\n\
             |\\ \\\n\
             | | * d\n\
             | * | c\n\
             | |/\n\
             * | b\n\
             |/\n\
             * a\n",
        );
    }

    #[test]
    fn columns_are_the_parents_that_are_still_to_come() {
        // Commits 0 to 199, each with up to three parents among the thirty before it.
        let parents_of = |id: u32| -> Vec<u32> {
            let mut mixed = id.wrapping_mul(2_654_435_761);
            let mut parents = Vec::new();
            for _ in 0..mixed >> 30 {
                mixed = mixed.wrapping_mul(2_246_822_519).wrapping_add(3_266_489_917);
                let back = 1 + (mixed >> 8) % 30;
                if let Some(parent) = id.checked_sub(back).filter(|p| !parents.contains(p)) {
                    parents.push(parent);
                }
            }
            parents
        };
        let (mut graph, mut open) = (Graph::new(), std::collections::BTreeSet::new());
        for id in (0..200).rev() {
            let (known, parents) = (open.remove(&id), parents_of(id));
            let rows = if id % 7 == 0 && known {
                graph.skip(id, &parents)
            } else {
                graph.commit(id, &parents)
            };
            open.extend(parents);
            let mut columns = graph.columns.clone();
            columns.sort_unstable();
            assert_eq!(columns, open.iter().copied().collect::<Vec<_>>(), "after commit {id}");
            let nodes = rows.node.iter().flat_map(|row| row.matches('*')).count();
            assert_eq!(nodes, usize::from(rows.node.is_some()), "a commit is drawn once");
        }
    }

    #[test]
    fn a_root_ends_its_column() {
        check(
            &[('d', "b"), ('c', ""), ('b', "a"), ('a', "")],
            "* d\n\
             | * c\n\
             * b\n\
             * a\n",
        );
        check(
            &[('d', "c"), ('b', "a"), ('c', ""), ('a', "")],
            "* d\n\
             | * b\n\
             * | c\n \
             /\n\
             * a\n",
        );
    }

    #[test]
    fn commits_that_are_not_shown_leave_their_lines() {
        check(
            &[('e', "CD"), ('D', "b"), ('C', "b"), ('b', "A"), ('A', "")],
            "*   e\n\
             |\\\n\
             |/\n\
             * b\n",
        );
    }
}
