//! Transfers between two stores, a coordinator in a third one, and what must hold of them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use withy::{
    Batch, CommitOptions, Coordinator, Durability, Error, ErrorKind, Participant, Read, Recovery,
    Store, StoreParticipant, Txn,
};

const START: i64 = 1_000;

/// The three stores, open in this process.
pub(super) struct Ledger {
    pub(super) log: Store,
    pub(super) bank: Store,
    pub(super) shop: Store,
}

/// A transfer: who pays at the bank, who gets it at the shop, how much.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Transfer {
    pub(super) id: String,
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) amount: i64,
}

fn account(number: usize) -> String {
    format!("account/{number:04}")
}

fn balance(read: &impl Read, number: usize) -> withy::Result<i64> {
    let value = read.get(account(number).as_bytes())?.unwrap_or_default();
    Ok(String::from_utf8_lossy(&value).parse().expect("a balance is a number"))
}

impl Transfer {
    /// Its share of the work at one side: the balance there, and the transfer itself.
    fn book(&self, tx: &mut Txn<'_>, number: usize, amount: i64) -> withy::Result<()> {
        let now = balance(tx, number)? + amount;
        tx.put(account(number), now.to_string())?;
        tx.put(
            format!("transfer/{}", self.id),
            format!("{} {} {}", self.from, self.to, self.amount),
        )
    }

    pub(super) fn at_bank<'p>(&'p self, ledger: &Ledger) -> StoreParticipant<'p> {
        let work = |tx: &mut Txn<'_>| self.book(tx, self.from, -self.amount);
        StoreParticipant::new("bank", &ledger.bank).work("main", work)
    }

    /// Refused if nothing is paid.
    pub(super) fn at_shop<'p>(&'p self, ledger: &Ledger) -> StoreParticipant<'p> {
        let work = |tx: &mut Txn<'_>| match self.amount {
            0 => Err(Error::new(ErrorKind::Precondition, "nothing is paid")),
            amount => self.book(tx, self.to, amount),
        };
        StoreParticipant::new("shop", &ledger.shop).work("main", work)
    }
}

impl Ledger {
    /// Opens the stores; `accounts` are made at both sides if they are new.
    pub(super) fn open(root: &Path, accounts: usize) -> Self {
        let open = |name: &str| {
            let options = Store::options().durability(Durability::Buffered);
            options.open(root.join(name)).unwrap_or_else(|e| panic!("{name} opens: {e:?}"))
        };
        let ledger = Self { log: open("log"), bank: open("bank"), shop: open("shop") };
        for store in [&ledger.bank, &ledger.shop] {
            if store.latest().get() == 0 {
                let mut batch = Batch::new();
                for number in 0..accounts {
                    batch.put(account(number), START.to_string());
                }
                let main = store.main().expect("main");
                main.write(batch, CommitOptions::default()).expect("the accounts are made");
            }
        }
        ledger
    }

    pub(super) fn coordinator(&self) -> Coordinator {
        Coordinator::open(&self.log)
    }

    /// Finishes what was left unfinished.
    pub(super) fn recover(&self) -> Recovery {
        let bank = StoreParticipant::new("bank", &self.bank);
        let shop = StoreParticipant::new("shop", &self.shop);
        let all: [&dyn Participant; 2] = [&bank, &shop];
        self.coordinator().recover(&all).expect("nothing is in its way")
    }

    /// A recovery that asks nobody what was decided: it ends everything that is held the same way.
    pub(super) fn end_all(&self, end: impl Fn(&Store, &str)) {
        for store in [&self.bank, &self.shop] {
            for gid in super::prepared(store) {
                end(store, &gid);
            }
            for (gid, _) in store.ended_prepared().expect("the list") {
                store.forget_prepared(&gid).expect("it has ended");
            }
        }
    }

    fn transfers(store: &Store) -> BTreeMap<String, Transfer> {
        let main = store.view("main").expect("main");
        let rows = main.prefix(b"transfer/").expect("a scan");
        let one = |row: withy::Result<(Vec<u8>, Vec<u8>)>| {
            let (key, value) = row.expect("a row");
            let id = String::from_utf8_lossy(&key["transfer/".len()..]).into_owned();
            let text = String::from_utf8_lossy(&value).into_owned();
            let numbers: Vec<i64> = text.split(' ').map(|n| n.parse().expect("a number")).collect();
            let (from, to) = (numbers[0] as usize, numbers[1] as usize);
            (id.clone(), Transfer { id, from, to, amount: numbers[2] })
        };
        rows.map(one).collect()
    }

    /// The transfers that both sides have, if all is well; else what is wrong.
    pub(super) fn check(
        &self,
        accounts: usize,
        acknowledged: &BTreeSet<String>,
    ) -> Result<BTreeSet<String>, String> {
        for (name, store) in [("bank", &self.bank), ("shop", &self.shop)] {
            let left = super::prepared(store);
            if !left.is_empty() {
                return Err(format!("{name} still holds {left:?}"));
            }
            let known = store.ended_prepared().expect("the list");
            if !known.is_empty() {
                return Err(format!("{name} still remembers {known:?}"));
            }
        }
        let (bank, shop) = (Self::transfers(&self.bank), Self::transfers(&self.shop));
        if bank != shop {
            let only = |a: &BTreeMap<String, Transfer>, b: &BTreeMap<String, Transfer>| {
                a.keys().filter(|id| !b.contains_key(*id)).cloned().collect::<Vec<_>>()
            };
            let (b, s) = (only(&bank, &shop), only(&shop, &bank));
            return Err(format!("only the bank has {b:?}, only the shop has {s:?}"));
        }
        if let Some(lost) = acknowledged.iter().find(|id| !bank.contains_key(*id)) {
            return Err(format!("{lost} was acknowledged and is not there"));
        }
        for number in 0..accounts {
            let sum = |of: fn(&Transfer) -> usize| -> i64 {
                bank.values().filter(|t| of(t) == number).map(|t| t.amount).sum()
            };
            let want = [START - sum(|t| t.from), START + sum(|t| t.to)];
            let views = [&self.bank, &self.shop].map(|s| s.view("main").expect("main"));
            let found = views.map(|view| balance(&view, number).expect("a balance"));
            if found != want {
                return Err(format!("account {number} has {found:?}, its transfers make {want:?}"));
            }
        }
        Ok(bank.into_keys().collect())
    }

    /// What is still pending in the coordinator's log.
    pub(super) fn pending(&self) -> usize {
        self.coordinator().pending().expect("the list").len()
    }
}

/// Copies the three stores.
pub(super) fn copy(from: &Path, to: &Path) {
    let _ = std::fs::remove_dir_all(to);
    for name in ["log", "bank", "shop"] {
        std::fs::create_dir_all(to.join(name)).expect("it is made");
        for entry in std::fs::read_dir(from.join(name)).expect("it is read") {
            let path = entry.expect("an entry").path();
            let file = path.file_name().expect("a name");
            std::fs::copy(&path, to.join(name).join(file)).expect("a store is flat");
        }
    }
}
