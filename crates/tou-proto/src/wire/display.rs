//! A segment as one line, as tcpdump would print it: for logs and for tests
//! that failed. It must not know how a segment is encoded.

use core::fmt;

use super::{SackBlock, SegmentFlags, SegmentHeader, SegmentOptions, Timestamps, UserTimeout};

/// A header and the length of the data behind it, to be shown as one line; see
/// [`SegmentHeader::display`].
#[derive(Clone, Copy, Debug)]
pub struct SegmentLine<'a> {
    header: &'a SegmentHeader,
    data_len: usize,
}

impl SegmentHeader {
    /// The segment as one line, with `data_len` octets of data:
    /// `5000 > 49152: Flags [P.], seq 1:1441, ack 2, win 502, length 1440`.
    #[must_use]
    pub const fn display(&self, data_len: usize) -> SegmentLine<'_> {
        SegmentLine { header: self, data_len }
    }
}

impl fmt::Display for SegmentLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_line(f, self.header, self.data_len)?;
        write!(f, ", length {}", self.data_len)
    }
}

impl fmt::Display for SegmentHeader {
    /// One line without the data, of which a header does not know.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_line(f, self, 0)
    }
}

/// The line up to the length. Fields that the flags give no meaning to, and an
/// empty option list, are left out.
fn write_line(f: &mut fmt::Formatter<'_>, header: &SegmentHeader, data_len: usize) -> fmt::Result {
    let SegmentHeader { src_port, dst_port, seq, ack, flags, window, urgent, options } = header;
    write!(f, "{src_port} > {dst_port}: Flags [{flags}], seq {seq}")?;
    if data_len != 0 {
        #[expect(clippy::cast_possible_truncation, reason = "sequence numbers are modulo 2^32")]
        let end = seq.plus(data_len as u32);
        write!(f, ":{end}")?;
    }
    if flags.contains(SegmentFlags::ACK) {
        write!(f, ", ack {ack}")?;
    }
    write!(f, ", win {window}")?;
    if flags.contains(SegmentFlags::URG) {
        write!(f, ", urg {urgent}")?;
    }
    if *options != SegmentOptions::default() {
        write!(f, ", options [{options}]")?;
    }
    Ok(())
}

impl fmt::Display for SegmentOptions {
    /// The options in the order they are sent in, with commas between.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        let mut option = |text: fmt::Arguments<'_>| {
            f.write_str(core::mem::replace(&mut separator, ","))?;
            f.write_fmt(text)
        };
        if let Some(mss) = self.mss {
            option(format_args!("mss {mss}"))?;
        }
        if self.sack_permitted {
            option(format_args!("sackOK"))?;
        }
        if let Some(Timestamps { tsval, tsecr }) = self.timestamps {
            option(format_args!("TS val {tsval} ecr {tsecr}"))?;
        }
        if let Some(shift) = self.window_scale {
            option(format_args!("wscale {shift}"))?;
        }
        if let Some(timeout) = self.user_timeout.and_then(UserTimeout::timeout) {
            option(format_args!("uto {}s", timeout.as_secs()))?;
        }
        if !self.sack.is_empty() {
            option(format_args!("sack {} ", self.sack.len()))?;
            self.sack.iter().try_for_each(|block| write!(f, "{block}"))?;
        }
        Ok(())
    }
}

impl fmt::Display for SackBlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{{}:{}}}", self.left, self.right)
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;
    use crate::id::Port;
    use crate::seq::SeqNumber;

    fn header(flags: SegmentFlags, options: SegmentOptions) -> SegmentHeader {
        SegmentHeader {
            src_port: Port::new(49152).unwrap(),
            dst_port: Port::new(5000).unwrap(),
            seq: SeqNumber::new(1),
            ack: SeqNumber::new(2),
            flags,
            window: 502,
            urgent: 9,
            options,
        }
    }

    #[test]
    fn syn_ack_shows_its_options() {
        let options = SegmentOptions {
            mss: Some(1452),
            window_scale: Some(7),
            sack_permitted: true,
            timestamps: Some(Timestamps { tsval: 1, tsecr: 0 }),
            ..SegmentOptions::default()
        };
        let syn_ack = header(SegmentFlags::SYN | SegmentFlags::ACK, options);
        assert_eq!(
            syn_ack.to_string(),
            "49152 > 5000: Flags [S.], seq 1, ack 2, win 502, \
             options [mss 1452,sackOK,TS val 1 ecr 0,wscale 7]"
        );
    }

    #[test]
    fn data_shows_its_range_and_length() {
        let data = header(SegmentFlags::PSH | SegmentFlags::ACK, SegmentOptions::default());
        assert_eq!(
            data.display(1440).to_string(),
            "49152 > 5000: Flags [P.], seq 1:1441, ack 2, win 502, length 1440"
        );
        assert_eq!(
            data.display(0).to_string(),
            "49152 > 5000: Flags [P.], seq 1, ack 2, win 502, length 0"
        );
    }

    #[test]
    fn range_wraps_with_the_sequence_numbers() {
        let mut data = header(SegmentFlags::ACK, SegmentOptions::default());
        data.seq = SeqNumber::new(u32::MAX);
        assert!(data.display(2).to_string().contains("seq 4294967295:1,"));
    }

    #[test]
    fn sack_blocks_are_counted_and_listed() {
        let mut options = SegmentOptions::default();
        for left in [5, 20] {
            let (left, right) = (SeqNumber::new(left), SeqNumber::new(left + 2));
            options.sack.push(SackBlock { left, right });
        }
        assert_eq!(options.to_string(), "sack 2 {5:7}{20:22}");
    }

    #[test]
    fn fields_without_their_flag_are_left_out() {
        let reset = header(SegmentFlags::RST, SegmentOptions::default());
        assert_eq!(reset.to_string(), "49152 > 5000: Flags [R], seq 1, win 502");
        let urgent = header(SegmentFlags::URG, SegmentOptions::default());
        assert_eq!(urgent.to_string(), "49152 > 5000: Flags [U], seq 1, win 502, urg 9");
    }
}
