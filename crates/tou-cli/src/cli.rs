//! The command line: its grammar, its help, and what is said when it is wrong.

use std::env;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, Subcommand};

use crate::command::connect::Connect;
use crate::command::demo::Demo;
use crate::command::echo::Echo;
use crate::command::listen::Listen;
use crate::command::ping::Ping;
use crate::command::recv::Recv;
use crate::command::send::Send;
use crate::failure::Failure;

const EXIT_CODES: &str = "\
Exit codes:
  0    all went well: everything was sent, acknowledged and received
  1    failure; one line on standard error says why (none if the reader of standard output left)
  2    the arguments make no sense
  130  interrupted (128 and the number of the signal); peers are told with a reset. A second
       Ctrl-C does not wait for that. ping ends with 0 instead if anything came back";

const EXAMPLES: &str = "\
Examples:
  See it work: 64 MiB through a network that loses 5 % of all datagrams
      tou demo
  Send files; first here, then there
      tou recv 5000 --dir inbox
      tou send report.pdf photo.jpg host.example:5000
  Measure round trips
      tou echo 5000
      tou ping host.example:5000 -c 5
  Pipe something through, or talk to each other
      tou listen 5000
      tou connect host.example:5000";

const DEMO_EXAMPLES: &str = "\
Examples:
  tou demo
  tou demo movie.mkv
  tou demo --size 8MiB --drop 0.2 --reorder 0.1 --corrupt 0.02
  tou demo --drop 0 --dup 0 --reorder 0 --stats
  tou demo --size 20KiB --segments";

const DEMO_NOTES: &str = "\
Two endpoints talk over UDP sockets on 127.0.0.1, in datagrams of at most 1472 bytes. Unless options \
say otherwise, 5 % of all datagrams are lost, 1 % arrive twice, and 1 % are overtaken by others, in \
both directions. Both ends take the SHA-256 of what they see.";

const SEND_NOTES: &str = "\
Files keep their names and permissions. The receiver gives a file its name when it is complete and \
its SHA-256 is that of the sender; tou ends with 0 when all files have got that far. What it could \
not store, and why, is said here. On a path that loses much and is short, --rto-min 50ms helps; it \
is the usual 200ms unless you say otherwise, because it has to outlast any peer's delayed \
acknowledgments.

With --json there is an object for each file on standard output: \"stored\" or \"failed\".";

const SEND_EXAMPLES: &str = "\
Examples:
  tou send report.pdf photo.jpg host.example:5000
  tou send --resume movie.mkv host.example:5000
  tou send --stats --json backup.tar [2001:db8::1]:5000";

const RECV_NOTES: &str = "\
Anybody who reaches the port can leave files in the directory: use one that is for that. A file \
appears under its name when it is complete; until then, and after an interruption, what has arrived \
is in .NAME.tou-part, for 'tou send --resume'. Existing files stay unless --force is given, and names \
that lead out of the directory are refused.

With --json there is an object for each file on standard output: \"stored\" or \"failed\".";

const RECV_EXAMPLES: &str = "\
Examples:
  tou recv 5000 --dir inbox
  tou recv --once 127.0.0.1:5000
  tou recv 5000 --json | jq -r .name";

const ECHO_EXAMPLES: &str = "\
Examples:
  tou echo 5000
  tou echo 127.0.0.1:0 -v";

const PING_NOTES: &str = "\
A probe is sent when the one before has come back. TCP loses nothing: a lost datagram shows as a \
late echo. mdev is the standard deviation. With --json there is an object for each echo and one at \
the end.";

const PING_EXAMPLES: &str = "\
Examples:
  tou ping host.example:5000
  tou ping host.example:5000 -c 100 -i 0.1
  tou ping host.example:5000 -s 64KiB --stats";

const RELAY_NOTES: &str = "\
Each direction ends for itself: the end of standard input ends what is sent, and receiving goes on. \
tou ends when both directions have ended and the peer has everything. Input from a terminal also \
ends when the peer's direction does. If standard input is a pipe that never ends, use --no-input.

Impairment is for one side's datagrams: for a bad network in both directions, give the options on \
both sides, or --impair both on one.";

const LISTEN_EXAMPLES: &str = "\
Examples:
  tou listen 5000 > received.bin
  tou listen 127.0.0.1:5000 < answer.txt
  tou listen --no-input --stats 5000 | tar -x
  tou listen --segments --log-file segments.txt 5000";

const CONNECT_EXAMPLES: &str = "\
Examples:
  tou connect host.example:5000 < original.bin
  tar -c directory | tou connect --stats host.example:5000
  tou connect [2001:db8::1]:5000
  tou connect --drop 0.05 --delay 20ms --cc reno host.example:5000 < original.bin";

/// TCP over UDP: the full TCP of RFC 9293 in UDP datagrams.
#[derive(Parser, Debug)]
#[command(
    name = "tou",
    version,
    max_term_width = 100,
    after_help = format!("{EXAMPLES}\n\n{EXIT_CODES}"),
    propagate_version = true,
    arg_required_else_help = false,
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// What tou can do.
#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Send files to a 'tou recv'
    #[command(
        override_usage = "tou send [OPTIONS] <FILE>... <HOST:PORT>",
        after_help = format!("{SEND_NOTES}\n\n{SEND_EXAMPLES}\n\n{EXIT_CODES}"),
    )]
    Send(Send),
    /// Take files from any number of 'tou send's
    #[command(after_help = format!("{RECV_NOTES}\n\n{RECV_EXAMPLES}\n\n{EXIT_CODES}"))]
    Recv(Recv),
    /// Send back what anybody sends
    #[command(after_help = format!("{ECHO_EXAMPLES}\n\n{EXIT_CODES}"))]
    Echo(Echo),
    /// Time round trips through a 'tou echo'
    #[command(after_help = format!("{PING_NOTES}\n\n{PING_EXAMPLES}\n\n{EXIT_CODES}"))]
    Ping(Ping),
    /// Send data through a bad network within this process, and compare
    #[command(after_help = format!("{DEMO_NOTES}\n\n{DEMO_EXAMPLES}\n\n{EXIT_CODES}"))]
    Demo(Demo),
    /// Accept one connection: standard input to the peer, the peer to standard output
    #[command(after_help = format!("{RELAY_NOTES}\n\n{LISTEN_EXAMPLES}\n\n{EXIT_CODES}"))]
    Listen(Listen),
    /// Open a connection: standard input to the peer, the peer to standard output
    #[command(after_help = format!("{RELAY_NOTES}\n\n{CONNECT_EXAMPLES}\n\n{EXIT_CODES}"))]
    Connect(Connect),
}

/// The command, or the exit code if there is none to run.
pub(crate) fn parse() -> Result<Command, ExitCode> {
    Cli::try_parse().map(|cli| cli.command).map_err(|error| match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => match error.print() {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => Failure::output(&error).report(),
        },
        _ => {
            let page = page(&env::args().nth(1).unwrap_or_default());
            Failure::usage(one_line(&error.to_string(), &page)).report()
        }
    })
}

/// Where to read on, when the first argument was this.
fn page(first: &str) -> String {
    match Cli::command().find_subcommand(first) {
        Some(command) => format!("see 'tou help {}'", command.get_name()),
        None => "see 'tou --help'".to_owned(),
    }
}

/// The essence of what clap says in several paragraphs, and where to read on.
fn one_line(message: &str, page: &str) -> String {
    let mut parts = Vec::new();
    for paragraph in message.split("\n\n") {
        let paragraph = paragraph.trim().trim_start_matches("error: ");
        if paragraph.starts_with("Usage:") || paragraph.starts_with("For more information") {
            break;
        }
        parts.push(paragraph.split_whitespace().collect::<Vec<_>>().join(" "));
    }
    parts.push(page.to_owned());
    parts.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grammar_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn an_error_is_one_line() {
        let error = |args: &[&str]| {
            let page = page(args.get(1).copied().unwrap_or_default());
            one_line(&Cli::try_parse_from(args).unwrap_err().to_string(), &page)
        };
        assert_eq!(
            error(&["tou", "listen", "--drop", "2", "5000"]),
            "invalid value '2' for '--drop <P>': a probability is a number from 0 to 1, \
             such as 0.05; see 'tou help listen'"
        );
        assert_eq!(
            error(&["tou", "connect"]),
            "the following required arguments were not provided: <HOST:PORT>; see 'tou help connect'"
        );
        assert_eq!(
            error(&["tou", "demno"]),
            "unrecognized subcommand 'demno'; tip: a similar subcommand exists: 'demo'; \
             see 'tou --help'"
        );
        for args in [
            &["tou"][..],
            &["tou", "demo", "--drp", "1"],
            &["tou", "demo", "-v", "--log", "info"],
            &["tou", "demo", "--cc", "x"],
            &["tou", "listen", "a\nb"],
        ] {
            let error = error(args);
            assert!(!error.contains('\n') && !error.contains("error:"), "{error}");
        }
    }
}
