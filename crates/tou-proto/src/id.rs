//! Names of things: TCP ports, and the handles an endpoint gives out.

use core::fmt;
use core::num::{NonZeroU16, ParseIntError, TryFromIntError};
use core::str::FromStr;

/// A TCP port inside the datagram: never zero (RFC 9293 §3.1 leaves zero
/// unused, RFC 6335 §6 reserves it).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Port(NonZeroU16);

impl Port {
    /// The port `number`, or `None` for zero.
    #[must_use]
    pub const fn new(number: u16) -> Option<Self> {
        match NonZeroU16::new(number) {
            Some(number) => Some(Self(number)),
            None => None,
        }
    }

    /// The port's number.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0.get()
    }
}

impl From<NonZeroU16> for Port {
    fn from(number: NonZeroU16) -> Self {
        Self(number)
    }
}

impl TryFrom<u16> for Port {
    type Error = TryFromIntError;

    /// Fails for zero.
    fn try_from(number: u16) -> Result<Self, TryFromIntError> {
        NonZeroU16::try_from(number).map(Self)
    }
}

impl FromStr for Port {
    type Err = ParseIntError;

    /// Fails for zero, and for what is no decimal number below 65,536.
    fn from_str(number: &str) -> Result<Self, ParseIntError> {
        number.parse().map(Self)
    }
}

impl fmt::Debug for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// Makes a handle type: a slot and the generation of its tenant, so that a
/// handle kept after its thing is gone names nothing, and never a successor.
macro_rules! handle {
    ($(#[$doc:meta])* $name:ident, $letter:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name {
            pub(crate) slot: u32,
            pub(crate) generation: u32,
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($letter, "{}.{}"), self.slot, self.generation)
            }
        }
    };
}

handle! {
    /// A connection of an endpoint. Valid until the connection is closed,
    /// released or aborted; from then on it names nothing.
    ConnId, "c"
}

handle! {
    /// A listener of an endpoint. Valid until the listener is closed.
    ListenerId, "l"
}

handle! {
    /// A path of an endpoint: the UDP address of a peer and what is known of
    /// the way there.
    PeerId, "p"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_is_no_port() {
        assert_eq!(Port::new(0), None);
        assert!(Port::try_from(0).is_err());
        assert!("0".parse::<Port>().is_err());
        assert_eq!(Port::try_from(7).ok(), Port::new(7));
        assert_eq!("65535".parse().ok(), Port::new(65_535));
    }
}
