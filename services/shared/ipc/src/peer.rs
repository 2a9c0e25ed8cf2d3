//! Who is at the other end of a Unix socket, as the kernel says.

use std::collections::HashMap;
use std::convert::Infallible;
use std::os::fd::AsFd;

use axum::extract::FromRequestParts;
use http::request::Parts;

/// The process that connected: its ids at that moment, from `SO_PEERCRED`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Process id; 0 when the process lives in another pid namespace.
    pub pid: u32,
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// The service's name without `holdfast-`, or `root`, or `uid:<number>`. This is what the ledger records.
    pub name: String,
}

/// Names of user ids.
#[derive(Debug, Clone, Default)]
pub struct Users(HashMap<u32, String>);

impl Users {
    /// From `HOLDFAST_USERS` (`name:uid,…`) where the supervisor set it, else from `/etc/passwd`.
    pub fn from_surroundings() -> Self {
        match std::env::var("HOLDFAST_USERS") {
            Ok(list) => Self(
                list.split(',')
                    .filter_map(|item| item.split_once(':'))
                    .filter_map(named)
                    .collect(),
            ),
            Err(_) => Self(
                std::fs::read_to_string("/etc/passwd")
                    .unwrap_or_default()
                    .lines()
                    .filter_map(|line| {
                        let mut fields = line.split(':');
                        let name = fields.next()?.strip_prefix("holdfast-")?;
                        named((name, fields.nth(1)?))
                    })
                    .collect(),
            ),
        }
    }

    fn name(&self, uid: u32) -> String {
        match self.0.get(&uid) {
            Some(name) => name.clone(),
            None if uid == 0 => "root".to_owned(),
            None => format!("uid:{uid}"),
        }
    }

    /// Asks the kernel who is at the other end of `socket`.
    ///
    /// # Errors
    ///
    /// When `socket` is not a Unix socket.
    pub fn peer_of(&self, socket: impl AsFd) -> std::io::Result<Peer> {
        let credentials = rustix::net::sockopt::socket_peercred(socket)?;
        let uid = credentials.uid.as_raw();
        Ok(Peer {
            pid: u32::try_from(credentials.pid.as_raw_nonzero().get()).unwrap_or(0),
            uid,
            gid: credentials.gid.as_raw(),
            name: self.name(uid),
        })
    }
}

fn named((name, uid): (&str, &str)) -> Option<(u32, String)> {
    Some((uid.parse().ok()?, name.to_owned()))
}

impl<S: Sync> FromRequestParts<S> for Peer {
    type Rejection = Infallible;

    /// The server puts the peer of the connection into each of its requests.
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.get::<Self>().cloned().unwrap_or_else(|| Self {
            pid: 0,
            uid: u32::MAX,
            gid: u32::MAX,
            name: "unknown".to_owned(),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_peer_by_its_user_id() {
        let (one, _other) = std::os::unix::net::UnixStream::pair().unwrap();
        let own = rustix::process::getuid().as_raw();
        let users = Users(HashMap::from([(own, "registry".to_owned())]));
        let peer = users.peer_of(&one).unwrap();
        assert_eq!(
            (peer.name.as_str(), peer.uid, peer.pid),
            ("registry", own, std::process::id())
        );
        assert_eq!(Users::default().name(4242), "uid:4242");
    }
}
