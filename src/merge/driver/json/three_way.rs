//! Three JSON values in, one out.

use std::collections::{BTreeMap, BTreeSet};

use super::tree::{Node, quote};

/// One place in three values; `None` where it is absent.
#[derive(Clone, Copy)]
pub(super) struct Sides<'n, 'a> {
    pub(super) base: Option<&'n Node<'a>>,
    pub(super) ours: Option<&'n Node<'a>>,
    pub(super) theirs: Option<&'n Node<'a>>,
}

/// What may be told apart by name: members by theirs, items of a list by their ids.
type Named<'n, 'a> = BTreeMap<&'n str, &'n Node<'a>>;

/// The merged value, absent if it is deleted; in words which place is in conflict.
pub(super) fn merge<'a>(path: &str, sides: Sides<'_, 'a>) -> Result<Option<Node<'a>>, String> {
    let Sides { base, ours, theirs } = sides;
    if let (None | Some(Node::Object(_)), Some(Node::Object(ours)), Some(Node::Object(theirs))) =
        (base, ours, theirs)
    {
        let none = Vec::new();
        let base = if let Some(Node::Object(base)) = base { base } else { &none };
        return objects(path, [base, ours, theirs]).map(Some);
    }
    if let (Some(Node::List(_)), Some(Node::List(_))) = (ours, theirs) {
        let lists = [base, ours, theirs].map(|side| side.map_or(Some(Vec::new()), by_id));
        if let [Some(base), Some(ours), Some(theirs)] = &lists {
            return lists_by_id(path, [base, ours, theirs]).map(Some);
        }
    }
    if ours == theirs {
        // Equal, but perhaps not in the order of members: the same one whichever side it is on.
        let (ours, theirs) = (ours.map(|n| n.write(None)), theirs.map(|n| n.write(None)));
        let chosen = if ours <= theirs { sides.ours } else { sides.theirs };
        return Ok(chosen.cloned());
    }
    if ours == base {
        return Ok(theirs.cloned());
    }
    if theirs == base {
        return Ok(ours.cloned());
    }
    let place = if path.is_empty() { "the value" } else { path };
    Err(match (base, ours, theirs) {
        (_, None, _) | (_, _, None) => {
            format!("{place}: deleted on one side, changed on the other")
        }
        (None, _, _) => format!("{place}: added on both sides, differently"),
        _ => format!("{place}: changed on both sides, differently"),
    })
}

/// By member: those of the base in its order, then the added ones.
fn objects<'a>(path: &str, sides: [&Vec<(String, Node<'a>)>; 3]) -> Result<Node<'a>, String> {
    let named = sides.map(|members| {
        members.iter().map(|(name, node)| (name.as_str(), node)).collect::<Named<'_, 'a>>()
    });
    let [base, ours, theirs] = sides.map(|members| members.iter().map(|(name, _)| name.as_str()));
    let added = |side: &mut dyn Iterator<Item = &'_ str>| -> Vec<String> {
        side.filter(|name| !named[0].contains_key(name)).map(str::to_owned).collect()
    };
    let (our_added, their_added) = (added(&mut ours.into_iter()), added(&mut theirs.into_iter()));
    let base = base.map(str::to_owned);
    let mut members = Vec::new();
    for name in base.chain(both_added(&our_added, &their_added)) {
        let path = format!("{path}/{}", name.replace('~', "~0").replace('/', "~1"));
        if let Some(node) = merge(&path, at(&named, &name))? {
            members.push((name, node));
        }
    }
    Ok(Node::Object(members))
}

fn at<'n, 'a>(named: &[Named<'n, 'a>; 3], name: &str) -> Sides<'n, 'a> {
    let [base, ours, theirs] = [0, 1, 2].map(|side| named[side].get(name).copied());
    Sides { base, ours, theirs }
}

/// What both sides put into one place, in an order that does not depend on which side is which: what
/// both put there, then one side's, then the other's.
fn both_added(ours: &[String], theirs: &[String]) -> Vec<String> {
    let all = |side: &[String]| side.iter().cloned().collect::<BTreeSet<_>>();
    let (our_set, their_set) = (all(ours), all(theirs));
    if ours == theirs || (our_set.len() > their_set.len() && our_set.is_superset(&their_set)) {
        return ours.to_vec();
    }
    if their_set.len() > our_set.len() && their_set.is_superset(&our_set) {
        return theirs.to_vec();
    }
    let split = |side: &[String], other: &BTreeSet<String>| {
        side.iter().cloned().partition::<Vec<_>, _>(|name| other.contains(name))
    };
    let ((our_shared, ours), (their_shared, theirs)) =
        (split(ours, &their_set), split(theirs, &our_set));
    let (first, last) = if ours <= theirs { (ours, theirs) } else { (theirs, ours) };
    our_shared.min(their_shared).into_iter().chain(first).chain(last).collect()
}

/// The items of a list by their ids, if all have one and no two have the same.
fn by_id<'n, 'a>(list: &'n Node<'a>) -> Option<Vec<(String, &'n Node<'a>)>> {
    let Node::List(items) = list else { return None };
    let id = |item: &Node<'_>| {
        let Node::Object(members) = item else { return None };
        match &members.iter().find(|(name, _)| name == "id")?.1 {
            Node::Text(text) => {
                let mut id = String::new();
                quote(text, &mut id);
                Some(id)
            }
            Node::Plain(text) if !matches!(*text, "true" | "false" | "null") => {
                Some((*text).to_owned())
            }
            Node::Plain(_) | Node::List(_) | Node::Object(_) => None,
        }
    };
    let mut ids = BTreeSet::new();
    let item = |item| id(item).filter(|id| ids.insert(id.clone())).map(|id| (id, item));
    items.iter().map(item).collect()
}

/// By id. What is on all sides keeps its order, or gets that of the side that changed it; what was
/// added stays behind what it was added behind.
fn lists_by_id<'a>(path: &str, sides: [&Vec<(String, &Node<'a>)>; 3]) -> Result<Node<'a>, String> {
    let named = sides.map(|items| {
        items.iter().map(|(id, item)| (id.as_str(), *item)).collect::<Named<'_, 'a>>()
    });
    let stays = |id: &str| named.iter().all(|side| side.contains_key(id));
    let [base, ours, theirs] = sides.map(|items| {
        items.iter().map(|(id, _)| id.as_str()).filter(|id| stays(id)).collect::<Vec<_>>()
    });
    let order = if ours == base || ours == theirs {
        theirs
    } else if theirs == base {
        ours
    } else {
        return Err(format!("{path}: put into another order on both sides"));
    };
    let mut merged = BTreeMap::new();
    for id in named.iter().flat_map(BTreeMap::keys).collect::<BTreeSet<_>>() {
        if let Some(node) = merge(&format!("{path}[id={id}]"), at(&named, id))? {
            merged.insert(*id, node);
        }
    }
    // By what it was added behind, on both sides; nothing stands for the start.
    let [_, ours, theirs] = sides.map(|items| {
        let mut behind: BTreeMap<Option<&str>, Vec<String>> = BTreeMap::new();
        let mut last = None;
        for (id, _) in items {
            if stays(id) {
                last = Some(id.as_str());
            } else if !named[0].contains_key(id.as_str()) {
                behind.entry(last).or_default().push(id.clone());
            }
        }
        behind
    });
    let none = Vec::new();
    let mut result = Vec::new();
    for id in [None].into_iter().chain(order.into_iter().map(Some)) {
        result.extend(id.and_then(|id| merged.remove(id)));
        let added = [&ours, &theirs].map(|side| side.get(&id).unwrap_or(&none));
        // What the sides added in different places is taken from `merged` at the first of them.
        let added = both_added(added[0], added[1]);
        result.extend(added.iter().filter_map(|id| merged.remove(id.as_str())));
    }
    debug_assert!(merged.is_empty(), "every item has its place");
    Ok(Node::List(result))
}
