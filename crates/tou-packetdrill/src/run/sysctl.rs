//! Kernel variables, mapped to settings.
//!
//! Four kinds: those that change a setting; those whose scripted value is what
//! this stack does anyway, so that they change nothing, and any other value is
//! a skip; those that ask for what an RFC forbids, which are declined, so that
//! the script runs and its expectations tell; and those without a meaning here.

use core::time::Duration;

use super::settings::{Cookies, EcnUse, Settings};

/// Sets `name` to `value` in `settings`.
///
/// # Errors
/// The variable, when it or this value of it does not exist here.
pub fn set(settings: &mut Settings, name: &str, value: &str) -> Result<(), String> {
    let unknown = || format!("sysctl {name}={value}");
    let short = name
        .strip_prefix("net.inet.tcp.")
        .or_else(|| name.strip_prefix("net.ipv4.tcp_"))
        .unwrap_or(name);
    if short == "udp_tunneling_port" || is_meaningless(short) || is_declined(short) {
        return Ok(());
    }
    let number: u64 = value.parse().map_err(|_| unknown())?;
    let known = if name.starts_with("net.ipv4.") {
        linux(settings, short, number)
    } else {
        switch(settings, short, number)
            || duration(settings, short, number)
            || size(settings, short, number)
    };
    if known || is_as_always(short, number) { Ok(()) } else { Err(unknown()) }
}

/// Variables that choose between behaviours.
fn switch(settings: &mut Settings, name: &str, value: u64) -> bool {
    let on = value != 0;
    match name {
        "rfc1323" if value <= 1 => {
            settings.timestamps = on;
            settings.window_scale = on;
        }
        "sack.enable" if value <= 1 => settings.sack = on,
        "ecn.enable" => {
            settings.ecn = match value {
                0 => EcnUse::Off,
                1 => EcnUse::Active,
                2 => EcnUse::Passive,
                _ => return false,
            };
        }
        "syncookies" => {
            settings.cookies = match (settings.cookies, on) {
                (Cookies::Never, true) => Cookies::WhenFull,
                (_, false) => Cookies::Never,
                (same, true) => same,
            };
        }
        "syncookies_only" => {
            settings.cookies = match (settings.cookies, on) {
                (_, true) => Cookies::Always,
                (Cookies::Always, false) => Cookies::WhenFull,
                (same, false) => same,
            };
        }
        _ => return false,
    }
    true
}

/// Variables that are times in milliseconds.
fn duration(settings: &mut Settings, name: &str, millis: u64) -> bool {
    let time = Duration::from_millis(millis);
    match name {
        "rexmit_initial" => settings.rto_initial = time,
        "rexmit_min" => settings.rto_min = time,
        "keepinit" => settings.handshake_timeout = time,
        "keepidle" => settings.keepalive.idle = time,
        "keepintvl" => settings.keepalive.interval = time,
        "delacktime" => settings.delayed_ack = time,
        "msl" => settings.time_wait = time * 2,
        "finwait2_timeout" => settings.fin_wait2 = time,
        _ => return false,
    }
    true
}

/// Variables that are sizes or counts.
fn size(settings: &mut Settings, name: &str, value: u64) -> bool {
    let small = u32::try_from(value);
    match (name, small) {
        ("kern.ipc.maxsockbuf", _) => settings.recv_buffer_max = value,
        ("recvspace", Ok(size)) => settings.recv_buffer = size,
        ("sendspace", Ok(size)) => {
            settings.send_buffer = size;
            settings.send_buffer_max = size;
        }
        ("keepcnt", Ok(count)) => settings.keepalive.count = count,
        ("initcwnd_segments", _) => {
            settings.initial_window = Some(value.saturating_mul(u64::from(settings.mss())));
        }
        ("ecn.maxretries", Ok(count)) => {
            settings.ecn_syn_retries = u8::try_from(count).unwrap_or(u8::MAX);
        }
        _ => return false,
    }
    true
}

/// Linux's names.
fn linux(settings: &mut Settings, name: &str, value: u64) -> bool {
    let on = value != 0;
    match name {
        "timestamps" => settings.timestamps = on,
        "sack" => settings.sack = on,
        "window_scaling" => settings.window_scale = on,
        "syn_retries" => settings.syn_retries = u8::try_from(value).unwrap_or(u8::MAX),
        "ecn" => {
            settings.ecn = match value {
                0 => EcnUse::Off,
                1 => EcnUse::Active,
                2 => EcnUse::Passive,
                _ => return false,
            };
        }
        "fin_timeout" => settings.time_wait = Duration::from_secs(value),
        _ => return false,
    }
    true
}

/// Values that this stack's behaviour equals, whether set or not.
fn is_as_always(name: &str, value: u64) -> bool {
    matches!(
        (name, value),
        ("blackhole" | "fastopen.client_enable" | "fastopen.server_enable", 0)
            | ("path_mtu_discovery" | "tolerate_missing_ts", 1)
            | ("udp_tunneling_overhead", 8)
            | ("mssdflt", 536)
            | ("v6mssdflt" | "v6pmtud_blackhole_mss", 1220)
            | ("pmtud_blackhole_mss", 1200)
    )
}

/// Variables that choose between what an RFC says and something else. They are
/// declined whatever their value: the script runs, and where it differs, the
/// list of expected differences has the reason.
fn is_declined(name: &str) -> bool {
    matches!(
        name,
        // RFC 5961 §3.2 and §4.2 are not for switching off.
        "insecure_rst" | "insecure_syn"
        // RFC 9293 §3.10.7.2: a SYN opens a connection, also with a FIN.
        | "drop_synfin"
        // RFC 8899 §4.4: a path that swallows large segments is always looked for.
        | "pmtud_blackhole_detection"
        // RFC 9293 §3.9.2.2 says which ICMP errors end a connection.
        | "icmp_may_rst"
        // RFC 6298 §5.5: the timeout is doubled, and nothing is added to it.
        | "rexmit_slop"
        // A SYN is retransmitted as it was sent.
        | "rexmit_drop_options"
    )
}

/// Variables of a cache that does not exist here.
fn is_meaningless(name: &str) -> bool {
    name == "hostcache.purgenow"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(lines: &[(&str, &str)]) -> Settings {
        let mut settings = Settings::default();
        for (name, value) in lines {
            set(&mut settings, name, value).unwrap();
        }
        settings
    }

    #[test]
    fn variables_become_settings() {
        let s = after(&[
            ("net.inet.tcp.rfc1323", "0"),
            ("net.inet.tcp.sack.enable", "0"),
            ("net.inet.tcp.ecn.enable", "1"),
            ("net.inet.tcp.rexmit_initial", "3000"),
            ("net.inet.tcp.msl", "500"),
            ("kern.ipc.maxsockbuf", "4294967295"),
        ]);
        assert!(!s.timestamps && !s.window_scale && !s.sack);
        assert_eq!(s.ecn, EcnUse::Active);
        assert_eq!(s.rto_initial, Duration::from_secs(3));
        assert_eq!(s.time_wait, Duration::from_secs(1));
        assert_eq!(s.recv_buffer_max, 4_294_967_295);
    }

    #[test]
    fn cookies_come_back_to_where_they_were() {
        let only = ("net.inet.tcp.syncookies_only", "1");
        let not_only = ("net.inet.tcp.syncookies_only", "0");
        let on = ("net.inet.tcp.syncookies", "1");
        let off = ("net.inet.tcp.syncookies", "0");
        assert_eq!(after(&[on, only]).cookies, Cookies::Always);
        assert_eq!(after(&[only, not_only]).cookies, Cookies::WhenFull);
        assert_eq!(after(&[off, not_only]).cookies, Cookies::Never);
        assert_eq!(after(&[off, on]).cookies, Cookies::WhenFull);
    }

    #[test]
    fn what_an_rfc_forbids_is_declined_and_runs() {
        let lines = [("net.inet.tcp.insecure_rst", "1"), ("net.inet.tcp.rexmit_slop", "200")];
        assert_eq!(after(&lines), Settings::default());
    }

    #[test]
    fn a_value_we_do_not_have_is_refused_by_name() {
        let mut settings = Settings::default();
        assert_eq!(set(&mut settings, "net.inet.tcp.blackhole", "0"), Ok(()));
        assert_eq!(
            set(&mut settings, "net.inet.tcp.blackhole", "1"),
            Err("sysctl net.inet.tcp.blackhole=1".to_owned())
        );
        assert!(set(&mut settings, "net.inet.tcp.unheard_of", "0").is_err());
        assert!(set(&mut settings, "net.inet.tcp.msl", "soon").is_err());
        assert_eq!(settings, Settings::default());
    }
}
