//! A deterministic network of tou endpoints, and test harnesses on top of it.
//!
//! | module | is | knows |
//! |---|---|---|
//! | [`rng`] | one fixed generator, a stream for each user | nothing |
//! | [`link`] | one direction of a path: what becomes of a datagram, and when | lengths and time |
//! | [`trace`] | what was sent and what became of it, as text and as a digest | segments |
//! | [`host`] | an endpoint with an address and a clock | the endpoint |
//! | [`audit`] | what no TCP may do, checked on every segment sent | segments |
//! | [`world`] | hosts and links on one virtual clock | hosts, links, trace |
//! | [`pair`] | a client, a server and the path between them | the world |
//! | [`talk`] | a program at one end of a connection | its host |
//! | [`script`] | one endpoint against literal segments | its host |
//! | [`presets`] | configurations that tests share | nothing |
//!
//! Everything follows from one seed: the same program with the same seed gives
//! the same run, datagram by datagram, in debug and release, on every machine.
//! Each link and each host draws from a stream of its own, and each datagram
//! takes the same number of draws, so that turning one knob does not change
//! what chance does elsewhere.
//!
//! These are harnesses: what breaks a promise makes them panic, with the seed
//! and the last datagrams.
//!
//! A stream through a path that loses every fifth datagram:
//!
//! ```
//! use tou_sim::Pair;
//!
//! let mut pair = Pair::new(7);
//! pair.both(|knobs| knobs.loss = 0.2);
//! let (client, server) = pair.connect();
//! pair.client().write(client, b"hello").unwrap();
//! let mut data = [0; 5];
//! pair.run_until(|pair| pair.server().read(server, &mut data).is_ok());
//! assert_eq!(&data, b"hello");
//! ```

pub mod audit;
pub mod host;
pub mod link;
pub mod pair;
pub mod presets;
pub mod rng;
pub mod script;
pub mod talk;
pub mod trace;
pub mod world;

pub use self::host::Host;
pub use self::link::{Fate, Knobs, Link, LossCause};
pub use self::pair::{Pair, PairBuilder};
pub use self::rng::SimRng;
pub use self::script::{Script, Seg};
pub use self::talk::{Manners, Talk};
pub use self::trace::{Record, Trace};
pub use self::world::{HostId, World};
