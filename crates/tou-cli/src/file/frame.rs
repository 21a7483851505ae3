//! The octets of the file transfer protocol, version 1 (docs/FILE-TRANSFER.md).
//!
//! Each side begins with a greeting, and then sends frames: a kind (1 octet), the
//! length of the body (4 octets), the body. Numbers are big-endian. What one
//! side may say is a type, so that neither can mistake its own words, echoed,
//! for the other's. Nothing longer than its kind allows is ever read or stored.

use std::fmt;
use std::io::{self, ErrorKind, Read, Write};

use super::Hash;
use crate::text::shown;

/// The version that is spoken here.
pub(crate) const VERSION: u8 = 1;

/// The most data in one frame.
pub(crate) const MAX_DATA: usize = 128 << 10;

/// A frame's kind and length.
pub(crate) const HEADER_LEN: usize = 5;

/// The longest name and the longest reason. What a name may be is stricter, and
/// is another room's business.
const MAX_NAME: usize = 1_024;
const MAX_REASON: usize = 1_024;

const GREETING_LEN: usize = 9;
const HASH_LEN: usize = 32;

/// An offer's flags, mode and size.
const OFFER_LEN: usize = 1 + 4 + 8;
/// The sender can take up an interrupted transfer.
const FLAG_RESUME: u8 = 0x01;

/// Which side speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Sender,
    Receiver,
}

impl Side {
    fn word(self) -> &'static [u8; 8] {
        match self {
            Self::Sender => b"tou-send",
            Self::Receiver => b"tou-recv",
        }
    }

    /// What it says first.
    pub(crate) fn greeting(self) -> [u8; GREETING_LEN] {
        let mut greeting = [VERSION; GREETING_LEN];
        greeting[..8].copy_from_slice(self.word());
        greeting
    }

    /// Checks what it has said first.
    fn check(self, greeting: [u8; GREETING_LEN]) -> Result<(), FrameError> {
        match greeting.split_last() {
            Some((&version, word)) if word == self.word() => match version {
                VERSION => Ok(()),
                other => Err(FrameError::Version(other)),
            },
            _ => Err(FrameError::Stranger),
        }
    }
}

/// What a sender says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FromSender<'a> {
    /// A file. The mode holds permissions only.
    Offer { can_resume: bool, mode: u32, size: u64, name: &'a str },
    /// The data begins at this position.
    Start { position: u64 },
    /// Some of it.
    Data(&'a [u8]),
    /// That was all; the hash of the whole file.
    End { sha256: Hash },
    /// The file cannot be read to its end.
    Abandon { reason: String },
    /// There are no more files.
    Done,
}

/// What a receiver says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FromReceiver {
    /// The offer is taken. So much is here already, and this is its hash.
    Accept { present: u64, sha256: Hash },
    /// The offer is not taken; another may be.
    Refuse { reason: String },
    /// The file is under its name.
    Stored,
    /// The file could not be stored, and no other will be taken.
    Failed { reason: String },
}

/// Why something was no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FrameError {
    /// It does not speak this protocol.
    Stranger,
    /// It speaks another version.
    Version(u8),
    /// It says something that does not exist.
    Kind(u8),
    /// It says too much, or too little, for what it is.
    Length { kind: u8, length: u32 },
    /// It says something that makes no sense.
    Content { kind: u8 },
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stranger => f.write_str("the peer does not speak tou's file protocol"),
            Self::Version(version) => {
                write!(f, "the peer speaks version {version} of the file protocol, not {VERSION}")
            }
            Self::Kind(kind) => write!(f, "the peer sent an unknown frame ({kind:#04x})"),
            Self::Length { kind, length } => {
                write!(f, "the peer sent a frame ({kind:#04x}) of {length} bytes")
            }
            Self::Content { kind } => write!(f, "the peer sent a senseless frame ({kind:#04x})"),
        }
    }
}

impl core::error::Error for FrameError {}

impl From<FrameError> for io::Error {
    fn from(error: FrameError) -> Self {
        Self::new(ErrorKind::InvalidData, error)
    }
}

const OFFER: u8 = 0x01;
const START: u8 = 0x02;
const DATA: u8 = 0x03;
const END: u8 = 0x04;
const ABANDON: u8 = 0x05;
const DONE: u8 = 0x06;
const ACCEPT: u8 = 0x81;
const REFUSE: u8 = 0x82;
const STORED: u8 = 0x83;
const FAILED: u8 = 0x84;

/// How long the body of a frame may be.
fn lengths(kind: u8) -> Option<core::ops::RangeInclusive<usize>> {
    Some(match kind {
        OFFER => OFFER_LEN..=OFFER_LEN + MAX_NAME,
        START => 8..=8,
        DATA => 1..=MAX_DATA,
        END => HASH_LEN..=HASH_LEN,
        DONE | STORED => 0..=0,
        ACCEPT => 8 + HASH_LEN..=8 + HASH_LEN,
        ABANDON | REFUSE | FAILED => 0..=MAX_REASON,
        _ => return None,
    })
}

/// The kind of a frame and the length of its body, which are checked.
fn parse_header(side: Side, header: [u8; HEADER_LEN]) -> Result<(u8, usize), FrameError> {
    let [kind, length @ ..] = header;
    let length = u32::from_be_bytes(length);
    let speaks = if kind < 0x80 { Side::Sender } else { Side::Receiver };
    let lengths = lengths(kind).filter(|_| speaks == side).ok_or(FrameError::Kind(kind))?;
    let wrong = FrameError::Length { kind, length };
    let len = usize::try_from(length).map_err(|_| wrong)?;
    if lengths.contains(&len) { Ok((kind, len)) } else { Err(wrong) }
}

impl<'a> FromSender<'a> {
    /// Reads the body of a frame.
    fn parse(kind: u8, body: &'a [u8]) -> Result<Self, FrameError> {
        let senseless = FrameError::Content { kind };
        Ok(match kind {
            OFFER => {
                let (flags, rest) = body.split_first().ok_or(senseless)?;
                let (mode, rest) = rest.split_first_chunk().ok_or(senseless)?;
                let (size, name) = rest.split_first_chunk().ok_or(senseless)?;
                let mode = u32::from_be_bytes(*mode);
                if flags & !FLAG_RESUME != 0 || mode & !0o777 != 0 {
                    return Err(senseless);
                }
                Self::Offer {
                    can_resume: flags & FLAG_RESUME != 0,
                    mode,
                    size: u64::from_be_bytes(*size),
                    name: core::str::from_utf8(name).map_err(|_| senseless)?,
                }
            }
            START => Self::Start { position: u64::from_be_bytes(exact(kind, body)?) },
            DATA => Self::Data(body),
            END => Self::End { sha256: exact(kind, body)? },
            ABANDON => Self::Abandon { reason: reason(body) },
            DONE => Self::Done,
            _ => return Err(FrameError::Kind(kind)),
        })
    }

    /// The octets of a frame.
    pub(crate) fn emit(&self) -> Vec<u8> {
        match self {
            Self::Offer { can_resume, mode, size, name } => {
                let flags = if *can_resume { FLAG_RESUME } else { 0 };
                let (mode, size) = (mode.to_be_bytes(), size.to_be_bytes());
                frame(OFFER, &[&[flags], &mode, &size, name.as_bytes()])
            }
            Self::Start { position } => frame(START, &[&position.to_be_bytes()]),
            Self::Data(data) => frame(DATA, &[data]),
            Self::End { sha256 } => frame(END, &[sha256]),
            Self::Abandon { reason } => frame(ABANDON, &[cut(reason)]),
            Self::Done => frame(DONE, &[]),
        }
    }
}

impl FromReceiver {
    fn parse(kind: u8, body: &[u8]) -> Result<Self, FrameError> {
        let senseless = FrameError::Content { kind };
        Ok(match kind {
            ACCEPT => {
                let (present, sha256) = body.split_first_chunk().ok_or(senseless)?;
                let present = u64::from_be_bytes(*present);
                Self::Accept { present, sha256: exact(kind, sha256)? }
            }
            REFUSE => Self::Refuse { reason: reason(body) },
            STORED => Self::Stored,
            FAILED => Self::Failed { reason: reason(body) },
            _ => return Err(FrameError::Kind(kind)),
        })
    }

    /// The octets of a frame.
    pub(crate) fn emit(&self) -> Vec<u8> {
        match self {
            Self::Accept { present, sha256 } => frame(ACCEPT, &[&present.to_be_bytes(), sha256]),
            Self::Refuse { reason } => frame(REFUSE, &[cut(reason)]),
            Self::Stored => frame(STORED, &[]),
            Self::Failed { reason } => frame(FAILED, &[cut(reason)]),
        }
    }
}

/// The header of a frame of data. `len` is at most [`MAX_DATA`].
pub(crate) fn data_header(len: usize) -> [u8; HEADER_LEN] {
    header(DATA, len)
}

fn header(kind: u8, len: usize) -> [u8; HEADER_LEN] {
    // No body is nearly as long as 4 GiB.
    let [a, b, c, d] = u32::try_from(len).unwrap_or(u32::MAX).to_be_bytes();
    [kind, a, b, c, d]
}

fn frame(kind: u8, parts: &[&[u8]]) -> Vec<u8> {
    let len = parts.iter().map(|part| part.len()).sum();
    let mut octets = header(kind, len).to_vec();
    octets.extend(parts.iter().copied().flatten());
    octets
}

fn exact<const N: usize>(kind: u8, body: &[u8]) -> Result<[u8; N], FrameError> {
    body.try_into().map_err(|_| FrameError::Content { kind })
}

/// A text from the other side, whatever it is.
fn reason(body: &[u8]) -> String {
    shown(&String::from_utf8_lossy(body))
}

/// As much of a text as a frame holds.
fn cut(text: &str) -> &[u8] {
    let mut end = text.len().min(MAX_REASON);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.as_bytes().get(..end).unwrap_or_default()
}

/// Says who speaks.
pub(crate) fn greet(mut to: impl Write, side: Side) -> io::Result<()> {
    to.write_all(&side.greeting())
}

/// Reads what `side` says first.
pub(crate) fn read_greeting(mut from: impl Read, side: Side) -> io::Result<()> {
    let mut greeting = [0; GREETING_LEN];
    match from.read_exact(&mut greeting) {
        // Too short to be one.
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Err(FrameError::Stranger.into()),
        Err(error) => Err(error),
        Ok(()) => Ok(side.check(greeting)?),
    }
}

/// Reads a frame of a sender into `buf`; `None` is the end between two frames.
pub(crate) fn read_from_sender(
    from: impl Read,
    buf: &mut Vec<u8>,
) -> io::Result<Option<FromSender<'_>>> {
    let Some(kind) = read_frame(from, Side::Sender, buf)? else {
        return Ok(None);
    };
    Ok(Some(FromSender::parse(kind, buf)?))
}

/// The same of a receiver.
pub(crate) fn read_from_receiver(from: impl Read) -> io::Result<Option<FromReceiver>> {
    let mut buf = Vec::new();
    let Some(kind) = read_frame(from, Side::Receiver, &mut buf)? else {
        return Ok(None);
    };
    Ok(Some(FromReceiver::parse(kind, &buf)?))
}

fn read_frame(mut from: impl Read, side: Side, buf: &mut Vec<u8>) -> io::Result<Option<u8>> {
    let mut header = [0; HEADER_LEN];
    loop {
        match from.read(&mut header[..1]) {
            Ok(0) => return Ok(None),
            Ok(_) => break,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    from.read_exact(&mut header[1..])?;
    let (kind, len) = parse_header(side, header)?;
    buf.resize(len, 0);
    from.read_exact(buf)?;
    Ok(Some(kind))
}

#[cfg(test)]
mod tests;
