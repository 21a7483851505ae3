//! The parts joined: scenarios from the RFCs, then random networks and hostile peers.

mod model;
mod scenarios;
