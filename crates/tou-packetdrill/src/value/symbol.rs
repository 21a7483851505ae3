//! Constants of the socket interface, with both systems' numbers.
//!
//! Only those whose number matters: flags that are combined, and values that a
//! script compares. Names of options and levels are matched as names.

use super::Dialect;

/// Name, number on Linux, number on FreeBSD.
const TABLE: &[(&str, i64, i64)] = &[
    ("NULL", 0, 0),
    ("O_RDONLY", 0, 0),
    ("O_WRONLY", 1, 1),
    ("O_RDWR", 2, 2),
    ("O_NONBLOCK", 0x800, 0x4),
    ("SHUT_RD", 0, 0),
    ("SHUT_WR", 1, 1),
    ("SHUT_RDWR", 2, 2),
    ("MSG_OOB", 0x1, 0x1),
    ("MSG_PEEK", 0x2, 0x2),
    ("MSG_DONTROUTE", 0x4, 0x4),
    ("MSG_TRUNC", 0x20, 0x10),
    ("MSG_DONTWAIT", 0x40, 0x80),
    ("MSG_EOR", 0x80, 0x8),
    ("MSG_WAITALL", 0x100, 0x40),
    ("MSG_ERRQUEUE", 0x2000, 0),
    ("MSG_NOSIGNAL", 0x4000, 0x2_0000),
    ("MSG_MORE", 0x8000, 0),
    ("MSG_ZEROCOPY", 0x400_0000, 0),
    ("MSG_FASTOPEN", 0x2000_0000, 0),
    ("POLLIN", 0x1, 0x1),
    ("POLLPRI", 0x2, 0x2),
    ("POLLOUT", 0x4, 0x4),
    ("POLLERR", 0x8, 0x8),
    ("POLLHUP", 0x10, 0x10),
    ("POLLNVAL", 0x20, 0x20),
    ("POLLRDHUP", 0x2000, 0x4000),
    ("EPOLLIN", 0x1, 0),
    ("EPOLLOUT", 0x4, 0),
    ("EPOLLERR", 0x8, 0),
    ("EPOLLHUP", 0x10, 0),
    ("EPOLLRDHUP", 0x2000, 0),
    // States: Linux's numbers for its names, FreeBSD's for its own.
    ("TCP_ESTABLISHED", 1, 1),
    ("TCP_SYN_SENT", 2, 2),
    ("TCP_SYN_RECV", 3, 3),
    ("TCP_FIN_WAIT1", 4, 4),
    ("TCP_FIN_WAIT2", 5, 5),
    ("TCP_TIME_WAIT", 6, 6),
    ("TCP_CLOSE", 7, 7),
    ("TCP_CLOSE_WAIT", 8, 8),
    ("TCP_LAST_ACK", 9, 9),
    ("TCP_LISTEN", 10, 10),
    ("TCP_CLOSING", 11, 11),
    ("TCPI_CLOSED", 0, 0),
    ("TCPI_LISTEN", 1, 1),
    ("TCPI_SYN_SENT", 2, 2),
    ("TCPI_SYN_RECEIVED", 3, 3),
    ("TCPI_ESTABLISHED", 4, 4),
    ("TCPI_CLOSE_WAIT", 5, 5),
    ("TCPI_FIN_WAIT_1", 6, 6),
    ("TCPI_CLOSING", 7, 7),
    ("TCPI_LAST_ACK", 8, 8),
    ("TCPI_FIN_WAIT_2", 9, 9),
    ("TCPI_TIME_WAIT", 10, 10),
    ("TCPI_OPT_TIMESTAMPS", 1, 1),
    ("TCPI_OPT_SACK", 2, 2),
    ("TCPI_OPT_WSCALE", 4, 4),
    ("TCPI_OPT_ECN", 8, 8),
    ("TCPI_OPT_ECN_SEEN", 16, 0),
    ("TCPI_OPT_SYN_DATA", 32, 0),
    ("TCP_CA_Open", 0, 0),
    ("TCP_CA_Disorder", 1, 1),
    ("TCP_CA_CWR", 2, 2),
    ("TCP_CA_Recovery", 3, 3),
    ("TCP_CA_Loss", 4, 4),
    ("TCP_INFINITE_SSTHRESH", 0x7fff_ffff, 0x7fff_ffff),
];

/// The number of the constant `name` in `dialect`, if it has one there.
#[must_use]
pub fn constant(name: &str, dialect: Dialect) -> Option<i64> {
    let &(_, linux, bsd) = TABLE.iter().find(|row| row.0 == name)?;
    Some(if dialect == Dialect::FreeBsd { bsd } else { linux })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_stands_twice() {
        let mut names: Vec<_> = TABLE.iter().map(|row| row.0).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), TABLE.len());
    }
}
