//! Socket options, mapped to settings.

use core::time::Duration;

use super::settings::{Congestion, Cookies, EcnUse, Keepalive, Settings};
use super::sockets::{Kind, Socket};
use super::stack::{Info, Stack};
use crate::value::{Dialect, Errno};

/// What setting an option comes to.
pub(super) enum Set {
    /// It is in the socket's settings now.
    Done,
    /// The system call fails so.
    Failed(Errno),
}

/// Sets option `name` of `level` to `value`. `tunnel` is the UDP port that
/// encapsulation uses here, zero for none.
///
/// # Errors
/// An option that does not exist here.
pub(super) fn set<S: Stack>(
    socket: &mut Socket<S>,
    (level, name): (&str, &str),
    value: i64,
    tunnel: u16,
) -> Result<Set, String> {
    let unknown = || format!("socket option {level} {name}");
    let on = value != 0;
    let fresh = matches!(socket.kind, Kind::Fresh);
    let settings = &mut socket.settings;
    let seconds = Duration::from_secs(u64::try_from(value).unwrap_or_default());
    let size = u32::try_from(value).unwrap_or_default();
    match (level, name) {
        // One script at a time has the whole machine.
        ("SOL_SOCKET", "SO_REUSEADDR" | "SO_REUSEPORT" | "SO_MARK") => {}
        ("SOL_SOCKET", "SO_RCVBUF") => settings.recv_buffer = size,
        ("SOL_SOCKET", "SO_SNDBUF") => {
            settings.send_buffer = size;
            settings.send_buffer_max = size;
        }
        ("SOL_SOCKET", "SO_KEEPALIVE") => settings.keepalive.on = on,
        ("IPPROTO_TCP" | "SOL_TCP", "TCP_REMOTE_UDP_ENCAPS_PORT") => {
            let port = u16::try_from(value).ok().filter(|port| *port == 0 || tunnel != 0);
            let Some(port) = port.filter(|_| fresh) else { return Ok(Set::Failed(Errno::EINVAL)) };
            socket.udp_port = port;
        }
        ("IPPROTO_TCP" | "SOL_TCP", name) => match name {
            "TCP_NODELAY" => settings.nodelay = on,
            "TCP_CORK" | "TCP_NOPUSH" => settings.cork = on,
            "TCP_NOOPT" => settings.no_options = on,
            "TCP_MAXSEG" => match u16::try_from(value).ok().filter(|mss| *mss > 0) {
                Some(mss) => settings.mss_limit = Some(mss),
                None => return Ok(Set::Failed(Errno::EINVAL)),
            },
            "TCP_KEEPINIT" => settings.handshake_timeout = seconds,
            "TCP_KEEPIDLE" => settings.keepalive.idle = seconds,
            "TCP_KEEPINTVL" => settings.keepalive.interval = seconds,
            "TCP_KEEPCNT" => settings.keepalive.count = size,
            "TCP_SYNCNT" => settings.syn_retries = u8::try_from(value).unwrap_or(u8::MAX),
            "TCP_USER_TIMEOUT" => {
                let millis = u64::try_from(value).unwrap_or_default();
                settings.user_timeout = on.then(|| Duration::from_millis(millis));
            }
            // Chooses among FreeBSD's stacks: there is one here.
            "TCP_FUNCTION_BLK" => {}
            _ => return Err(unknown()),
        },
        _ => return Err(unknown()),
    }
    Ok(Set::Done)
}

/// The value of an option, where it is a number. `SO_ERROR` is not here: asking
/// for it changes the socket.
///
/// # Errors
/// An option that does not exist here.
pub(super) fn get<S: Stack>(
    socket: &Socket<S>,
    (level, name): (&str, &str),
    info: Option<Info>,
) -> Result<i64, String> {
    let settings = &socket.settings;
    let seconds = |time: Duration| i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    Ok(match (level, name) {
        ("SOL_SOCKET", "SO_RCVBUF") => {
            i64::from(info.map_or(settings.recv_buffer, |info| info.recv_buffer))
        }
        ("SOL_SOCKET", "SO_SNDBUF") => i64::from(settings.send_buffer),
        ("SOL_SOCKET", "SO_KEEPALIVE") => i64::from(settings.keepalive.on),
        ("SOL_SOCKET", "SO_ACCEPTCONN") => i64::from(matches!(socket.kind, Kind::Listening(_))),
        ("IPPROTO_TCP" | "SOL_TCP", name) => match name {
            "TCP_NODELAY" => i64::from(settings.nodelay),
            "TCP_CORK" | "TCP_NOPUSH" => i64::from(settings.cork),
            "TCP_NOOPT" => i64::from(settings.no_options),
            "TCP_MAXSEG" => info.map_or(i64::from(settings.mss()), |info| i64::from(info.snd_mss)),
            "TCP_KEEPINIT" => seconds(settings.handshake_timeout),
            "TCP_KEEPIDLE" => seconds(settings.keepalive.idle),
            "TCP_KEEPINTVL" => seconds(settings.keepalive.interval),
            "TCP_KEEPCNT" => i64::from(settings.keepalive.count),
            "TCP_SYNCNT" => i64::from(settings.syn_retries),
            "TCP_REMOTE_UDP_ENCAPS_PORT" => i64::from(socket.udp_port),
            _ => return Err(format!("socket option {level} {name}")),
        },
        _ => return Err(format!("socket option {level} {name}")),
    })
}

/// The figure that code blocks call `name`, if the stack keeps it.
pub(super) fn tcpi(name: &str, info: &Info, dialect: Dialect) -> Option<i64> {
    let number = |value: u64| i64::try_from(value).ok();
    let micros = |time: Duration| i64::try_from(time.as_micros()).ok();
    // Linux counts its windows in segments, FreeBSD in octets.
    let window = |octets: u64| match dialect {
        Dialect::FreeBsd | Dialect::Tou => number(octets),
        Dialect::Google if octets == u64::MAX => Some(0x7fff_ffff),
        Dialect::Google => number(octets / u64::from(info.snd_mss.max(1))),
    };
    Some(match name.strip_prefix("tcpi_")? {
        "options" => {
            let bit = |on: bool, bit: i64| if on { bit } else { 0 };
            bit(info.timestamps, 1)
                | bit(info.sack, 2)
                | bit(info.window_scale, 4)
                | bit(info.ecn, 8)
        }
        "snd_mss" => i64::from(info.snd_mss),
        "advmss" => i64::from(info.adv_mss),
        "snd_cwnd" => window(info.cwnd?)?,
        "snd_ssthresh" => window(info.ssthresh?)?,
        "rtt" => micros(info.srtt?)?,
        "rttvar" => micros(info.rttvar?)?,
        "rto" => micros(info.rto?)?,
        "unacked" => i64::from(info.unacked?),
        "sacked" => i64::from(info.sacked?),
        "lost" => i64::from(info.lost?),
        "retrans" => i64::from(info.retrans?),
        "backoff" => i64::from(info.backoff?),
        "probes" => i64::from(info.probes?),
        _ => return None,
    })
}

/// The settings of a script, from its option lines.
///
/// # Errors
/// An option that does not exist here.
pub(super) fn from_line(settings: &mut Settings, name: &str, value: &str) -> Result<bool, String> {
    let numbers = numbers(value);
    let millis = |number: u32| Duration::from_millis(u64::from(number));
    match (name, numbers[..].first().copied(), &numbers[..]) {
        ("ecn", ..) if value == "off" => settings.ecn = EcnUse::Off,
        ("timestamps", ..) if value == "off" => settings.timestamps = false,
        ("sack", ..) if value == "off" => settings.sack = false,
        ("wscale", ..) if value == "off" => settings.window_scale = false,
        ("syncookies", ..) if value == "off" => settings.cookies = Cookies::Never,
        ("syncookies", ..) if value == "always" => settings.cookies = Cookies::Always,
        ("nodelay", ..) if value == "on" => settings.nodelay = true,
        ("cc", ..) if value == "reno" => settings.congestion = Congestion::Reno,
        ("cc", ..) if value == "cubic" => settings.congestion = Congestion::Cubic,
        ("mtu", Some(mtu), [_]) if mtu <= 0xffff => settings.mtu = low(mtu),
        ("mss", Some(mss), [_]) if mss <= 0xffff => settings.mss_limit = Some(low(mss)),
        ("rcvbuf", Some(first), [.., last]) if numbers.len() <= 2 => {
            settings.recv_buffer = first;
            settings.recv_buffer_max = u64::from(*last);
        }
        ("sndbuf", Some(first), [.., last]) if numbers.len() <= 2 => {
            settings.send_buffer = first;
            settings.send_buffer_max = *last;
        }
        ("ack_delay", Some(time), [_]) => settings.delayed_ack = millis(time),
        ("time_wait", Some(time), [_]) => settings.time_wait = millis(time),
        ("fin_wait2", Some(time), [_]) => settings.fin_wait2 = millis(time),
        ("user_timeout", Some(time), [_]) => settings.user_timeout = Some(millis(time)),
        ("connect_timeout", Some(time), [_]) => settings.handshake_timeout = millis(time),
        ("iw", Some(octets), [_]) => settings.initial_window = Some(u64::from(octets)),
        ("dupthresh", Some(count), [_]) => settings.dupthresh = count,
        ("rto", _, [initial, min, max]) => {
            settings.rto_initial = millis(*initial);
            settings.rto_min = millis(*min);
            settings.rto_max = millis(*max);
        }
        ("keepalive", _, [idle, interval, count]) => {
            let (idle, interval) = (millis(*idle), millis(*interval));
            settings.keepalive = Keepalive { on: true, idle, interval, count: *count };
        }
        _ => return Ok(false),
    }
    Ok(true)
}

/// The numbers in `1:2:3`; none when one of them is no number.
fn numbers(value: &str) -> Vec<u32> {
    value.split(':').map(str::parse).collect::<Result<_, _>>().unwrap_or_default()
}

fn low(number: u32) -> u16 {
    u16::try_from(number).unwrap_or(u16::MAX)
}
