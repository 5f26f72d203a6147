//! The programs of the table.

/// A program that is timed: Millstream, the raw limit or a peer.
#[derive(Debug)]
pub(crate) struct Program {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) made: Made,
    pub(crate) server: Server,
    /// Whether it has a latency mode.
    pub(crate) has_latency: bool,
    /// How it is set up, for the table.
    pub(crate) note: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Ours,
    /// The fewest commands that do it.
    Limit,
    Peer,
}

/// Where the program comes from.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Made {
    /// A subject of this program.
    Here(&'static str),
    /// A binary of the workspace `bench/peers/rust`.
    Cargo(&'static str),
    /// A folder of `bench/peers` with a `package.json` and a `bench.js`.
    Npm(&'static str),
    /// A folder of `bench/peers` with a `bench.rb`, for a gem that the system's packages bring.
    Ruby(&'static str),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Server {
    Redis,
    Postgres,
}

pub(crate) const PROGRAMS: [Program; 8] = [
    Program {
        name: "millstream",
        kind: Kind::Ours,
        made: Made::Here("ours"),
        server: Server::Redis,
        has_latency: true,
        note: "concurrency 2,048, history kept",
    },
    Program {
        name: "raw",
        kind: Kind::Limit,
        made: Made::Here("raw"),
        server: Server::Redis,
        has_latency: true,
        note: "XADD; XREADGROUP of 256, XACK + XDEL",
    },
    Program {
        name: "bullmq",
        kind: Kind::Peer,
        made: Made::Npm("bullmq"),
        server: Server::Redis,
        has_latency: true,
        note: "concurrency 100",
    },
    Program {
        name: "graphile-worker",
        kind: Kind::Peer,
        made: Made::Npm("graphile-worker"),
        server: Server::Postgres,
        has_latency: false,
        note: "on Postgres; concurrency 24, local queue of 500",
    },
    Program {
        name: "apalis-redis",
        kind: Kind::Peer,
        made: Made::Cargo("apalis"),
        server: Server::Redis,
        has_latency: false,
        note: "concurrency 1,000; can't start with more than 8,000 jobs waiting",
    },
    Program {
        name: "rusty-sidekiq",
        kind: Kind::Peer,
        made: Made::Cargo("rusty_sidekiq"),
        server: Server::Redis,
        has_latency: false,
        note: "50 workers; a crash loses jobs; no bulk push",
    },
    Program {
        name: "sidekiq",
        kind: Kind::Peer,
        made: Made::Ruby("sidekiq"),
        server: Server::Redis,
        has_latency: false,
        note: "20 threads; a crash loses jobs; one push at a time",
    },
    Program {
        name: "oxana",
        kind: Kind::Peer,
        made: Made::Cargo("oxana"),
        server: Server::Redis,
        has_latency: true,
        note: "concurrency 200; polls every ms (default: 10 s)",
    },
];

impl Program {
    /// The programs of these names, all if there are none; Millstream and the limit are always among them.
    ///
    /// # Errors
    /// A name that is no peer's.
    pub(crate) fn chosen(names: &[String]) -> anyhow::Result<Vec<&'static Self>> {
        let is_known = |name: &String| PROGRAMS.iter().any(|program| program.name == name);
        if let Some(unknown) = names.iter().find(|name| !is_known(name)) {
            anyhow::bail!("there is no peer {unknown:?}; the peers are {}", Self::peers());
        }
        let is_chosen = |program: &&Self| {
            program.kind != Kind::Peer || names.is_empty() || names.iter().any(|name| name == program.name)
        };
        Ok(PROGRAMS.iter().filter(is_chosen).collect())
    }

    /// The names of all peers, for messages.
    pub(crate) fn peers() -> String {
        let peers = PROGRAMS.iter().filter(|program| program.kind == Kind::Peer);
        peers.map(|program| program.name).collect::<Vec<_>>().join(", ")
    }

    /// What `./dev` must have installed for it.
    pub(crate) fn needs(&self) -> Vec<&'static str> {
        let mut needs = match self.made {
            Made::Here(_) | Made::Cargo(_) => vec![],
            Made::Npm(_) => vec!["node"],
            Made::Ruby(_) => vec!["sidekiq"],
        };
        if self.server == Server::Postgres {
            needs.push("postgres");
        }
        needs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(chosen: &[&'static Program]) -> Vec<&'static str> {
        chosen.iter().map(|program| program.name).collect()
    }

    #[test]
    fn millstream_and_the_limit_stand_beside_whatever_is_chosen() {
        let some = Program::chosen(&["oxana".to_owned()]).unwrap();
        assert_eq!(names(&some), ["millstream", "raw", "oxana"]);
        assert_eq!(Program::chosen(&[]).unwrap().len(), PROGRAMS.len());
    }

    #[test]
    fn an_unknown_peer_is_answered_with_those_there_are() {
        let error = Program::chosen(&["resque".to_owned()]).unwrap_err().to_string();
        assert!(error.contains("\"resque\"") && error.contains("bullmq") && !error.contains("millstream"), "{error}");
    }
}
