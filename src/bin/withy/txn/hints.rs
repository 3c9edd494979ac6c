//! What to do about an error, in the words of the language.

use withy::{Error, ErrorKind};

use super::command::{Begin, Command};

/// What to do about the error of a command, where that is something else than elsewhere.
pub(super) fn of(command: &Command, e: &Error, is_script: bool) -> Option<String> {
    let hint = match (e.kind(), command) {
        // Levels are words of their own; one that is misspelt is taken for a branch.
        (ErrorKind::NotFound, Command::Begin(Begin { branch: Some(_), isolation: None, .. })) => {
            "`withy branch` lists the branches; levels are read-committed, snapshot and serializable"
        }
        // No keys: the branch itself is not what it was.
        (ErrorKind::Conflict, Command::Data(Some(_), _)) if e.keys().is_empty() => {
            "make or move the branch before `begin`"
        }
        (ErrorKind::Conflict, _) if is_script => {
            "if it has to be so, write `expect conflict` on the line before"
        }
        (ErrorKind::Conflict, _) => "nothing of it was written; begin again, and read again",
        // Locks are of this process, so nobody else can have it.
        (ErrorKind::Busy, Command::Lock { .. }) if is_script => {
            "another transaction of this script holds it: end that one first, or write \
             `expect error busy` on the line before"
        }
        (ErrorKind::Busy, Command::Lock { .. }) => {
            "another transaction that is open here holds it: end that one first"
        }
        // The store itself is ours.
        (ErrorKind::Busy, _) => e.hint().unwrap_or("someone else holds it; try again later"),
        // A limit of the transaction: only that one comes with advice.
        (ErrorKind::Limit, Command::Data(..) | Command::Enqueue { .. } | Command::Commit(_))
            if is_script && e.hint().is_some() =>
        {
            "its transaction is rolled back; raise the limit, or write `expect error limit` on the \
             line before"
        }
        _ => return None,
    };
    Some(hint.to_owned())
}
