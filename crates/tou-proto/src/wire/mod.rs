//! The wire: a UDP payload is one TCP segment, nothing before it and nothing
//! after it.
//!
//! This room turns octets into a [`SegmentHeader`] and back. It judges form
//! only: whether a segment is acceptable, whether an option belongs into a
//! segment with SYN, or what an absent one means, is for the connection to
//! say. It must not know connections, streams, addresses or time.
//!
//! # Format
//!
//! The segment of RFC 9293 §3.1, all of it, ports included. UDP's own header
//! is not part of the payload; it is drawn to show where the segment sits.
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +---------------------------------------------------------------+
//! |     UDP: ports of the path, length, checksum (8 octets)       |
//! +===============================+===============================+
//! |          Source Port          |       Destination Port        |
//! +-------------------------------+-------------------------------+
//! |                        Sequence Number                        |
//! +---------------------------------------------------------------+
//! |                    Acknowledgment Number                      |
//! +-------+-------+-+-+-+-+-+-+-+-+-------------------------------+
//! | Data  | Re-   |C|E|U|A|P|R|S|F|                               |
//! | Offset| served|W|C|R|C|S|S|Y|I|            Window             |
//! |       |       |R|E|G|K|H|T|N|N|                               |
//! +-------+-------+-+-+-+-+-+-+-+-+-------------------------------+
//! |       Checksum (or zero)      |         Urgent Pointer        |
//! +-------------------------------+-------------------------------+
//! |             Options: 0 to 40 octets, a multiple of 4          |
//! +---------------------------------------------------------------+
//! |             Data: up to the end of the datagram               |
//! +---------------------------------------------------------------+
//! ```
//!
//! # Contract
//!
//! [`SegmentHeader::parse`] takes any octets whatever and never panics.
//!
//! - The reserved bits are ignored (RFC 9293 §3.1). The fourth of them is the
//!   AE bit of RFC 9768, which this implementation does not speak.
//! - Unknown options are skipped (MUST-6). A malformed option ends the option
//!   list (MUST-7); what came before it holds, and the segment is not dropped.
//!   The reset that the RFC suggests would be anybody's to provoke.
//! - The segment is refused only if it is too short, its data offset is
//!   impossible, a port is zero, or a checksum that was asked for is wrong.
//!
//! [`SegmentHeader::emit`] writes exactly [`SegmentHeader::encoded_len`]
//! octets, reserved bits zero, options aligned to four octets as common
//! kernels lay them out. What it writes parses back equal, but for SACK
//! blocks beyond [`SegmentOptions::max_sack_blocks`], which have no room.
//!
//! ```
//! use tou_proto::wire::{Checksum, SegmentFlags, SegmentHeader, SegmentOptions, Timestamps};
//! use tou_proto::{Port, SeqNumber};
//!
//! let header = SegmentHeader {
//!     src_port: Port::new(49152).unwrap(),
//!     dst_port: Port::new(5000).unwrap(),
//!     seq: SeqNumber::new(1),
//!     ack: SeqNumber::new(2),
//!     flags: SegmentFlags::PSH | SegmentFlags::ACK,
//!     window: 502,
//!     urgent: 0,
//!     options: SegmentOptions {
//!         timestamps: Some(Timestamps { tsval: 7, tsecr: 3 }),
//!         ..SegmentOptions::default()
//!     },
//! };
//!
//! // The data is in place first, since a checksum may have to cover it.
//! let mut segment = vec![0; header.encoded_len()];
//! segment.extend_from_slice(b"hello");
//! assert_eq!(header.emit(Checksum::Carrier, &mut segment), 32);
//!
//! let parsed = SegmentHeader::parse(&segment, Checksum::Carrier)?;
//! assert_eq!(parsed.header, header);
//! assert_eq!(&segment[parsed.data_offset..], b"hello");
//! assert_eq!(
//!     header.display(5).to_string(),
//!     "49152 > 5000: Flags [P.], seq 1:6, ack 2, win 502, options [TS val 7 ecr 3], length 5",
//! );
//! # Ok::<(), tou_proto::wire::ParseError>(())
//! ```

// Everything here is reachable from a peer's octets.
#![warn(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

mod checksum;
mod display;
mod flags;
mod header;
mod options;
#[cfg(test)]
#[allow(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    reason = "a panic is a failed test"
)]
mod tests;

pub use self::checksum::Checksum;
pub use self::display::SegmentLine;
pub use self::flags::SegmentFlags;
pub use self::header::{ParseError, ParsedHeader, SegmentHeader};
pub use self::options::{SackBlock, SackBlocks, SegmentOptions, Timestamps, UserTimeout};
