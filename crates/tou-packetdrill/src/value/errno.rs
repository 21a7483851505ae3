//! The errors of system calls, by name, with both systems' numbers.

use core::fmt;

use super::Dialect;

/// An error of a system call.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Errno(&'static str);

macro_rules! errors {
    ($($name:ident $linux:literal $bsd:literal $doc:literal)*) => {
        impl Errno {
            $(#[doc = $doc] pub const $name: Self = Self(stringify!($name));)*

            /// Name, number on Linux, number on FreeBSD.
            const TABLE: &'static [(&'static str, i64, i64)] =
                &[$((stringify!($name), $linux, $bsd)),*];
        }
    };
}

errors! {
    EPERM 1 1 "Operation not permitted"
    EINTR 4 4 "Interrupted"
    EIO 5 5 "Input or output error"
    EBADF 9 9 "Bad file descriptor"
    EAGAIN 11 35 "Try again"
    ENOMEM 12 12 "No memory"
    EACCES 13 13 "Permission denied"
    EFAULT 14 14 "Bad address"
    EEXIST 17 17 "Exists"
    EINVAL 22 22 "Invalid argument"
    EPIPE 32 32 "Broken pipe"
    ENOTSOCK 88 38 "No socket"
    EDESTADDRREQ 89 39 "Destination address required"
    EMSGSIZE 90 40 "Message too long"
    ENOPROTOOPT 92 42 "Protocol not available"
    EPROTONOSUPPORT 93 43 "Protocol not supported"
    EOPNOTSUPP 95 45 "Operation not supported"
    EADDRINUSE 98 48 "Address in use"
    EADDRNOTAVAIL 99 49 "Address not available"
    ENETDOWN 100 50 "Network is down"
    ENETUNREACH 101 51 "Network is unreachable"
    ECONNABORTED 103 53 "Connection aborted"
    ECONNRESET 104 54 "Connection reset"
    ENOBUFS 105 55 "No buffer space"
    EISCONN 106 56 "Already connected"
    ENOTCONN 107 57 "Not connected"
    ESHUTDOWN 108 58 "Cannot send after shutdown"
    ETIMEDOUT 110 60 "Timed out"
    ECONNREFUSED 111 61 "Connection refused"
    EHOSTDOWN 112 64 "Host is down"
    EHOSTUNREACH 113 65 "No route to host"
    EALREADY 114 37 "Already in progress"
    EINPROGRESS 115 36 "In progress"
    EPROTO 71 92 "Protocol error"
}

impl Errno {
    /// The error called `name`. `EWOULDBLOCK` is `EAGAIN`, as on both systems.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let name = if name == "EWOULDBLOCK" { "EAGAIN" } else { name };
        Self::TABLE.iter().find(|row| row.0 == name).map(|row| Self(row.0))
    }

    /// Its number in `dialect`.
    #[must_use]
    pub fn number(self, dialect: Dialect) -> i64 {
        let row = Self::TABLE.iter().find(|row| row.0 == self.0);
        row.map_or(0, |&(_, linux, bsd)| if dialect == Dialect::FreeBsd { bsd } else { linux })
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl fmt::Debug for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn would_block_is_try_again() {
        assert_eq!(Errno::named("EWOULDBLOCK"), Some(Errno::EAGAIN));
        assert_eq!(Errno::named("EWHAT"), None);
    }

    #[test]
    fn no_number_is_given_twice() {
        for pick in [|row: &(&str, i64, i64)| row.1, |row: &(&str, i64, i64)| row.2] {
            let mut numbers: Vec<_> = Errno::TABLE.iter().map(pick).collect();
            numbers.sort_unstable();
            let before = numbers.len();
            numbers.dedup();
            assert_eq!(numbers.len(), before);
        }
    }
}
