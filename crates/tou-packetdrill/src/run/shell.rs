//! Shell lines, read as what they do. Nothing is ever run.

use super::stack::State;

/// What one shell line does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Sets a kernel variable.
    Sysctl {
        /// Its name.
        name: String,
        /// Its value.
        value: String,
    },
    /// Counts sockets in a state and looks for `wanted` in the count, both as
    /// text: `grep -c TIME_WAIT | grep 1`.
    Count {
        /// The state.
        state: State,
        /// What the count must contain.
        wanted: String,
    },
    /// Forgets every connection in a state.
    Drop(State),
    /// Sets what Google's `common/defaults.sh` does.
    LinuxDefaults,
    /// Does nothing that can be seen.
    Nothing,
}

/// Reads the command `text`, which may have several lines.
///
/// # Errors
/// The line that is not understood.
pub fn read(text: &str) -> Result<Vec<Step>, String> {
    let joined = text.replace("\\\n", " ");
    let mut steps = Vec::new();
    for line in joined.split(['\n', ';']) {
        let line = line.split(" #").next().unwrap_or_default().trim();
        if !line.is_empty() && !line.starts_with('#') {
            self::line(line, &mut steps).ok_or_else(|| format!("shell line `{line}`"))?;
        }
    }
    Ok(steps)
}

fn line(line: &str, steps: &mut Vec<Step>) -> Option<()> {
    let words: Vec<&str> = line.split_whitespace().collect();
    match *words.first()? {
        "sysctl" => {
            let set: Vec<_> = words[1..].iter().filter(|word| !word.starts_with('-')).collect();
            for word in &set {
                let (name, value) = word.split_once('=')?;
                let (name, value) = (name.replace('/', "."), value.to_owned());
                steps.push(Step::Sysctl { name, value });
            }
            (!set.is_empty()).then_some(())
        }
        "sockstat" => {
            steps.push(count(line)?);
            Some(())
        }
        "tcpdrop" if words.len() == 3 && words[1] == "-s" => {
            steps.push(Step::Drop(State::named(words[2])?));
            Some(())
        }
        script if words.len() == 1 && script.ends_with("common/defaults.sh") => {
            steps.push(Step::LinuxDefaults);
            Some(())
        }
        "true" | ":" => {
            steps.push(Step::Nothing);
            Some(())
        }
        // Linux's cache of what is known about peers: there is none here.
        "ip" if line.starts_with("ip tcp_metrics flush") => {
            steps.push(Step::Nothing);
            Some(())
        }
        _ => None,
    }
}

/// `sockstat ... | grep -c STATE | grep N`, with any `grep packetdril` between.
fn count(line: &str) -> Option<Step> {
    let mut state = None;
    let mut wanted = None;
    for stage in line.split('|').skip(1) {
        let words: Vec<&str> = stage.split_whitespace().collect();
        match words[..] {
            ["grep", "packetdril"] if state.is_none() => {}
            ["grep", "-c", name] if state.is_none() => state = Some(State::named(name)?),
            ["grep", text] if state.is_some() && wanted.is_none() => wanted = Some(text.to_owned()),
            _ => return None,
        }
    }
    Some(Step::Count { state: state?, wanted: wanted? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sysctl(name: &str, value: &str) -> Step {
        Step::Sysctl { name: name.to_owned(), value: value.to_owned() }
    }

    #[test]
    fn variables_one_or_several() {
        assert_eq!(read("sysctl -w a.b=1"), Ok(vec![sysctl("a.b", "1")]));
        assert_eq!(
            read("sysctl -q a/b=1 \\\n  c=2\n# note\nsysctl -e -q d=3 # why"),
            Ok(vec![sysctl("a.b", "1"), sysctl("c", "2"), sysctl("d", "3")])
        );
    }

    #[test]
    fn looks_at_the_socket_table() {
        assert_eq!(
            read("sockstat -6 -P tcp -s | grep packetdril | grep -c CLOSING | grep 1"),
            Ok(vec![Step::Count { state: State::Closing, wanted: "1".to_owned() }])
        );
        assert_eq!(
            read("sockstat -4 -P tcp -p 8080 -s | grep -c SYN_RCVD | grep 0"),
            Ok(vec![Step::Count { state: State::SynReceived, wanted: "0".to_owned() }])
        );
        assert_eq!(read("../../common/defaults.sh"), Ok(vec![Step::LinuxDefaults]));
        assert_eq!(read("tcpdrop -s TIME_WAIT"), Ok(vec![Step::Drop(State::TimeWait)]));
    }

    #[test]
    fn anything_else_is_quoted() {
        for text in [
            "rm -rf x",
            "sysctl -a",
            "sockstat -4 | wc -l",
            "sockstat | grep -c NO_STATE | grep 1",
            "tcpdrop -a",
            "sysctl -w a=1; reboot",
        ] {
            let error = read(text).unwrap_err();
            assert!(error.starts_with("shell line `"), "{error}");
        }
        assert_eq!(read("sysctl a=1\nls"), Err("shell line `ls`".to_owned()));
    }
}
