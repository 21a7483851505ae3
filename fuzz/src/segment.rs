//! Any octets as one datagram: `tou_proto::wire` (RFC 9293 §3.1).

use tou_proto::wire::{Checksum, ParseError, ParsedHeader, SegmentHeader};

/// Parses `data` as a segment and, if it is one, sends it round: what is
/// emitted must parse back equal, under either checksum.
///
/// # Panics
///
/// If the parser or the emitter breaks a promise.
pub fn segment(data: &[u8]) {
    let Ok(parsed) = SegmentHeader::parse(data, Checksum::Carrier) else {
        // What is refused without a checksum is refused with one.
        assert!(SegmentHeader::parse(data, Checksum::Segment).is_err());
        return;
    };
    assert!((20..=60).contains(&parsed.data_offset));
    let payload = data.get(parsed.data_offset..).expect("the data starts inside the datagram");
    check_options(&parsed);
    check_display(&parsed.header, payload.len());
    for checksum in [Checksum::Carrier, Checksum::Segment] {
        check_round_trip(&parsed.header, payload, checksum);
    }
    check_flipped_bit(&parsed.header, payload);
    check_fixed_part(&parsed.header, data);
}

fn check_options(parsed: &ParsedHeader) {
    let options = &parsed.header.options;
    let room = parsed.data_offset - 20;
    assert!(options.sack.len() * 8 <= room, "blocks come from the wire");
    assert!(options.sack.len() <= 4);
    assert!(options.encoded_len() <= 40);
    assert!(options.encoded_len().is_multiple_of(4));
    // MSS, timestamps, window scale and user timeout together leave room for one.
    assert!((1..=4).contains(&options.max_sack_blocks()));
}

fn check_display(header: &SegmentHeader, data_len: usize) {
    let line = header.display(data_len).to_string();
    assert!(line.ends_with(&format!(", length {data_len}")));
    assert!(!line.contains('\n'));
    assert!(!format!("{header} {header:?}").is_empty());
}

/// `header` and `payload` as a datagram.
fn datagram(header: &SegmentHeader, payload: &[u8], checksum: Checksum) -> Vec<u8> {
    // Not zeros: `emit` must write every octet itself.
    let mut datagram = vec![0xA5; header.encoded_len()];
    datagram.extend_from_slice(payload);
    assert_eq!(header.emit(checksum, &mut datagram), header.encoded_len());
    assert!(datagram.ends_with(payload));
    datagram
}

fn check_round_trip(header: &SegmentHeader, payload: &[u8], checksum: Checksum) {
    let sent = datagram(header, payload, checksum);
    let again = SegmentHeader::parse(&sent, checksum).expect("what is emitted parses");
    assert!(!again.options_malformed);
    assert_eq!(again.data_offset, header.encoded_len());

    // Aligned, options take more room than packed: some blocks may not fit.
    let mut expected = header.clone();
    let room = header.options.max_sack_blocks();
    expected.options.sack = header.options.sack.iter().copied().take(room).collect();
    assert_eq!(again.header, expected);
    assert_eq!(datagram(&again.header, payload, checksum), sent);
}

/// The fixed part goes out as it came in `data`, but for the length, the
/// reserved bits and the checksum, of which the last two are zero.
fn check_fixed_part(header: &SegmentHeader, data: &[u8]) {
    let sent = datagram(header, b"", Checksum::Carrier);
    for kept in [0..12, 13..16, 18..20] {
        assert_eq!(sent[kept.clone()], data[kept]);
    }
    assert_eq!(sent[12] & 0x0F, 0);
    assert_eq!(sent[16..18], [0, 0]);
}

/// Flips one bit, which the input chooses, and expects to be told.
fn check_flipped_bit(header: &SegmentHeader, payload: &[u8]) {
    let mut damaged = datagram(header, payload, Checksum::Segment);
    let choice = header.seq.get() as usize % (damaged.len() * 8);
    damaged[choice / 8] ^= 1 << (choice % 8);
    let parsed = SegmentHeader::parse(&damaged, Checksum::Segment);
    assert_eq!(parsed, Err(ParseError::BadChecksum));
}
