//! Error reports waiting to be fetched: a bounded queue between the socket's
//! error queue and whoever tells the machine. It does not interpret them.

use core::net::IpAddr;
use std::collections::VecDeque;

use tou_proto::{PathError, PathErrorKind};

use crate::addr;
use crate::raw::{ErrorSource, RawSocket};
use crate::stats::SocketStats;

/// How many reports wait at most; later ones are dropped and counted.
const MAX_WAITING: usize = 256;

/// How many entries of the error queue are read at a time at most.
const MAX_DRAINED: usize = 64;

/// Reports that nobody has fetched yet.
#[derive(Debug, Default)]
pub(crate) struct Reports {
    waiting: VecDeque<PathError>,
    /// The MTU of the interface towards an address, from a local report.
    local_mtu: Option<(IpAddr, u16)>,
}

impl Reports {
    /// Empties the error queue of `raw`; returns whether anybody on the
    /// network reported an error.
    pub(crate) fn drain<R: RawSocket>(&mut self, raw: &R, stats: &mut SocketStats) -> bool {
        let mut from_network = false;
        for _ in 0..MAX_DRAINED {
            let Ok(Some(report)) = raw.recv_error() else { break };
            stats.error_reports += 1;
            let peer = addr::canonical(report.peer);
            match (report.source, report.kind) {
                // The send that caused it returns EMSGSIZE and knows the port.
                (ErrorSource::Local, Some(PathErrorKind::TooBig { mtu: Some(mtu) })) => {
                    self.local_mtu = Some((peer.ip(), mtu));
                }
                (ErrorSource::Local, _) => {}
                (ErrorSource::Network, kind) => {
                    from_network = true;
                    if let Some(kind) = kind {
                        self.push(PathError { peer, kind, quoted: report.quoted }, stats);
                    }
                }
            }
        }
        from_network
    }

    pub(crate) fn push(&mut self, error: PathError, stats: &mut SocketStats) {
        if self.waiting.len() < MAX_WAITING {
            self.waiting.push_back(error);
        } else {
            stats.path_errors_dropped += 1;
        }
    }

    pub(crate) fn pop(&mut self) -> Option<PathError> {
        self.waiting.pop_front()
    }

    /// The MTU of the interface towards `ip`, if a report just told.
    pub(crate) fn take_local_mtu(&mut self, ip: IpAddr) -> Option<u16> {
        let (of, mtu) = self.local_mtu.take()?;
        (of == ip.to_canonical()).then_some(mtu)
    }
}
