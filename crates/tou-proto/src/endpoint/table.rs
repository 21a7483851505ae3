//! Look-up tables with a keyed hash, so that nobody can aim at one bucket.
//!
//! They are looked up and never iterated: nothing that an endpoint does may
//! depend on their order.

use core::fmt;
use core::hash::{BuildHasher, Hash};

use hashbrown::HashMap;
use siphasher::sip::SipHasher13;

use crate::secret::{Purpose, Secret};

/// A table that is looked up only.
pub(super) struct Table<K, V> {
    map: HashMap<K, V, Keyed>,
}

#[derive(Clone)]
struct Keyed([u8; 16]);

impl BuildHasher for Keyed {
    type Hasher = SipHasher13;

    fn build_hasher(&self) -> SipHasher13 {
        SipHasher13::new_with_key(&self.0)
    }
}

impl<K: Hash + Eq, V> Table<K, V> {
    pub(super) fn new(secret: &Secret) -> Self {
        Self { map: HashMap::with_hasher(Keyed(secret.key(Purpose::Table))) }
    }

    pub(super) fn get(&self, key: &K) -> Option<&V> {
        self.map.get(key)
    }

    pub(super) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.map.get_mut(key)
    }

    pub(super) fn insert(&mut self, key: K, value: V) -> Option<V> {
        self.map.insert(key, value)
    }

    pub(super) fn remove(&mut self, key: &K) -> Option<V> {
        self.map.remove(key)
    }

    pub(super) fn contains(&self, key: &K) -> bool {
        self.map.contains_key(key)
    }
}

impl<K, V> fmt::Debug for Table<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Table({} entries)", self.map.len())
    }
}
