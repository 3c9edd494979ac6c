//! Every cell under every strategy.

use withy::Strategy;

use super::rules::{Case, Layout, Setup, Table};

fn whole(mut table: Table, layout: Layout) {
    for strategy in Strategy::ALL {
        for case in Case::all() {
            table.check(&case, &Setup::strategy(strategy), layout);
        }
    }
}

#[test]
fn merge_1_siblings_merge_by_their_net_values() {
    whole(Table::new(), Layout::Siblings);
}

#[test]
fn merge_1_a_child_merges_into_its_parent_by_net_values() {
    whole(Table::new(), Layout::Child);
}

#[test]
fn merge_1_a_parent_merges_into_its_child_by_net_values() {
    whole(Table::new(), Layout::Parent);
}

#[test]
fn merge_1_branches_of_branches_merge_by_net_values() {
    whole(Table::new(), Layout::Deep);
}

#[test]
fn merge_1_large_values_merge_as_small_ones_do() {
    whole(Table::large(), Layout::Siblings);
    whole(Table::large(), Layout::Deep);
}

/// Of all prefixes of a key the longest decides, in whatever order they are given.
#[test]
fn merge_3_the_strategy_of_the_longest_prefix_decides() {
    let mut table = Table::new();
    let case = Case::all().filter(|case| case.net().base.is_some());
    let case = case.filter(|case| case.net().ours == Some("x") && case.net().theirs == Some("y"));
    for case in case {
        for outer in Strategy::ALL {
            for inner in Strategy::ALL {
                let sorted = vec![("", outer), ("p/", outer), ("p/q/", inner), ("p/q/x", outer)];
                let turned = sorted.iter().rev().copied().collect();
                for prefixes in [sorted, turned] {
                    for strategy in Strategy::ALL {
                        let prefixes = prefixes.clone();
                        let setup = Setup { strategy, prefixes, ..Setup::default() };
                        table.check(&case, &setup, Layout::Siblings);
                    }
                }
            }
        }
    }
}

/// Only conflicts are decided by a strategy.
#[test]
fn merge_3_what_only_one_side_changed_merges_under_the_strategy_of_any_prefix() {
    let mut table = Table::new();
    for strategy in Strategy::ALL {
        for case in Case::all() {
            let prefixes = vec![("p/", strategy), ("other/", Strategy::Theirs)];
            let setup = Setup { prefixes, ..Setup::strategy(Strategy::Ours) };
            table.check(&case, &setup, Layout::Deep);
        }
    }
}
