use std::time::Duration;

use withy::Isolation;

use super::command::{Begin, Command, Data, Trouble};
use super::{parse, script};
use crate::changes::Formats;
use crate::text::Format;

const TEXT: Formats = Formats { key: Format::Text, value: Format::Text };

fn command(text: &str) -> Command {
    match parse::line(1, text, TEXT) {
        Ok(Some(line)) => line.command,
        other => panic!("{text:?} is a command, not {other:?}"),
    }
}

fn data(text: &str) -> Data {
    match command(text) {
        Command::Data(None, data) => data,
        other => panic!("{text:?} is about keys, not {other:?}"),
    }
}

fn bytes(text: &str) -> Vec<u8> {
    text.as_bytes().to_vec()
}

#[test]
fn begin_takes_branch_level_and_limits() {
    assert_eq!(command("begin"), Command::Begin(Begin::default()));
    let all = "begin topic serializable operations 3 bytes 100 time 250";
    let want = Begin {
        branch: Some("topic".into()),
        isolation: Some(Isolation::Serializable),
        operations: Some(3),
        bytes: Some(100),
        time: Some(Duration::from_millis(250)),
    };
    assert_eq!(command(all), Command::Begin(want));
    let level = Begin { isolation: Some(Isolation::ReadCommitted), ..Begin::default() };
    assert_eq!(command("begin read-committed"), Command::Begin(level));
    let quoted = Begin { branch: Some("snapshot".into()), ..Begin::default() };
    assert_eq!(command("begin \"snapshot\""), Command::Begin(quoted), "a branch by that name");
}

#[test]
fn keys_and_values_stand_as_in_scenarios() {
    assert_eq!(data("put a green and ripe "), Data::Put(bytes("a"), bytes("green and ripe")));
    assert_eq!(data("put a = 1"), Data::Put(bytes("a"), bytes("1")));
    assert_eq!(data("put a \"= 1\""), Data::Put(bytes("a"), bytes("= 1")));
    assert_eq!(data(r#"put "a b" "\x00" "#), Data::Put(bytes("a b"), vec![0]));
    assert_eq!(data("put a \"\""), Data::Put(bytes("a"), Vec::new()));
    assert_eq!(data("get a for update"), Data::Get { key: bytes("a"), for_update: true });
    assert_eq!(data("scan"), Data::Scan(Vec::new()));
    assert_eq!(data("count a/"), Data::Count(bytes("a/")));
    assert_eq!(data("expect a absent"), Data::ExpectValue(bytes("a"), None));
    assert_eq!(data("expect a=1"), Data::ExpectValue(bytes("a"), Some(bytes("1"))));
    assert_eq!(data("expect count = 3"), Data::ExpectCount(Vec::new(), 3));
    assert_eq!(data("expect count a = 3"), Data::ExpectCount(bytes("a"), 3));
    assert_eq!(data("expect \"count\" = 3"), Data::ExpectValue(bytes("count"), Some(bytes("3"))));
    let rows = vec![(bytes("a"), bytes("1")), (bytes("b"), bytes("x=y"))];
    assert_eq!(data("expect scan = a=1 b=x=y"), Data::ExpectScan(Vec::new(), rows));
    assert_eq!(data("expect scan a ="), Data::ExpectScan(bytes("a"), Vec::new()));
    let hex = Formats { key: Format::Hex, value: Format::Base64 };
    let line = parse::line(1, "put 00ff aGk=", hex).expect("it is read").expect("it is there");
    assert_eq!(line.command, Command::Data(None, Data::Put(vec![0, 255], bytes("hi"))));
}

#[test]
fn transactions_have_names_and_several_branches() {
    let line = parse::line(7, " t1: on topic put a 1", TEXT).expect("it is read");
    let line = line.expect("it is there");
    assert_eq!(
        (line.number, line.name.as_str(), line.text.as_str()),
        (7, "t1", "t1: on topic put a 1")
    );
    let put = Data::Put(bytes("a"), bytes("1"));
    assert_eq!(line.command, Command::Data(Some("topic".into()), put));
    assert_eq!(parse::line(1, "# t1: begin", TEXT), Ok(None), "a comment");
    assert_eq!(parse::line(1, "  ", TEXT), Ok(None), "an empty line");
}

#[test]
fn other_commands_are_read() {
    assert_eq!(command("commit"), Command::Commit(None));
    assert_eq!(command("commit two pears"), Command::Commit(Some("two pears".into())));
    assert_eq!(command("rollback"), Command::Rollback);
    assert_eq!(command("rollback to \"a b\""), Command::RollbackTo("a b".into()));
    assert_eq!(command("savepoint \"\""), Command::Savepoint(String::new()), "it is refused later");
    let (path, wait) = ("/a/b".to_owned(), Duration::from_millis(20));
    assert_eq!(
        command("lock /a/b subtree wait 20"),
        Command::Lock { path, is_subtree: true, wait }
    );
    let (topic, payload) = ("mail".to_owned(), bytes("to ada"));
    assert_eq!(command("enqueue mail to ada"), Command::Enqueue { topic, payload });
    let conflict = Trouble::Conflict(vec![bytes("a"), bytes("b c")]);
    assert_eq!(command("expect conflict a \"b c\""), Command::ExpectTrouble(conflict));
    let limit = Trouble::Error("limit", Some("3 operations".into()));
    assert_eq!(command("expect error limit 3 operations"), Command::ExpectTrouble(limit));
    let names = vec!["a".to_owned(), "b".to_owned()];
    assert_eq!(command("expect savepoints = a b"), Command::ExpectSavepoints(names));
    assert_eq!(command("expect savepoints ="), Command::ExpectSavepoints(Vec::new()));
    let (name, rev) = ("topic".to_owned(), Some("main~1".to_owned()));
    assert_eq!(command("branch topic main~1"), Command::Branch { name, rev });
    assert_eq!(command("help expect error"), Command::Help(Some("expect error".into())));
}

#[test]
fn a_wrong_line_says_what_is_wanted() {
    for (text, want) in [
        ("xyzzy a", "there is no command `xyzzy`"),
        ("\"put\" a 1", "expected a command; `help` at the prompt shows them all"),
        ("t1:", "expected a command; `help` at the prompt shows them all"),
        ("put", "expected a key; the form is `put KEY VALUE`"),
        ("put a", "expected a value; an empty one is `\"\"`; the form is `put KEY VALUE`"),
        (
            "put a \\q",
            "unknown escape \\q; write \\\\ for a backslash; the form is `put KEY VALUE`",
        ),
        ("get a for", "expected `for update`; the form is `get KEY [for update]`"),
        ("del a b", "expected the end of the line, not `b`; the form is `del KEY`"),
        (
            "rollback sp",
            "expected the end of the line, not `sp`; the form is `rollback`, `rollback to NAME`",
        ),
        (
            "on topic commit",
            "`commit` does not go with `on BRANCH`; the form is `on BRANCH COMMAND`",
        ),
        (
            "expect error late",
            "no kind of error is called `late`: they are busy, conflict, corrupt, deadlock, exists, \
             halted, history-gone, incompatible, invalid, io, lease-lost, limit, not-found, outcome-unknown, \
             precondition, read-only; the form is `expect error KIND [TEXT]`",
        ),
        (
            "t1: expect conflict",
            "`expect conflict` is about the command on the next line, name it there",
        ),
        ("t1: branch topic", "`branch topic` is no part of a transaction"),
        ("t1: quit", "`quit` is about all transactions"),
    ] {
        assert_eq!(parse::line(1, text, TEXT), Err(want.to_owned()), "{text:?}");
    }
    for text in [
        "begin main topic",
        "begin snapshot serializable",
        "begin operations",
        "begin bytes many",
        "expect scan = b=1 a=2",
        "expect scan = a=1 a=2",
        "expect scan b = a=1",
        "expect a",
        "expect count = few",
        "expect conflict = 1",
        "lock",
        "savepoint",
        "branch",
    ] {
        assert!(parse::line(1, text, TEXT).is_err(), "{text:?} is refused");
    }
}

fn fault(text: &str) -> String {
    let fault = script::read(text.as_bytes(), TEXT).expect_err("it is refused");
    format!("{}: {}", fault.line, fault.what)
}

#[test]
fn a_script_is_checked_before_it_is_run() {
    for (text, want) in [
        ("put a 1\n\nput\n", "3: expected a key; the form is `put KEY VALUE`"),
        ("commit", "1: no transaction is open; `begin` opens one"),
        ("begin\ncommit\nrollback", "3: no transaction is open; `begin` opens one"),
        ("t1: begin\nt2: put a 1", "2: no transaction t2 is open; `t2: begin` opens it"),
        ("t1: begin\nsavepoint a", "2: no transaction is open; `begin` opens one"),
        ("t1: begin\nt1: begin", "2: the transaction t1 is open already"),
        (
            "begin\nbegin",
            "2: a transaction is open already; another one needs a name, as in `t2: begin`",
        ),
        ("get a for update", "1: no transaction is open; `begin` opens one"),
        ("expect error exists\nbegin none\ncommit", "3: no transaction is open; `begin` opens one"),
        ("begin\nexpect conflict\ncommit\ncommit", "4: no transaction is open; `begin` opens one"),
        ("put a 1\nexpect conflict", "2: the command that is expected to fail is missing"),
        (
            "expect conflict\nexpect a = 1",
            "2: an error can be expected of commands, not of expectations",
        ),
        ("put a 1\nhelp put", "2: `help put` is for use at the prompt"),
    ] {
        assert_eq!(fault(text), want, "{text:?}");
    }
    let latin = script::read(b"put a 1\nput b \xff\n", TEXT).expect_err("it is refused");
    assert_eq!((latin.line, latin.what.as_str()), (2, "the line is not UTF-8"));
    let windows = script::read(b"# one\r\nbegin\r\nput a 1\r\ncommit\r\n", TEXT);
    assert_eq!(windows.expect("line ends of any kind").len(), 3);
}

#[test]
fn hostile_text_is_refused_and_nothing_worse() {
    let text = "t1: begin main serializable bytes 9\nt1: on b put \"\\x41\" \"a\" * 2\n\
                expect conflict k\nt1: expect scan a = a=1 a2=\"\\\"\"\nlock /a wait 1\n";
    for end in 0..text.len() {
        let _ = script::read(&text.as_bytes()[..end], TEXT);
        for with in ["\"", "=", ":", "\\", "\u{fffd}", "\n", "\0", "*", "#", " "] {
            let _ =
                script::read(format!("{}{with}{}", &text[..end], &text[end..]).as_bytes(), TEXT);
            let _ = script::read(
                format!("{}{with}{}", &text[..end], &text[end + 1..]).as_bytes(),
                TEXT,
            );
        }
    }
}
