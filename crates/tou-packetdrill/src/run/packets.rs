//! Segments of a script: those that arrive, and those that must leave.

use tou_proto::{Ecn, Instant, PathError, ReceivedBatch};

use super::calls::octet;
use super::compare::{Actual, compare};
use super::icmp;
use super::runner::{Flow, Runner, Stop};
use super::segment::{Segment, WireOption};
use super::stack::Stack;
use super::world::Captured;
use crate::ast::{
    Direction, EcnMark, Flags, IcmpSpec, IpField, OptionSpec, Options, PacketSpec, SeqSpec,
    TimeSpec, TsVal,
};

impl<S: Stack> Runner<S> {
    pub(super) fn expect(
        &mut self,
        spec: &PacketSpec,
        time: TimeSpec,
        from: Instant,
        to: Instant,
    ) -> Result<(), Stop> {
        let tolerance = self.limits.tolerance;
        let any = time == TimeSpec::Any;
        let patience = if any { self.limits.patience } else { tolerance };
        let deadline = to + patience;
        while self.world.front().is_none()
            && self.world.step(deadline).map_err(Stop::misbehaviour)?
        {
            self.retry_blocked()?;
        }
        let mismatch = |reason: String, actual: Option<String>| Stop::Mismatch {
            reason,
            scripted: Some(spec.to_string()),
            actual,
        };
        let Some(captured) = self.world.take() else {
            self.advance(deadline)?;
            return Err(mismatch("nothing is sent".to_owned(), None));
        };
        self.answered += 1;
        let captured = self.gather(captured, usize::from(spec.seq.len()));
        self.learn(spec, &captured);
        let shown = self.show(&captured);
        self.trace(&format!("sent   {shown}"));
        let late = captured.at > to + tolerance || captured.at + tolerance < from;
        if late && !any {
            let reason = format!(
                "it is sent at {}, not at {}",
                self.time(captured.at),
                if from == to {
                    self.time(from)
                } else {
                    format!("{}~{}", self.time(from), self.time(to))
                }
            );
            return Err(mismatch(reason, Some(shown)));
        }
        self.judge(spec, &captured).map_err(|reason| mismatch(reason, Some(shown)))
    }

    /// A long scripted segment stands for several of one burst, as a kernel hands
    /// them to its device.
    fn gather(&mut self, first: Captured, len: usize) -> Captured {
        let mut whole = first;
        if self.strict_segments {
            return whole;
        }
        while whole.segment.data.len() < len && !whole.segment.data.is_empty() {
            let Some(next) = self.world.front() else { break };
            let (a, b) = (&whole.segment, &next.segment);
            let end = a.seq.wrapping_add(u32::try_from(a.data.len()).unwrap_or(u32::MAX));
            let follows = b.seq == end
                && (a.src, a.dst, a.ack) == (b.src, b.dst, b.ack)
                && (next.at, next.udp_port) == (whole.at, whole.udp_port)
                && !a.flags.has(Flags::FIN | Flags::SYN | Flags::RST)
                && a.data.len() + b.data.len() <= len;
            if !follows {
                break;
            }
            let Some(next) = self.world.take() else { break };
            whole.segment.flags.0 |= next.segment.flags.0;
            whole.segment.data.extend(next.segment.data);
        }
        whole
    }

    fn learn(&mut self, spec: &PacketSpec, captured: &Captured) {
        let scripted = match spec.seq {
            SeqSpec::Relative { start, .. } => Some(start),
            _ => None,
        };
        let mapping = self.mappings.entry(flow_of(&captured.segment)).or_default();
        mapping.learn(&captured.segment, scripted);
    }

    /// Compares a segment that left with its description.
    fn judge(&mut self, spec: &PacketSpec, captured: &Captured) -> Result<(), String> {
        let wire = &captured.segment;
        let flow = flow_of(wire);
        let wanted = spec.ports.map_or(self.flow, |(src, dst)| Flow { local: src, remote: dst });
        if flow != wanted {
            let Flow { local, remote } = flow;
            return Err(format!(
                "ports are {local} > {remote}, not {} > {}",
                wanted.local, wanted.remote
            ));
        }
        self.udp_ports(spec, captured)?;
        let strict = self.is_strict();
        let tolerance = i64::try_from(self.limits.tolerance.as_millis()).unwrap_or(i64::MAX);
        let mapping = self.mappings.entry(flow).or_default();
        let segment = mapping.outbound(wire);
        let actual =
            Actual { segment: &segment, wire_seq: wire.seq, wire_ack: wire.ack, ecn: captured.ecn };
        compare(spec, actual, self.mode)?;
        let base = mapping.local_offset(wire.seq, wire.flags.has(Flags::SYN));
        for (place, seen) in (u64::from(base)..).zip(&wire.data) {
            // Octet places beyond 4 GiB do not occur in a script.
            if octet(place) != *seen {
                return Err(format!("octet {place} of the stream is not what was written"));
            }
        }
        let (Some(script), Some((val, _))) = (scripted_stamp(spec), wire.timestamps()) else {
            return Ok(());
        };
        if strict
            && let Some(drift) = mapping.stamp_drift(script, val)
            && i64::from(drift).abs() > tolerance
        {
            return Err(format!("the timestamp is {drift} ticks off"));
        }
        mapping.learn_stamp(script, val);
        Ok(())
    }

    /// UDP ports are compared: those of the encapsulation, or none of them.
    fn udp_ports(&self, spec: &PacketSpec, captured: &Captured) -> Result<(), String> {
        let (wanted, local) = match spec.udp {
            Some(udp) => (udp.dst, udp.src),
            None => (flow_of(&captured.segment).remote, self.tunnel_port),
        };
        if captured.udp_port != wanted {
            return Err(format!("it goes to UDP port {}, not {wanted}", captured.udp_port));
        }
        if local != self.tunnel_port {
            return Err(format!("it comes from UDP port {}, not {local}", self.tunnel_port));
        }
        Ok(())
    }

    pub(super) fn arrive(&mut self, spec: &PacketSpec) -> Result<(), Stop> {
        let flow = spec.ports.map_or(self.flow, |(src, dst)| Flow { local: dst, remote: src });
        let mut segment = self.build(spec, flow).map_err(Stop::Skip)?;
        let absolute = spec.ack.is_some_and(|(_, absolute)| absolute);
        let mapping = self.mappings.entry(flow).or_default();
        if !matches!(spec.seq, SeqSpec::Absolute { .. }) {
            mapping.inbound(&mut segment, absolute).map_err(Stop::Fail)?;
        }
        let base = mapping.remote_offset(segment.seq, segment.flags.has(Flags::SYN));
        let places = (0..u64::from(spec.seq.len())).map(|i| u64::from(base) + i);
        segment.data = places.map(octet).collect();
        let udp_port = spec.udp.map_or(flow.remote, |udp| udp.src);
        if spec.udp.is_some_and(|udp| udp.dst != self.tunnel_port) {
            self.trace("       (to another UDP port: it does not get here)");
            return Ok(());
        }
        let data = segment
            .emit()
            .ok_or_else(|| Stop::Skip("options that do not fit a header".to_owned()))?;
        let mut batch = ReceivedBatch::single(self.peer_address(udp_port), data);
        batch.ecn = arriving_ecn(spec);
        self.world.inject(&batch).map_err(Stop::misbehaviour)?;
        self.retry_blocked()
    }

    /// A scripted segment as octets, in the script's numbers, without its data.
    fn build(&self, spec: &PacketSpec, flow: Flow) -> Result<Segment, String> {
        let (SeqSpec::Relative { start: seq, .. } | SeqSpec::Absolute { start: seq, .. }) =
            spec.seq
        else {
            return Err("a sequence number that is not given".to_owned());
        };
        let Options::List(list) = &spec.options else {
            return Err("options that are not given".to_owned());
        };
        Ok(Segment {
            src: flow.remote,
            dst: flow.local,
            seq,
            ack: spec.ack.map_or(0, |(ack, _)| ack),
            flags: spec.flags,
            window: spec.window.unwrap_or_default(),
            checksum: 0,
            urgent: spec.urgent.unwrap_or_default(),
            options: list.iter().map(wire_option).collect::<Result<_, _>>()?,
            data: Vec::new(),
        })
    }

    pub(super) fn icmp(&mut self, icmp: &IcmpSpec) -> Result<(), Stop> {
        if icmp.direction == Direction::Outbound {
            return Err(Stop::Skip("ICMP errors are not sent".to_owned()));
        }
        let Some(kind) = icmp::path_error(icmp, self.settings.ip).map_err(Stop::Skip)? else {
            return Ok(());
        };
        let udp = icmp.quote.and_then(|quote| quote.udp);
        if udp.is_some_and(|udp| udp.src != self.tunnel_port) {
            return Ok(());
        }
        let peer = self.peer_address(udp.map_or(self.flow.remote, |udp| udp.dst));
        let quoted = match icmp.quote.map(|quote| quote.seq) {
            Some(SeqSpec::Relative { start, .. }) => {
                let mapping = self.mappings.entry(self.flow).or_default();
                let (src, dst) = (self.flow.local, self.flow.remote);
                let segment =
                    Segment { src, dst, seq: mapping.quoted(start), ..Segment::default() };
                segment.emit().unwrap_or_default()
            }
            Some(_) => return Err(Stop::Skip(format!("quote in {icmp}"))),
            None => Vec::new(),
        };
        let error = PathError { peer, kind, quoted: quoted.into() };
        self.world.inject_error(&error).map_err(Stop::misbehaviour)?;
        self.retry_blocked()
    }

    pub(super) fn unexpected(&self, captured: &Captured) -> Stop {
        Stop::Mismatch {
            reason: format!("a segment is sent at {} that is not scripted", self.time(captured.at)),
            scripted: None,
            actual: Some(self.show(captured)),
        }
    }

    /// A time as the script counts it.
    pub(super) fn time(&self, at: Instant) -> String {
        let micros = at.saturating_since(self.start).as_micros();
        format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000)
    }

    /// A captured segment in the script's numbers.
    pub(super) fn show(&self, captured: &Captured) -> String {
        let flow = flow_of(&captured.segment);
        let segment = match self.mappings.get(&flow) {
            Some(mapping) => mapping.outbound(&captured.segment),
            None => captured.segment.clone(),
        };
        let mark = if captured.ecn == Ecn::NotEct { "" } else { "[ect] " };
        let udp = match captured.udp_port {
            port if port == flow.remote => String::new(),
            port => format!("/udp({} > {port})", self.tunnel_port),
        };
        format!("> {mark}{segment}{udp}")
    }
}

/// The ports of a segment that left.
fn flow_of(segment: &Segment) -> Flow {
    Flow { local: segment.src, remote: segment.dst }
}

fn scripted_stamp(spec: &PacketSpec) -> Option<u32> {
    let Options::List(options) = &spec.options else { return None };
    options.iter().find_map(|option| match option {
        OptionSpec::Timestamps { val: TsVal::Relative(val), .. } => Some(*val),
        _ => None,
    })
}

fn arriving_ecn(spec: &PacketSpec) -> Ecn {
    let mark = spec.ip.iter().find_map(|field| match field {
        IpField::Ecn(mark) => Some(*mark),
        _ => None,
    });
    match mark {
        None | Some(EcnMark::NotEct) => Ecn::NotEct,
        Some(EcnMark::Ect1) => Ecn::Ect1,
        Some(EcnMark::Ect0 | EcnMark::Either) => Ecn::Ect0,
        Some(EcnMark::Ce) => Ecn::Ce,
    }
}

fn wire_option(option: &OptionSpec) -> Result<WireOption, String> {
    let stamp = |value: &TsVal| match value {
        TsVal::Relative(value) | TsVal::Absolute(value) => Ok(*value),
        TsVal::Any => Err("a timestamp that is not given".to_owned()),
    };
    Ok(match option {
        OptionSpec::Nop => WireOption::Nop,
        OptionSpec::Eol => WireOption::Eol,
        OptionSpec::Mss(mss) => WireOption::Mss(*mss),
        OptionSpec::WindowScale(shift) => WireOption::WindowScale(*shift),
        OptionSpec::SackPermitted => WireOption::SackPermitted,
        OptionSpec::Sack(blocks) => WireOption::Sack(blocks.clone()),
        OptionSpec::Timestamps { val, ecr } => WireOption::Timestamps(stamp(val)?, stamp(ecr)?),
        OptionSpec::FastOpen(cookie) => WireOption::Other(34, cookie.clone()),
        OptionSpec::FastOpenExperiment(cookie) => {
            WireOption::Other(254, [&[0xf9, 0x89], cookie.as_slice()].concat())
        }
        OptionSpec::Md5(Some(digest)) => WireOption::Other(19, digest.clone()),
        OptionSpec::Md5(None) => return Err("TCP-MD5 (RFC 2385)".to_owned()),
    })
}
