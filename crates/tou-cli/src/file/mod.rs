//! Files over a stream: what `tou send` and `tou recv` say to each other.
//!
//! docs/FILE-TRANSFER.md has the protocol for readers of the wire. Here `frame` has
//! its octets, `name` the names that are taken, `store` the directory they go
//! to, `sender` and `receiver` the two sides.

pub(crate) mod frame;
pub(crate) mod name;
pub(crate) mod progress;
pub(crate) mod receiver;
pub(crate) mod sender;
pub(crate) mod store;

use core::time::Duration;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::format;

/// A file that has arrived whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) name: String,
    pub(crate) bytes: u64,
    /// Where an interrupted transfer was taken up again.
    pub(crate) resumed_at: u64,
    pub(crate) sha256: Hash,
    pub(crate) time: Duration,
}

/// A SHA-256.
pub(crate) type Hash = [u8; 32];

impl Stored {
    /// `verb`: what was done with it.
    pub(crate) fn words(&self, verb: &str, peer: &str) -> String {
        let Self { name, bytes, resumed_at, sha256, time } = self;
        let resumed = match resumed_at {
            0 => String::new(),
            at => format!(" (resumed at {})", format::grouped(*at)),
        };
        let rate = format::rate(bytes - resumed_at, *time);
        format!(
            "{verb} {name}, {peer}: {}{resumed} in {}, {rate}, SHA-256 {}",
            format::bytes(*bytes),
            format::time(*time),
            format::hex(sha256),
        )
    }

    pub(crate) fn json(&self, peer: &str) -> Value {
        json!({
            "event": "stored",
            "name": self.name,
            "bytes": self.bytes,
            "resumed_at": self.resumed_at,
            "seconds": self.time.as_secs_f64(),
            "sha256": format::hex(&self.sha256),
            "peer": peer,
        })
    }
}

/// A file that did not arrive, for those who read JSON.
pub(crate) fn failed_json(name: &str, reason: &str, peer: &str) -> Value {
    json!({ "event": "failed", "name": name, "reason": reason, "peer": peer })
}

fn finish(hash: Sha256) -> Hash {
    hash.finalize().into()
}
