//! Overlay compaction: a branch of a branch of a branch stays readable.
//!
//! Each fork adds a layer that reads fall through. Neighbouring fixed layers of similar size are merged
//! into one, as a log-structured tree merges its runs, so a chain of any depth has a number of layers
//! that grows with the logarithm of its rows. The commit graph keeps the true ancestry.

use std::sync::Arc;
use std::thread::JoinHandle;

use crate::error::Result;
use crate::graph::Place;
use crate::id::LineId;
use crate::publish::{MAX_LAYERS, Publisher};

/// A layer joins the run above it unless it is more than this many times as large.
const GROWTH: u64 = 2;

/// The background thread that compacts deep lines.
pub(crate) struct Overlays {
    publisher: Arc<Publisher>,
    thread: Option<JoinHandle<()>>,
}

impl Overlays {
    pub(crate) fn start(publisher: &Arc<Publisher>) -> Self {
        let work = Arc::clone(publisher);
        let thread = std::thread::Builder::new()
            .name("withy-overlays".into())
            .spawn(move || {
                while let Some(line) = work.next_deep() {
                    // Reads are right without it; a failed write has latched the store.
                    let _ = compact(&work, line);
                }
            })
            .ok();
        Self { publisher: Arc::clone(publisher), thread }
    }
}

impl Drop for Overlays {
    fn drop(&mut self) {
        self.publisher.stop_deep();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Merges the layers below a line until few are left.
pub(crate) fn compact(publisher: &Publisher, line: LineId) -> Result<()> {
    loop {
        let _upkeep = publisher.upkeep();
        let old = Arc::clone(&publisher.graph().line(line)?.layers);
        if old.len() <= MAX_LAYERS {
            return Ok(());
        }
        let sizes: Vec<u64> =
            old.iter().map(|layer| size(publisher, layer)).collect::<Result<_>>()?;
        let Some((from, to)) = group(&sizes) else { return Ok(()) };
        let run = &old[from..to];
        let made = match publisher.find_layer(run)? {
            Some(made) => made,
            None => match publisher.make_layer(run)? {
                Some(made) => made,
                None => return Ok(()),
            },
        };
        let merged = Place { line: LineId::new(made.line), seq: run[0].seq };
        let mut new = old[..from].to_vec();
        new.push(merged);
        new.extend_from_slice(&old[to..]);
        publisher.replace_layers(line, &old, &new)?;
    }
}

/// How many rows a layer has.
fn size(publisher: &Publisher, layer: &Place) -> Result<u64> {
    let line = publisher.graph().line(layer.line)?;
    // A read layer has no commits, and the one that it shows may be gone.
    if line.fork.is_none() && layer.line != LineId::ROOT {
        return Ok(line.layer_rows);
    }
    Ok(publisher.graph().header(layer.seq)?.rows)
}

/// The first run of two or more neighbours, newest first, in which none is much larger than those
/// above it together.
fn group(sizes: &[u64]) -> Option<(usize, usize)> {
    for from in 0..sizes.len() {
        let mut sum = sizes[from];
        let mut to = from + 1;
        while to < sizes.len() && sizes[to] <= sum.saturating_mul(GROWTH).max(64) {
            sum = sum.saturating_add(sizes[to]);
            to += 1;
        }
        if to > from + 1 {
            return Some((from, to));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::group;

    #[test]
    fn layers_of_similar_size_are_merged() {
        assert_eq!(group(&[10, 10, 10, 1_000_000]), Some((0, 3)), "small ones, not the large one");
        assert_eq!(group(&[1, 400, 500, 5000]), Some((1, 3)), "those in the middle");
        assert_eq!(group(&[100, 1000, 10_000]), None, "each much larger than those above");
    }

    #[test]
    fn what_is_left_grows_with_the_logarithm() {
        let mut sizes: Vec<u64> = vec![1_000_000];
        for _ in 0..10_000 {
            sizes.insert(0, 10);
            while sizes.len() > 4 {
                let Some((from, to)) = group(&sizes) else { break };
                let sum = sizes[from..to].iter().sum();
                sizes.splice(from..to, [sum]);
            }
            assert!(sizes.len() <= 16, "{} layers after merging", sizes.len());
        }
    }
}
