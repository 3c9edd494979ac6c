//! Idempotency keys: the same for each try of one thing, and for nothing else.

/// 32 hexadecimal digits that stand for these parts in this store.
///
/// Nothing of it is stored: it follows from what is. Times and payloads are among the parts, so a store
/// that was restored to an earlier state does not give new work the keys of what it had done and forgot.
pub(super) fn idempotency_key(store: &[u8; 16], kind: &str, parts: &[&[u8]]) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(b"withy ").update(kind.as_bytes()).update(b" 1\n").update(store);
    for part in parts {
        hasher.update(&(part.len() as u64).to_be_bytes()).update(part);
    }
    hasher.finalize().to_hex()[..32].to_owned()
}

#[cfg(test)]
mod tests {
    use super::idempotency_key;

    #[test]
    fn a_key_stands_for_its_parts_and_nothing_else() {
        let key = |store: u8, kind, parts: &[&[u8]]| idempotency_key(&[store; 16], kind, parts);
        let one = key(1, "outbox", &[b"ab", b"c"]);
        assert_eq!(one, key(1, "outbox", &[b"ab", b"c"]), "it is the same each time");
        assert_eq!(one.len(), 32, "32 digits");
        for other in [
            key(2, "outbox", &[b"ab", b"c"]),
            key(1, "saga", &[b"ab", b"c"]),
            key(1, "outbox", &[b"a", b"bc"]),
            key(1, "outbox", &[b"abc"]),
        ] {
            assert_ne!(one, other, "another store, kind or part is another key");
        }
        // Receivers keep these for as long as they like: a change is a change of the format.
        assert_eq!(one, GOLDEN, "the key is what it always was");
    }

    const GOLDEN: &str = "3dda8dc6a214c18486e17b9df0119428";
}
