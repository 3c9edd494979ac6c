//! The truth table of merges: every base, every pair of acts, every strategy and option, both ways; what
//! must come of it is worked out here from the rules.

mod dry;
mod moving;
mod options;
mod replays;
mod resolutions;
mod rules;
mod strategies;
