//! ICMP messages as what they say about a path.

use tou_proto::PathErrorKind;

use super::settings::IpVersion;
use crate::ast::IcmpSpec;

/// What a message says about the path, or `None` when a stack is to ignore it:
/// source quench (RFC 6633), redirects, and what is none of a transport's.
///
/// # Errors
/// A message that does not exist in this version of IP.
pub(super) fn path_error(icmp: &IcmpSpec, ip: IpVersion) -> Result<Option<PathErrorKind>, String> {
    let code = icmp.code.as_deref().unwrap_or_default();
    let refused = Ok(Some(PathErrorKind::Refused));
    let unreachable = Ok(Some(PathErrorKind::Unreachable));
    match (ip, icmp.kind.as_str(), code) {
        (_, "unreachable", "port_unreachable" | "admin_prohibited")
        | (
            IpVersion::V4,
            "unreachable",
            "protocol_unreachable" | "net_prohibited" | "host_prohibited" | "packet_filtered",
        )
        | (IpVersion::V6, "parameter_problem", "unknown_next_header") => refused,
        (IpVersion::V4, "unreachable", "frag_needed") | (IpVersion::V6, "packet_too_big", _) => {
            let mtu = icmp.mtu.map(|mtu| u16::try_from(mtu).unwrap_or(u16::MAX));
            Ok(Some(PathErrorKind::TooBig { mtu }))
        }
        (_, "unreachable", _) => unreachable,
        (_, "time_exceeded" | "parameter_problem", _) => unreachable,
        (IpVersion::V4, "source_quench" | "redirect", _) => Ok(None),
        _ => Err(format!("ICMP {} {code}", icmp.kind)),
    }
}
