//! Every bound that an endpoint has: fill it, see its counter, see that another
//! connection does not suffer, and that no more memory is live than the bound says.
//!
//! | bound | set by | counted as | test |
//! |---|---|---|---|
//! | connections | `max_connections` | `connections_refused` | `endpoint::connections` |
//! | backlog of a listener | `listen` | `syns_dropped` | `endpoint::backlog` |
//! | SYN cache | `max_syn_cache`, `listen` | `syn_cache_overflows`, `syn_cookies_sent` | `endpoint::syn_cache` |
//! | answers to SYNs by timer | `syn_ack_retries` | `handshakes_timed_out` | `tests/syn_cache.rs` |
//! | TIME-WAIT | `max_time_wait` | `time_wait_evicted` | `endpoint::time_wait` |
//! | stray resets | `stray_replies_per_second` | `stray_replies_suppressed` | `endpoint::stray_resets` |
//! | paths | connections and TIME-WAIT | their counters | `endpoint::paths` |
//! | turns to send | connections | nothing is dropped | `endpoint::those_who_wait_to_send` |
//! | events | one a connection | nothing is dropped | `endpoint::events` |
//! | memory of all buffers | `max_memory` | `memory_limited` | `memory` |
//! | send buffer | `send_buffer` | `writes_refused` | `connection::send_buffer` |
//! | segments outstanding | `send_buffer` | `segments_limited` | `connection::segments_outstanding` |
//! | receive buffer | `recv_buffer` | `bytes_beyond_window` | `connection::receive_buffer` |
//! | ranges out of order | `max_reassembly_ranges` | `reassembly_bytes_dropped` | `connection::ranges_out_of_order` |
//! | bytes out of order | `max_reassembly_bytes` | `reassembly_bytes_dropped` | `connection::bytes_out_of_order` |
//! | challenge ACKs | `challenge_acks_per_second` | `challenge_acks_suppressed` | `connection::challenge_acks` |

mod connection;
mod endpoint;
mod memory;
