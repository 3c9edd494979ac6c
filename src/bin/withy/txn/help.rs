//! What each command is, for `help`, for errors and for completion.

/// A command of the language.
pub(super) struct Topic {
    pub(super) name: &'static str,
    /// Its forms, one on a line.
    pub(super) forms: &'static str,
    about: &'static str,
}

/// All commands, in the order in which they are explained.
pub(super) const TOPICS: [Topic; 21] = [
    Topic {
        name: "begin",
        forms: "begin [BRANCH] [LEVEL] [operations N] [bytes N] [time MS]",
        about: "Begins a transaction on a branch, the active one unless it is named. LEVEL is \
                read-committed, snapshot (the default) or serializable. The limits say how many \
                operations and bytes it may write, and how many milliseconds it may take.",
    },
    Topic {
        name: "put",
        forms: "put KEY VALUE",
        about: "Sets a key. Outside a transaction it is a commit of its own.",
    },
    Topic {
        name: "del",
        forms: "del KEY",
        about: "Deletes a key. Outside a transaction it is a commit of its own.",
    },
    Topic {
        name: "get",
        forms: "get KEY [for update]",
        about: "Shows the value of a key. With `for update` the commit fails if someone else changes \
                the key before it, whether this transaction writes it or not.",
    },
    Topic {
        name: "scan",
        forms: "scan [PREFIX]",
        about: "Shows keys with their values, those that start with PREFIX, in key order.",
    },
    Topic {
        name: "count",
        forms: "count [PREFIX]",
        about: "Shows how many keys there are, of those that start with PREFIX.",
    },
    Topic {
        name: "on",
        forms: "on BRANCH COMMAND",
        about: "Does put, del, get, scan, count, or expect of keys, on another branch. In a \
                transaction the branches are committed together, or none of them.",
    },
    Topic {
        name: "savepoint",
        forms: "savepoint NAME",
        about: "Remembers the state of the transaction under a name.",
    },
    Topic {
        name: "rollback",
        forms: "rollback\nrollback to NAME",
        about: "Ends the transaction without a trace; or takes back what came after a savepoint, and \
                removes it and all newer ones.",
    },
    Topic {
        name: "release",
        forms: "release NAME",
        about: "Removes a savepoint and all newer ones, and keeps what was written.",
    },
    Topic { name: "savepoints", forms: "savepoints", about: "Lists the savepoints, oldest first." },
    Topic {
        name: "lock",
        forms: "lock PATH [subtree] [wait MS]",
        about: "Takes a lock on a path, or on all of what is below it, until the transaction ends; \
                waits so many milliseconds if someone else has it.",
    },
    Topic {
        name: "enqueue",
        forms: "enqueue TOPIC PAYLOAD",
        about: "Adds a message to the outbox, stored with the commit.",
    },
    Topic {
        name: "commit",
        forms: "commit [MESSAGE]",
        about: "Makes what the transaction wrote one commit on each of its branches.",
    },
    Topic {
        name: "branch",
        forms: "branch NAME [REV]",
        about: "Makes a branch, from the active one unless REV says from where. It is no part of a \
                transaction.",
    },
    Topic {
        name: "expect",
        forms: "expect KEY = VALUE\nexpect KEY absent\nexpect count [PREFIX] = N\n\
                expect scan [PREFIX] = [KEY=VALUE ...]\nexpect savepoints = [NAME ...]",
        about: "Reads, and fails if something else is found. A key that is called count, scan, \
                savepoints, conflict or error is put in quotes.",
    },
    Topic {
        name: "expect conflict",
        forms: "expect conflict [KEY ...]",
        about: "The next command has to fail because someone else was first; at just these keys, if \
                some are given.",
    },
    Topic {
        name: "expect error",
        forms: "expect error KIND [TEXT]",
        about: "The next command has to fail, with TEXT in its message if there is one. KIND is busy, \
                conflict, exists, invalid, limit, not-found or precondition; or, not of a script's \
                doing, corrupt, deadlock, halted, history-gone, incompatible, io, lease-lost, \
                outcome-unknown or read-only.",
    },
    Topic {
        name: "stats",
        forms: "stats",
        about: "Shows what this run has done: transactions begun, committed and aborted, conflicts, \
                times. At the prompt only; for scripts there is --stats.",
    },
    Topic {
        name: "help",
        forms: "help [COMMAND]",
        about: "Shows all commands, or one. At the prompt only.",
    },
    Topic {
        name: "quit",
        forms: "quit",
        about: "Ends; so does Ctrl-D. What is not committed is rolled back. At the prompt only.",
    },
];

/// What is said of all commands together.
const GENERAL: &str = "\
One command a line; `#` begins a comment line. `NAME: COMMAND` is for the transaction of that name, so
that several can be open. A word or value with spaces stands in quotes, with \\n \\t \\xNN \\\" in them.
";

/// The topic of this name.
pub(super) fn topic(name: &str) -> Option<&'static Topic> {
    TOPICS.iter().find(|topic| topic.name == name)
}

/// The forms of a command, on one line.
pub(super) fn forms(name: &str) -> String {
    let forms = topic(name).map_or(name, |topic| topic.forms);
    format!("`{}`", forms.replace('\n', "`, `"))
}

/// The help for one command, or for all.
pub(super) fn text(name: Option<&str>) -> Option<String> {
    let Some(name) = name else {
        let mut text: String =
            TOPICS.iter().flat_map(|t| t.forms.lines()).map(|form| format!("  {form}\n")).collect();
        text.push_str(GENERAL);
        return Some(text);
    };
    // Whoever asks for `expect` is told of all that can be expected.
    let found: Vec<_> = TOPICS.iter().filter(|t| t.name.split(' ').next() == Some(name)).collect();
    let exact = topic(name).filter(|_| found.is_empty());
    let found = found.into_iter().chain(exact);
    let text: String = found.map(one).collect();
    (!text.is_empty()).then_some(text)
}

fn one(topic: &Topic) -> String {
    let mut text: String = topic.forms.lines().map(|form| format!("  {form}\n")).collect();
    let mut width = 0;
    for word in topic.about.split_whitespace() {
        let is_first = width == 0;
        width += word.len() + 1;
        if width > 98 {
            text.push('\n');
            width = word.len() + 1;
        } else if !is_first {
            text.push(' ');
        }
        text.push_str(word);
    }
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_is_there_for_all_commands_and_for_each() {
        let all = text(None).expect("there is general help");
        for topic in &TOPICS {
            assert!(topic.forms.lines().all(|form| all.contains(form)), "{} is told", topic.name);
            let own = text(Some(topic.name)).expect("each has a text");
            assert!(own.lines().all(|line| line.len() < 100), "{own}");
        }
        assert_eq!(text(Some("xyzzy")), None);
        assert_eq!(
            text(Some("put")).as_deref(),
            Some("  put KEY VALUE\nSets a key. Outside a transaction it is a commit of its own.\n")
        );
        let expect = text(Some("expect")).expect("there is one");
        assert!(expect.contains("expect conflict"), "all of what can be expected");
    }
}
