//! `tou demo`: two endpoints in one process, real sockets, a bad network.

mod data;
mod transfer;

use core::net::Ipv4Addr;
use core::time::Duration;
use std::path::PathBuf;

use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};
use tou_mio::TouSocket;
use tou_udp::Direction;

use self::data::Source;
use self::transfer::{Transfer, transfer};
use super::with_log;
use crate::failure::Failure;
use crate::format;
use crate::log::Log;
use crate::options::{Chances, CommonOptions, Defaults, NetworkOptions, Role, Timing, Tuning};
use crate::output::{Form, say};
use crate::relay::connection_failure;
use crate::stats::Page;
use crate::value;

/// A bad network with datagrams of the usual size, unless options say
/// otherwise.
const DEFAULTS: Defaults = Defaults {
    tuning: Tuning { mss: Some(1_452), timing: Some(TIMING), nodelay: false },
    chances: Chances { drop: 0.05, dup: 0.01, reorder: 0.01 },
};

/// A retransmission timeout is at least 200 ms in the world at large, because
/// it must outlast the delayed acknowledgments of any peer. Here both ends are
/// known and a round trip takes a tenth of a millisecond. The peer does not
/// vanish either, so that only the network can be to blame for silence.
const TIMING: Timing = Timing {
    rto_min: Duration::from_millis(10),
    ack_delay: Duration::from_millis(2),
    user_timeout: Duration::from_secs(120),
};

/// Send data through a bad network within this process, and compare.
#[derive(Args, Debug)]
pub(crate) struct Demo {
    /// What to send; random bytes if there is none
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// How many random bytes
    #[arg(
        long,
        value_name = "SIZE",
        default_value = "64MiB",
        value_parser = value::size,
        conflicts_with = "file",
    )]
    size: u64,
    #[command(flatten)]
    common: CommonOptions,
}

pub(crate) fn run(demo: &Demo) -> Result<(), Failure> {
    let source = match &demo.file {
        Some(path) => Source::file(path)?,
        None => Source::random(demo.size, demo.common.impairment.seed),
    };
    let log = Log::start(&demo.common.log)?;
    with_log(&log, show(demo, &log, source))
}

fn show(demo: &Demo, log: &Log, source: Source) -> Result<(), Failure> {
    let common = &demo.common;
    let title = source.title();
    let bar = progress_bar(common, source.size());
    let server = bind(common, &log.named("receiver"), Role::Listener)?;
    let client = bind(common, &log.named("sender"), Role::Connector)?;
    let form = Form::new(common.json);
    if form == Form::Words {
        let (from, to) = (client.local_addr(), server.local_addr());
        say(&format!("sending {title} from {from} to {to}"))?;
        say(&format!("network, each way: {}", common.impairment.describe(DEFAULTS.chances)))?;
    }
    let transfer = transfer(&client, &server, source, &bar);
    bar.finish_and_clear();
    if let Ok(transfer) = &transfer {
        let words = summary(transfer, &client, &server)?;
        form.say(|| words, || result(transfer))?;
    }
    if common.stats {
        stats(transfer.as_ref().ok(), &client, &server, common.json);
    }
    if transfer?.is_equal() {
        Ok(())
    } else {
        Err(Failure::new("what arrived is not what was sent"))
    }
}

fn stats(transfer: Option<&Transfer>, client: &TouSocket, server: &TouSocket, is_json: bool) {
    let mut page = Page::default();
    page.side("sender");
    if let Some(transfer) = transfer {
        page.connection(&transfer.sender, transfer.live);
    }
    page.socket(client);
    page.side("receiver");
    if let Some(transfer) = transfer {
        page.connection(&transfer.receiver, None);
    }
    page.socket(server);
    page.show(is_json);
}

fn bind(common: &CommonOptions, log: &Log, role: Role) -> Result<TouSocket, Failure> {
    let builder = common.socket(role, DEFAULTS)?;
    common
        .bind(log, builder, &NetworkOptions::default(), &[(Ipv4Addr::LOCALHOST, 0).into()])
        .map_err(|error| Failure::cannot("open a socket on 127.0.0.1", &error))
}

/// A bar on a terminal that nothing else is written to.
fn progress_bar(common: &CommonOptions, size: Option<u64>) -> ProgressBar {
    if common.log.is_talkative() {
        return ProgressBar::hidden();
    }
    let style = match size {
        Some(_) => "{wide_bar} {bytes} of {total_bytes}  {bytes_per_sec}  {eta} left",
        None => "{spinner} {bytes}  {bytes_per_sec}",
    };
    // Not on a terminal it hides by itself.
    let bar = ProgressBar::with_draw_target(size, ProgressDrawTarget::stderr());
    match ProgressStyle::with_template(style) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

fn result(transfer: &Transfer) -> Value {
    let Transfer { sent, received, time, .. } = transfer;
    json!({
        "event": "demo",
        "equal": transfer.is_equal(),
        "sent": { "bytes": sent.bytes, "sha256": format::hex(&sent.sha256) },
        "received": { "bytes": received.bytes, "sha256": format::hex(&received.sha256) },
        "seconds": time.as_secs_f64(),
    })
}

fn summary(transfer: &Transfer, client: &TouSocket, server: &TouSocket) -> Result<String, Failure> {
    let Transfer { sender, sent, received, time, .. } = transfer;
    let counters = sender.info().map_err(|error| connection_failure(&error, sender))?.counters;
    let mut lines = Vec::new();
    let mut line = |name: &str, value: String| lines.push(format!("{name:<18} {value}"));
    line("sent", format::bytes(sent.bytes));
    line("received", format::bytes(received.bytes));
    line("time", format::time(*time));
    line("goodput", format::rate(received.bytes, *time));
    line(
        "retransmitted",
        format!(
            "{} of {} ({})",
            format::grouped(counters.segments_retransmitted),
            format::counted(counters.segments_sent, "segment"),
            format::bytes(counters.bytes_retransmitted),
        ),
    );
    line(
        "recovery",
        format!(
            "{}, {}, {}",
            format::counted(counters.timeouts, "timeout"),
            format::counted(counters.tail_probes, "tail loss probe"),
            match counters.fast_recoveries {
                1 => "1 fast recovery".to_owned(),
                many => format!("{} fast recoveries", format::grouped(many)),
            },
        ),
    );
    for (name, socket, direction) in [
        ("network, data", client, Direction::Send),
        ("network, data", server, Direction::Receive),
        ("network, replies", server, Direction::Send),
        ("network, replies", client, Direction::Receive),
    ] {
        if let Some(stats) = socket.impairment_stats(direction) {
            let [came, lost, twice, late] = [
                stats.came,
                stats.dropped + stats.discarded + stats.overflowed,
                stats.duplicated,
                stats.reordered,
            ]
            .map(format::grouped);
            line(name, format!("{came} datagrams: {lost} lost, {twice} doubled, {late} overtaken"));
        }
    }
    line("SHA-256, sent", format::hex(&sent.sha256));
    line("SHA-256, received", format::hex(&received.sha256));
    let verdict = if transfer.is_equal() { "equal" } else { "DIFFERENT" };
    line("result", verdict.to_owned());
    Ok(lines.join("\n"))
}
