//! Every cell under every option.

use withy::{FastForward, Strategy};

use super::rules::{Case, Layout, Setup, Table};

fn whole(setup: impl Fn(Strategy) -> Setup) {
    for layout in [Layout::Siblings, Layout::Deep] {
        let mut table = Table::new();
        for strategy in Strategy::ALL {
            for case in Case::all() {
                table.check(&case, &setup(strategy), layout);
            }
        }
    }
}

#[test]
fn merge_3_strict_disputes_every_key_that_both_sides_changed() {
    whole(|strategy| Setup { strict: true, ..Setup::strategy(strategy) });
}

#[test]
fn merge_3_a_demanded_fast_forward_needs_a_target_that_has_not_moved() {
    whole(|strategy| Setup { fast_forward: FastForward::Only, ..Setup::strategy(strategy) });
}

#[test]
fn merge_4_no_fast_forward_makes_a_commit() {
    whole(|strategy| Setup { fast_forward: FastForward::Never, ..Setup::strategy(strategy) });
}

#[test]
fn merge_11_a_squash_has_one_parent_and_remembers_what_it_merged() {
    whole(|strategy| Setup { squash: true, ..Setup::strategy(strategy) });
}

#[test]
fn merge_11_a_strict_squash_disputes_what_both_sides_changed() {
    whole(|strategy| Setup { squash: true, strict: true, ..Setup::strategy(strategy) });
}
