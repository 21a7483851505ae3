//! What is in the directory before, meanwhile and after.

use std::fs;
use std::io::Read;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use super::*;

/// A directory of this test, gone when dropped.
struct Place(PathBuf);

impl Place {
    fn new(test: &str) -> Self {
        let name = format!("tou-store-{}-{test}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn directory(&self) -> Directory {
        Directory::open(&self.0).unwrap()
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn name(name: &str) -> FileName {
    FileName::new(name).unwrap()
}

fn written<'a>(directory: &'a Directory, file: &str, data: &[u8], force: bool) -> Partial<'a> {
    let mut partial = directory.begin(&name(file), force).unwrap();
    partial.cut(0).unwrap();
    partial.write_all(data).unwrap();
    partial
}

#[test]
fn a_file_has_its_name_only_when_it_is_complete() {
    let place = Place::new("complete");
    let directory = place.directory();
    let partial = written(&directory, "x", b"content", false);
    assert_eq!(place.names(), [".x.tou-part"]);
    partial.commit(0o755, false).unwrap();
    assert_eq!(place.names(), ["x"]);
    assert_eq!(fs::read(place.at("x")).unwrap(), b"content");
    let mode = fs::metadata(place.at("x")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o755 & !directory.mask);
}

#[test]
fn what_exists_stays_unless_forced() {
    let place = Place::new("exists");
    let directory = place.directory();
    fs::write(place.at("x"), b"old").unwrap();
    assert!(matches!(directory.begin(&name("x"), false), Err(StoreError::Exists)));
    let partial = written(&directory, "x", b"new", true);
    partial.commit(0o644, true).unwrap();
    assert_eq!(fs::read(place.at("x")).unwrap(), b"new");
    fs::create_dir(place.at("d")).unwrap();
    assert!(matches!(directory.begin(&name("d"), true), Err(StoreError::Io(_))));
}

#[test]
fn a_file_that_came_meanwhile_is_not_overwritten() {
    let place = Place::new("meanwhile");
    let directory = place.directory();
    let partial = written(&directory, "x", b"new", false);
    fs::write(place.at("x"), b"theirs").unwrap();
    assert!(matches!(partial.commit(0o644, false), Err(StoreError::Exists)));
    assert_eq!(fs::read(place.at("x")).unwrap(), b"theirs");
}

#[test]
fn links_are_not_followed() {
    let place = Place::new("links");
    let directory = place.directory();
    fs::write(place.at("victim"), b"precious").unwrap();
    symlink(place.at("victim"), place.at(".x.tou-part")).unwrap();
    symlink(place.at("nowhere"), place.at("dangling")).unwrap();
    assert!(matches!(directory.begin(&name("x"), false), Err(StoreError::Foreign)));
    assert!(matches!(directory.begin(&name("dangling"), false), Err(StoreError::Exists)));
    // A forced name is taken from the link, and what it leads to stays.
    symlink(place.at("victim"), place.at("y")).unwrap();
    written(&directory, "y", b"new", true).commit(0o644, true).unwrap();
    assert!(fs::symlink_metadata(place.at("y")).unwrap().is_file());
    fs::hard_link(place.at("victim"), place.at(".z.tou-part")).unwrap();
    assert!(matches!(directory.begin(&name("z"), false), Err(StoreError::Foreign)));
    assert_eq!(fs::read(place.at("victim")).unwrap(), b"precious");
}

#[test]
fn a_pipe_in_its_place_is_not_waited_for() {
    let place = Place::new("pipe");
    nix::unistd::mkfifo(&place.at(".x.tou-part"), Mode::S_IRWXU).unwrap();
    assert!(matches!(place.directory().begin(&name("x"), false), Err(StoreError::Foreign)));
}

#[test]
fn one_name_is_written_by_one_at_a_time() {
    let place = Place::new("busy");
    let directory = place.directory();
    let partial = written(&directory, "x", b"half", false);
    assert!(matches!(directory.begin(&name("x"), false), Err(StoreError::Busy)));
    drop(partial);
    let mut partial = directory.begin(&name("x"), false).unwrap();
    assert_eq!(partial.len().unwrap(), 4);
    let mut text = String::new();
    partial.read().unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(text, "half");
    partial.cut(2).unwrap();
    partial.write_all(b"ppy").unwrap();
    partial.commit(0o600, false).unwrap();
    assert_eq!(fs::read(place.at("x")).unwrap(), b"happy");
}

#[test]
fn what_is_worth_nothing_is_removed() {
    let place = Place::new("discard");
    let directory = place.directory();
    written(&directory, "x", b"wrong", false).discard().unwrap();
    assert!(place.names().is_empty());
}

#[test]
fn a_directory_that_is_none_is_refused() {
    assert!(Directory::open(Path::new("/no/such/directory")).is_err());
    assert!(Directory::open(Path::new("/dev/null")).is_err());
}
