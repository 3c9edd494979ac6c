//! Scenario files of merge conflicts, and reports of what becomes of them.
