//! `outbox` and `saga`.

use std::time::Duration;

use withy::{CommitOptions, OpenOptions, RetryPolicy, SagaDef, Store};

use super::Shell;

/// Does something to the store of a shell, as a program would.
fn program(shell: &Shell, options: OpenOptions, work: impl FnOnce(&Store)) {
    let store = options.open(shell.path().join(".withy")).expect("the store opens");
    work(&store);
    store.close().expect("it closes");
}

#[test]
fn outbox_1_messages_are_listed_put_back_and_discarded() {
    let shell = Shell::new();
    let policy = RetryPolicy::default().attempts(1);
    let options = Store::options().author("ada").outbox_retries(policy);
    program(&shell, options.action("mail", |_| Err("no such address".into())), |store| {
        store
            .run("main", CommitOptions::default(), |tx| {
                tx.put("order/7", "paid")?;
                tx.enqueue("mail", "order 7 is paid")?;
                tx.enqueue("mail", "and packed")?;
                tx.enqueue("bytes", vec![0xFF, 0x00])
            })
            .expect("it is committed");
        store.deliver_outbox().expect("both fail");
        store.outbox().retry("1.1".parse().expect("an id")).expect("one is put back");
        store
            .run("main", CommitOptions::default(), |tx| tx.enqueue("slow", "later"))
            .expect("it is committed");
    });
    shell.session(
        r#"
$ withy outbox
1.2 bytes ready  \xff\x00
1.1 mail ready  and packed
2.0 slow ready  later
$ withy outbox list --topic bytes --value-format hex
1.2 bytes ready  ff00
$ withy outbox dead
1.0 mail dead since TIME after attempt 1  order 7 is paid
$ withy outbox dead --topic bytes
$ withy outbox show 1.0
message   1.0
topic     mail
state     dead since TIME after attempt 1
commit    seq:1
enqueued  TIME
key       ID
payload   order 7 is paid
error     no such address
$ withy outbox --json
{"id":"1.2","topic":"bytes","payload_base64":"/wA=","enqueued":"TIME","idempotency_key":"ID","state":"ready","attempts":0}
{"id":"1.1","topic":"mail","payload":"and packed","enqueued":"TIME","idempotency_key":"ID","state":"ready","attempts":0,"error":"no such address"}
{"id":"2.0","topic":"slow","payload":"later","enqueued":"TIME","idempotency_key":"ID","state":"ready","attempts":0}
$ withy outbox show 1.0 --json
{"id":"1.0","topic":"mail","payload":"order 7 is paid","enqueued":"TIME","idempotency_key":"ID","state":"dead","attempts":1,"since":"TIME","error":"no such address"}
$ withy outbox retry 1.0
message 1.0 is due; the program with an action for topic mail delivers it
$ withy outbox list --topic mail
1.0 mail ready  order 7 is paid
1.1 mail ready  and packed
$ withy outbox retry 1.0 --json
{"id":"1.0","topic":"mail","payload":"order 7 is paid","enqueued":"TIME","idempotency_key":"ID","state":"ready","attempts":0,"error":"no such address"}
$ withy outbox discard 1.1
discarded message 1.1 of topic mail
$ withy outbox discard 1.2 --json
{"discarded":"1.2","topic":"bytes","payload_base64":"/wA="}
$ withy outbox discard 1.2
! error: discard message 1.2: no message 1.2 in the outbox
! hint: it may have been delivered; `withy outbox` lists those that wait
[2]
$ withy outbox show pear
! error: read id pear: not the id of a message, such as 12.0
! hint: `withy outbox` lists the messages with their ids
[2]
$ withy -q outbox retry 2.0
$ withy outbox
1.0 mail ready  order 7 is paid
2.0 slow ready  later
"#,
    );
    program(&shell, Store::options(), |store| {
        let claim = store.outbox().claim(Some("slow"), "w 1", Duration::from_secs(3600));
        assert!(claim.expect("a claim").is_some(), "it is due");
        shell.session(
            r#"
$ withy outbox list --topic slow
2.0 slow claimed by w 1 until TIME  later
$ withy outbox show 2.0 --json
{"id":"2.0","topic":"slow","payload":"later","enqueued":"TIME","idempotency_key":"ID","state":"claimed","attempts":1,"worker":"w 1","until":"TIME"}
"#,
        );
    });
}

#[test]
fn saga_1_sagas_are_listed_shown_and_retried() {
    let shell = Shell::new();
    let trip = SagaDef::new("trip")
        .step("hotel", |step| Ok(step.txn().put("hotel", "booked")?))
        .undone_by("cancel")
        .step("flight", |_| Err("sold out".into()))
        .undone_by("call")
        .outside()
        .compensation("cancel", |_| Err("nobody answers".into()))
        .compensation("call", |step| Ok(step.txn().put("called", "yes")?));
    let hello = SagaDef::new("hello").step("say", |step| Ok(step.txn().put("hello", "1")?));
    let walk = SagaDef::new("walk")
        .step("start", |step| Ok(step.txn().put("walk", "on")?))
        .decides()
        .step("end", |_| Err("still far".into()));
    let options = Store::options().author("ada").saga(trip).saga(hello).saga(walk);
    program(&shell, options.saga_retries(RetryPolicy::default().attempts(1)), |store| {
        store.start_saga("trip", "order/7", "rome").expect("it is started");
        store.start_saga("hello", "1", "").expect("it is started");
        store.start_saga("walk", "w 2", vec![0xFF]).expect("it is started");
    });
    shell.session(
        r#"
$ withy saga
w 2 walk running, due TIME: end: still far
1 hello finished, committed
order/7 trip finished, compensated with failures: flight: sold out
$ withy saga list --unfinished
w 2 walk running, due TIME: end: still far
$ withy saga show 'w 2' | sed -n '4,5p'
phase     running, will not be taken back
done      start
$ withy saga show order/7
saga      order/7
name      trip
branch    main
phase     finished
outcome   compensated with failures
done      hotel
step      flight, attempt 1
error     flight: sold out
started   TIME
changed   TIME
input     rome
compensations, newest first:
  call of flight, in doubt: done, attempt 1
  cancel of hotel: given up, attempt 1: nobody answers
$ withy saga show 1 --json
{"id":"1","name":"hello","branch":"main","input":"","phase":"finished","outcome":"committed","done":["say"],"step":null,"attempts":0,"started":"TIME","changed":"TIME","compensations":[]}
$ withy saga list --unfinished --json
{"id":"w 2","name":"walk","branch":"main","input_base64":"/w==","phase":"running","outcome":"committed","done":["start"],"step":"end","attempts":1,"error":"end: still far","due":"TIME","started":"TIME","changed":"TIME","compensations":[]}
$ withy saga forget 'w 2'
! error: forget saga w 2: saga w 2 is not finished
! hint: `withy saga show` says what it waits for
[3]
$ withy saga retry order/7
saga order/7 is due; the program that registers trip drives it on
$ withy saga show order/7
saga      order/7
name      trip
branch    main
phase     compensating
done      hotel
step      flight, attempt 1
error     flight: sold out
started   TIME
changed   TIME
input     rome
compensations, newest first:
  call of flight, in doubt: done, attempt 1
  cancel of hotel: pending: nobody answers
$ withy saga retry 1
! error: retry saga 1: saga 1 is finished, nothing of it has failed
! hint: `withy saga show` says what became of it
[3]
$ withy saga show nobody
! error: show saga nobody: no saga nobody
! hint: `withy saga` lists the sagas
[2]
$ withy saga forget 1 --json
{"forgotten":"1","name":"hello"}
$ withy saga forget 1
! error: forget saga 1: no saga 1
! hint: `withy saga` lists the sagas
[2]
$ withy saga
order/7 trip compensating: flight: sold out
w 2 walk running, due TIME: end: still far
"#,
    );
}
