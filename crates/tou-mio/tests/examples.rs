//! The examples run: those that have both of their ends in them fail when
//! something did not arrive, the others are started as the programs they are.

#![allow(unreachable_pub, reason = "an example's `main`, seen from here")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "../examples/tls.rs"]
mod tls;

use core::error::Error;
use core::time::Duration;
use std::io::{BufRead, BufReader, Write};
use std::net::UdpSocket;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::{env, fs, thread};

/// Runs an example. One that waits for ever fails too.
fn run<E>(main: impl FnOnce() -> Result<(), E> + Send + 'static)
where
    Box<dyn Error>: From<E>,
{
    let (end, outcome) = mpsc::channel();
    let example = thread::spawn(move || {
        let outcome = main().map_err(|error| Box::<dyn Error>::from(error).to_string());
        // Nobody waits any more if it took too long.
        let _ = end.send(outcome);
    });
    match outcome.recv_timeout(Duration::from_secs(120)) {
        Ok(outcome) => assert_eq!(outcome, Ok(())),
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("it does not end"),
        Err(mpsc::RecvTimeoutError::Disconnected) => panic!("{:?}", example.join()),
    }
}

#[test]
fn tls_runs() {
    run(tls::main);
}

/// An example that is a program of its own; ended when dropped.
struct Program(Child);

impl Program {
    fn start(name: &str, args: &[&str]) -> Self {
        // Cargo puts them beside the folder of this test.
        let mut path = env::current_exe().unwrap();
        path.pop();
        path.pop();
        path.push("examples");
        path.push(name);
        path.set_extension(env::consts::EXE_EXTENSION);
        assert!(path.exists(), "no {name}: `cargo build -p tou-mio --examples` makes it");
        let mut command = Command::new(path);
        command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped());
        Self(command.spawn().unwrap())
    }

    fn first_line(&mut self) -> String {
        let mut line = String::new();
        BufReader::new(self.0.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        line
    }

    fn ends_well(&mut self) -> bool {
        self.0.wait().unwrap().success()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn echo_client_prints_what_echo_server_sends_back() {
    run(|| {
        let mut server = Program::start("echo_server", &["127.0.0.1:0"]);
        let listening = server.first_line();
        let addr = listening.trim().rsplit(' ').next().unwrap();
        let mut client = Program::start("echo_client", &[addr]);
        client.0.stdin.take().unwrap().write_all(b"there\nand back\n").unwrap();
        let mut printed = BufReader::new(client.0.stdout.take().unwrap()).lines();
        assert_eq!(printed.next().unwrap().unwrap(), "there");
        assert_eq!(printed.next().unwrap().unwrap(), "and back");
        assert!(printed.next().is_none());
        assert!(client.ends_well());
        Ok::<_, std::io::Error>(())
    });
}

#[test]
fn file_transfer_copies_a_file() {
    run(|| {
        let dir = env::temp_dir().join(format!("tou-file-transfer-{}", std::process::id()));
        fs::create_dir_all(&dir)?;
        let (from, to) = (dir.join("original"), dir.join("copy"));
        let data: Vec<u8> = (0..3_000_000_u32).map(|at| (at.wrapping_mul(31) >> 7) as u8).collect();
        fs::write(&from, &data)?;
        let addr = UdpSocket::bind("127.0.0.1:0")?.local_addr()?.to_string();
        let mut receiver =
            Program::start("file_transfer", &["receive", &addr, to.to_str().unwrap()]);
        // The first attempts may come before the receiver is there.
        while !Program::start("file_transfer", &["send", &addr, from.to_str().unwrap()]).ends_well()
        {
            thread::sleep(Duration::from_millis(10));
        }
        assert!(receiver.ends_well());
        assert!(fs::read(&to)? == data);
        fs::remove_dir_all(&dir)
    });
}
