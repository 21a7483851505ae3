//! Frames come back as they were sent; anything else is an error, never a panic.

use quickcheck::{Arbitrary, Gen, TestResult, quickcheck};

use super::*;

/// A frame of a sender that owns what it says.
#[derive(Clone, Debug)]
enum Said {
    Offer(bool, u32, u64, String),
    Start(u64),
    Data(Vec<u8>),
    End(Hash),
    Abandon(String),
    Done,
}

impl Said {
    fn frame(&self) -> FromSender<'_> {
        match self {
            Self::Offer(can_resume, mode, size, name) => {
                FromSender::Offer { can_resume: *can_resume, mode: *mode, size: *size, name }
            }
            Self::Start(position) => FromSender::Start { position: *position },
            Self::Data(data) => FromSender::Data(data),
            Self::End(sha256) => FromSender::End { sha256: *sha256 },
            Self::Abandon(reason) => FromSender::Abandon { reason: reason.clone() },
            Self::Done => FromSender::Done,
        }
    }
}

fn text(g: &mut Gen, max: usize) -> String {
    shown(&String::arbitrary(g)).chars().take(max / 4).collect()
}

fn hash(g: &mut Gen) -> Hash {
    core::array::from_fn(|_| u8::arbitrary(g))
}

impl Arbitrary for Said {
    fn arbitrary(g: &mut Gen) -> Self {
        match u8::arbitrary(g) % 6 {
            0 => Self::Offer(
                bool::arbitrary(g),
                u32::arbitrary(g) & 0o777,
                u64::arbitrary(g),
                text(g, MAX_NAME),
            ),
            1 => Self::Start(u64::arbitrary(g)),
            2 => Self::Data([vec![u8::arbitrary(g)], Vec::arbitrary(g)].concat()),
            3 => Self::End(hash(g)),
            4 => Self::Abandon(text(g, MAX_REASON)),
            _ => Self::Done,
        }
    }
}

impl Arbitrary for FromReceiver {
    fn arbitrary(g: &mut Gen) -> Self {
        match u8::arbitrary(g) % 4 {
            0 => Self::Accept { present: u64::arbitrary(g), sha256: hash(g) },
            1 => Self::Refuse { reason: text(g, MAX_REASON) },
            2 => Self::Stored,
            _ => Self::Failed { reason: text(g, MAX_REASON) },
        }
    }
}

/// Reads all frames of a sender that there are.
fn read_all(mut octets: &[u8], limit: usize) -> io::Result<usize> {
    let mut buf = Vec::new();
    let mut frames = 0;
    while read_from_sender(&mut octets, &mut buf)?.is_some() {
        frames += 1;
        assert!(buf.capacity() <= limit, "{} octets are kept", buf.capacity());
    }
    Ok(frames)
}

quickcheck! {
    fn what_a_sender_says_is_understood(said: Vec<Said>) -> bool {
        let octets: Vec<u8> = said.iter().flat_map(|said| said.frame().emit()).collect();
        let (mut octets, mut buf) = (&octets[..], Vec::new());
        said.iter().all(|said| {
            read_from_sender(&mut octets, &mut buf).unwrap() == Some(said.frame())
        }) && read_from_sender(&mut octets, &mut buf).unwrap().is_none()
    }

    fn what_a_receiver_says_is_understood(said: Vec<FromReceiver>) -> bool {
        let octets: Vec<u8> = said.iter().flat_map(FromReceiver::emit).collect();
        let mut octets = &octets[..];
        said.iter().all(|said| read_from_receiver(&mut octets).unwrap().as_ref() == Some(said))
            && read_from_receiver(&mut octets).unwrap().is_none()
    }

    fn any_octets_are_frames_or_an_error(octets: Vec<u8>) -> bool {
        let _ = (read_all(&octets, 2 * MAX_DATA), read_from_receiver(&octets[..]));
        let _ = (read_greeting(&octets[..], Side::Sender), read_greeting(&octets[..], Side::Receiver));
        true
    }

    fn any_body_of_any_kind_is_a_frame_or_an_error(kind: u8, body: Vec<u8>) -> bool {
        let octets = [&header(kind, body.len())[..], &body].concat();
        let _ = (read_all(&octets, 2 * MAX_DATA), read_from_receiver(&octets[..]));
        let _ = (FromSender::parse(kind, &body), FromReceiver::parse(kind, &body));
        true
    }

    fn a_damaged_frame_is_a_frame_or_an_error(said: Said, at: usize, damage: u8) -> bool {
        let mut octets = said.frame().emit();
        let at = at % octets.len();
        octets[at] ^= damage;
        let _ = read_all(&octets, 2 * MAX_DATA);
        true
    }

    fn a_frame_cut_short_is_an_error(said: Said, cut: usize) -> TestResult {
        let octets = said.frame().emit();
        let cut = cut % octets.len();
        if cut == 0 {
            return TestResult::discard();
        }
        let error = read_all(&octets[..cut], 2 * MAX_DATA).unwrap_err();
        TestResult::from_bool(error.kind() == ErrorKind::UnexpectedEof)
    }
}

#[test]
fn a_length_beyond_its_kind_is_refused_before_anything_is_kept() {
    for (kind, length) in [
        (DATA, MAX_DATA as u32 + 1),
        (DATA, u32::MAX),
        (DATA, 0),
        (OFFER, 12),
        (OFFER, (OFFER_LEN + MAX_NAME) as u32 + 1),
        (ABANDON, MAX_REASON as u32 + 1),
        (END, 31),
        (DONE, 1),
    ] {
        let [a, b, c, d] = length.to_be_bytes();
        let header = [kind, a, b, c, d];
        assert_eq!(parse_header(Side::Sender, header), Err(FrameError::Length { kind, length }));
    }
}

#[test]
fn neither_side_takes_its_own_words() {
    let own = FromReceiver::Stored.emit();
    assert!(read_all(&own, MAX_DATA).is_err());
    assert!(read_from_receiver(&FromSender::Done.emit()[..]).is_err());
    let error = read_greeting(&Side::Sender.greeting()[..], Side::Receiver).unwrap_err();
    assert_eq!(error.to_string(), "the peer does not speak tou's file protocol");
}

#[test]
fn another_version_is_named() {
    let error = read_greeting(&b"tou-send\x02"[..], Side::Sender).unwrap_err();
    assert_eq!(error.to_string(), "the peer speaks version 2 of the file protocol, not 1");
}

#[test]
fn special_modes_and_unknown_flags_are_senseless() {
    let offer = |flags: u8, mode: u32| {
        frame(OFFER, &[&[flags], &mode.to_be_bytes(), &7_u64.to_be_bytes(), b"x"])
    };
    assert!(read_all(&offer(0, 0o755), 64).is_ok());
    assert!(read_all(&offer(0, 0o4755), 64).is_err(), "set user id");
    assert!(read_all(&offer(2, 0o755), 64).is_err());
}

#[test]
fn a_long_reason_is_cut_between_characters() {
    let reason = format!("x{}", "ä".repeat(600));
    let octets = FromReceiver::Failed { reason }.emit();
    let Some(FromReceiver::Failed { reason }) = read_from_receiver(&octets[..]).unwrap() else {
        panic!("not what was sent");
    };
    assert_eq!((reason.len(), reason.ends_with('ä')), (1_023, true));
}
