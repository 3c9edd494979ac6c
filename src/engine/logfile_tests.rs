use super::*;

/// A file with these records, as RocksDB writes them, and where each one ends.
fn file_of(records: &[Vec<u8>]) -> (Vec<u8>, Vec<u64>) {
    let (mut out, mut ends) = (Vec::new(), Vec::new());
    for record in records {
        let mut rest = &record[..];
        let mut is_first = true;
        loop {
            let room = BLOCK - out.len() % BLOCK;
            if room < HEADER {
                out.resize(out.len() + room, 0);
                continue;
            }
            let (front, behind) = rest.split_at(rest.len().min(room - HEADER));
            let kind = match (is_first, behind.is_empty()) {
                (true, true) => 1,
                (true, false) => 2,
                (false, false) => 3,
                (false, true) => 4,
            };
            let sum = mask(crc32c::crc32c_append(crc32c::crc32c(&[kind]), front));
            out.extend(sum.to_le_bytes());
            out.extend((front.len() as u16).to_le_bytes());
            out.push(kind);
            out.extend(front);
            (rest, is_first) = (behind, false);
            if rest.is_empty() {
                break;
            }
        }
        ends.push(out.len() as u64);
    }
    (out, ends)
}

fn records() -> Vec<Vec<u8>> {
    let lens = [12, 100, 32_000, 40, 700, 90_000, 0, 32_747, 13, 5, 300];
    lens.iter().enumerate().map(|(n, &len)| vec![n as u8 + 1; len]).collect()
}

/// Whole records that are read before the end or a fault, and that fault.
fn read(bytes: &[u8]) -> (usize, Option<Bad>, Option<u64>) {
    let dir = tempfile::tempdir().expect("a scratch directory can be made");
    let path = dir.path().join("000001.log");
    std::fs::write(&path, bytes).expect("write");
    let mut file = LogFile::open(&path).expect("open");
    let (mut body, all, mut count) = (Vec::new(), records(), 0);
    loop {
        match file.next(usize::MAX, &mut body).expect("read") {
            Step::Record { .. } => {
                assert_eq!(body, all[count], "record {count} is what was written");
                count += 1;
            }
            Step::End => return (count, None, None),
            Step::Bad(bad) => {
                let behind = file.valid_behind(bad.at, |_| true).expect("read");
                return (count, Some(bad), behind);
            }
        }
    }
}

#[test]
fn records_are_read_as_they_were_written() {
    let (bytes, ends) = file_of(&records());
    assert_eq!(read(&bytes), (ends.len(), None, None), "all of them");
    assert_eq!(read(&[]), (0, None, None), "an empty file has none");
}

#[test]
fn ops_2_a_file_cut_anywhere_ends_with_a_torn_record_or_none() {
    let (bytes, ends) = file_of(&records());
    // Where a record ends, or a piece of one.
    let pieces = (1..=bytes.len() / BLOCK).map(|n| (n * BLOCK) as u64);
    let ends_of_pieces: Vec<u64> = ends.iter().copied().chain(pieces).collect();
    let near = |len: usize| ends_of_pieces.iter().any(|&end| end.abs_diff(len as u64) < 12);
    for len in (0..bytes.len()).filter(|&len| len % 997 == 0 || near(len)) {
        let (read, bad, behind) = read(&bytes[..len]);
        let whole = ends.iter().filter(|&&end| end <= len as u64).count();
        assert_eq!(read, whole, "cut to {len}: every whole record");
        assert!(bad.is_none_or(|bad| bad.is_torn), "cut to {len}: {bad:?}");
        assert_eq!(behind, None, "cut to {len}: and nothing behind");
    }
}

#[test]
fn ops_2_a_flipped_bit_is_never_taken_for_a_torn_tail() {
    let (bytes, ends) = file_of(&records());
    let last = ends[ends.len() - 2] as usize;
    // Every bit of the last record, and a sample of the others.
    let bits = (last * 8..bytes.len() * 8).chain((0..last * 8).step_by(1_237));
    for bit in bits {
        let mut damaged = bytes.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        let (_, bad, behind) = read(&damaged);
        let in_trailer = bad.is_none();
        if in_trailer {
            assert!(bytes[bit / 8] == 0, "bit {bit}: only padding is without a checksum");
            continue;
        }
        let torn = bad.is_some_and(|bad| bad.is_torn) && behind.is_none();
        assert!(!torn, "bit {bit}: {bad:?} is no torn tail");
    }
}

#[test]
fn zeros_at_the_end_are_told_from_records() {
    let (mut bytes, ends) = file_of(&records()[..2]);
    bytes.resize(bytes.len() + 70_000, 0);
    let (count, bad, behind) = read(&bytes);
    assert_eq!((count, behind), (2, None), "what is before them is read");
    assert!(bad.is_some_and(|bad| !bad.is_torn && bad.at == ends[1]), "and they are no record");
}

/// The bit that is found in a file which is bad.
fn found_in(bytes: &[u8]) -> Option<u64> {
    let (_, bad, _) = read(bytes);
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    std::io::Write::write_all(&mut file, bytes).expect("write");
    let mut file = LogFile::open(file.path()).expect("open");
    file.flipped_bit(bad?.at).expect("read")
}

#[test]
fn ops_2_one_flipped_bit_of_a_fragment_is_found_and_two_are_not_taken_for_one() {
    let (bytes, ends) = file_of(&records());
    let small = (ends[3] * 8..ends[3] * 8 + 56).chain(ends[9] * 8..ends[10] * 8);
    let bits = small.chain((0..bytes.len() as u64 * 8).step_by(30_011));
    for bit in bits {
        let mut damaged = bytes.clone();
        damaged[(bit / 8) as usize] ^= 1 << (bit % 8);
        if read(&damaged).1.is_none() {
            // Padding.
            continue;
        }
        assert_eq!(found_in(&damaged), Some(bit), "the bit that was flipped");
        let (start, end) = (ends[9] * 8, ends[10] * 8);
        let other = start + 56 + (bit * 7_919) % (end - start - 56);
        if (start..end).contains(&bit) && other != bit {
            damaged[(other / 8) as usize] ^= 1 << (other % 8);
            assert_eq!(found_in(&damaged), None, "bits {bit} and {other}");
        }
    }
    assert_eq!(found_in(&bytes), None, "nothing is wrong");
}
