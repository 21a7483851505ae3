//! Running the program, and not for ever.

#![allow(dead_code, reason = "each test program uses some of it")]

use core::time::Duration;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStderr, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(45);

/// What a finished program leaves.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl Outcome {
    pub(crate) fn code(&self) -> Option<i32> {
        self.status.code()
    }

    pub(crate) fn text(&self) -> &str {
        core::str::from_utf8(&self.stdout).unwrap()
    }

    /// Fails with what the program said unless it ended well.
    #[track_caller]
    pub(crate) fn ok(self) -> Self {
        assert_eq!(self.code(), Some(0), "{}", self.stderr);
        self
    }

    /// Asserts that the program failed with `code` and said one line, and
    /// returns the line.
    #[track_caller]
    pub(crate) fn failed(&self, code: i32) -> &str {
        assert_eq!(self.code(), Some(code), "{}", self.stderr);
        let line = self.stderr.trim_end();
        assert!(line.starts_with("tou: ") && !line.contains('\n'), "{line}");
        line
    }
}

/// A program that runs, with its output being collected.
#[derive(Debug)]
pub(crate) struct Running {
    child: Leashed,
    /// What it has written, once that has ended.
    stdout: Option<Receiver<Vec<u8>>>,
    stderr: Receiver<Vec<u8>>,
}

/// A process that does not outlive its test, whatever becomes of that.
#[derive(Debug)]
struct Leashed(Child);

impl Drop for Leashed {
    fn drop(&mut self) {
        // It has ended already, if all went well.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The program with these arguments: no input, output to be collected.
pub(crate) fn tou(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tou"));
    command.args(args);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs the program to its end.
pub(crate) fn run(args: &[&str]) -> Outcome {
    start(tou(args)).finish()
}

/// Starts the program.
pub(crate) fn start(mut command: Command) -> Running {
    let mut child = command.spawn().unwrap();
    let stderr = BufReader::new(child.stderr.take().unwrap());
    Running::new(child, stderr)
}

/// Starts `tou listen 127.0.0.1:0` with more arguments, and returns where it
/// listens.
pub(crate) fn listen(args: &[&str], set: impl FnOnce(&mut Command)) -> (Running, String) {
    let mut command = tou(&["listen", "127.0.0.1:0"]);
    command.args(args);
    set(&mut command);
    serve(command)
}

/// Starts a program that listens on a port which the system chooses, and returns
/// where.
pub(crate) fn serve(mut command: Command) -> (Running, String) {
    let mut child = command.spawn().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    stderr.read_line(&mut line).unwrap();
    let addr = line.trim_end().strip_prefix("listening on ").expect(&line).to_owned();
    (Running::new(child, stderr), addr)
}

/// Starts `tou echo`.
pub(crate) fn echo(args: &[&str]) -> (Running, String) {
    let mut command = tou(&["echo", "127.0.0.1:0"]);
    command.args(args);
    serve(command)
}

/// Starts `tou recv` into a directory.
pub(crate) fn recv(dir: &TempDir, args: &[&str]) -> (Running, String) {
    let mut command = tou(&["recv", "127.0.0.1:0", "--dir", dir.path()]);
    command.args(args);
    serve(command)
}

impl Running {
    fn new(mut child: Child, stderr: BufReader<ChildStderr>) -> Self {
        let stdout = child.stdout.take().map(collect);
        let stderr = collect(stderr);
        Self { child: Leashed(child), stdout, stderr }
    }

    /// Its input, if that is a pipe.
    pub(crate) fn stdin(&mut self) -> ChildStdin {
        self.child.0.stdin.take().unwrap()
    }

    /// Writes all of `data` to its input, in another thread, and ends it.
    pub(crate) fn feed(&mut self, data: Vec<u8>) {
        let mut stdin = self.stdin();
        thread::spawn(move || {
            // It may have ended before it read everything.
            let _ = stdin.write_all(&data);
        });
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.0.id()
    }

    /// Sends it a signal.
    #[track_caller]
    pub(crate) fn signal(&self, signal: &str) {
        let killed = Command::new("kill").args([signal, &self.id().to_string()]).status().unwrap();
        assert!(killed.success());
    }

    /// Waits for its output to end, before it ends itself.
    #[track_caller]
    pub(crate) fn output(&mut self) -> Vec<u8> {
        let stdout = self.stdout.take().unwrap();
        stdout.recv_timeout(PATIENCE).expect("the output does not end")
    }

    /// Waits for its end.
    #[track_caller]
    pub(crate) fn finish(self) -> Outcome {
        self.finish_within(PATIENCE)
    }

    /// The same for what takes its time.
    #[track_caller]
    pub(crate) fn finish_within(mut self, limit: Duration) -> Outcome {
        let nap = Duration::from_millis(5);
        let mut left = limit;
        let status = loop {
            if let Some(status) = self.child.0.try_wait().unwrap() {
                break Some(status);
            }
            if left.is_zero() {
                self.child.0.kill().unwrap();
                self.child.0.wait().unwrap();
                break None;
            }
            thread::sleep(nap);
            left = left.saturating_sub(nap);
        };
        let stdout = self.stdout.map(|stdout| stdout.recv().unwrap()).unwrap_or_default();
        let stderr = String::from_utf8(self.stderr.recv().unwrap()).unwrap();
        let Some(status) = status else { panic!("the program does not end: {stderr}") };
        Outcome { status, stdout, stderr }
    }
}

/// Reads to the end, in another thread.
fn collect(mut from: impl Read + Send + 'static) -> Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut data = Vec::new();
        from.read_to_end(&mut data).unwrap();
        // Its test may have failed.
        let _ = sender.send(data);
    });
    receiver
}

/// Bytes that look random, and hold every value.
pub(crate) fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 24) as u8
    };
    core::iter::repeat_with(next).take(len).collect()
}

/// Fails without printing megabytes.
#[track_caller]
pub(crate) fn assert_same(got: &[u8], expected: &[u8]) {
    assert_eq!(got.len(), expected.len(), "lengths differ");
    let first = got.iter().zip(expected).position(|(got, expected)| got != expected);
    assert_eq!(first, None, "first difference");
}

/// A file of this test, gone when dropped.
#[derive(Debug)]
pub(crate) struct TempFile(PathBuf);

impl TempFile {
    pub(crate) fn new(name: &str, content: &[u8]) -> Self {
        let name = format!("{}-{name}", std::process::id());
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        File::create(&path).unwrap().write_all(content).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }

    pub(crate) fn text(&self) -> String {
        fs::read_to_string(&self.0).unwrap()
    }
}

/// A directory of this test, gone with all that is in it when dropped.
#[derive(Debug)]
pub(crate) struct TempDir(pub(crate) PathBuf);

impl TempDir {
    pub(crate) fn new(name: &str) -> Self {
        let name = format!("{}-{name}", std::process::id());
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }

    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// A file in it, by its path.
    pub(crate) fn write(&self, name: &str, content: &[u8]) -> String {
        let path = self.at(name);
        fs::write(&path, content).unwrap();
        path.into_os_string().into_string().unwrap()
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.at(name)).unwrap()
    }

    /// What is in it.
    pub(crate) fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Waits until something has come about.
#[track_caller]
pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let nap = Duration::from_millis(5);
    let mut left = PATIENCE;
    while !is_so() {
        assert!(!left.is_zero(), "{what}: in vain");
        thread::sleep(nap);
        left = left.saturating_sub(nap);
    }
}

/// The objects of an output in JSON.
#[track_caller]
pub(crate) fn objects(output: &str) -> Vec<serde_json::Value> {
    output.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
}

impl Drop for TempFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}
