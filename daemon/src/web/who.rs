//! Who asks.
//!
//! Over the network: whose token was shown. On the box's own socket: whose process it is, which
//! the kernel knows; a token shown there counts instead, so that it can be tried out.
//!
//! A page in a browser cannot put a header into the request that opens a WebSocket, but it can name
//! subprotocols: `new WebSocket(url, ["bearer", token])` shows its token that way. An address with
//! a token in it would end up in logs and histories.

use std::io;

use headstock_config::people::{Person, Role};
use headstock_config::settings::People;
use tokio::net::UnixStream;
use warp::http::HeaderMap;
use warp::http::header::{AUTHORIZATION, SEC_WEBSOCKET_PROTOCOL};

use super::error::Failure;
use crate::desk::Desk;

/// The subprotocol behind which a token stands. A browser hangs up unless it is agreed to.
pub(super) const BEARER: &str = "bearer";

/// The far end of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Peer {
    /// Someone on the network, or on this box by way of TCP.
    Network,
    /// A user of this box.
    User(Person),
}

/// Whoever it is: for what needs no name.
pub(super) fn anybody() -> Person {
    Person { name: "anybody".into(), role: Role::Viewer }
}

/// The person who asks.
pub(super) fn person(desk: &Desk, peer: &Peer, headers: &HeaderMap) -> Result<Person, Failure> {
    let token = match (headers.get(AUTHORIZATION), subprotocol(headers)) {
        (Some(said), _) => said.to_str().ok().and_then(bearer).ok_or(Failure::NoToken)?,
        (None, Some(token)) => token,
        (None, None) => {
            return match peer {
                Peer::User(person) => Ok(person.clone()),
                Peer::Network => Err(Failure::NoToken),
            };
        }
    };
    desk.bearer(token).ok_or(Failure::UnknownToken)
}

/// The token that stands behind the subprotocol [`BEARER`], if that is what is asked for.
pub(super) fn subprotocol(headers: &HeaderMap) -> Option<&str> {
    let mut said = headers.get(SEC_WEBSOCKET_PROTOCOL)?.to_str().ok()?.split(',').map(str::trim);
    let token = said.by_ref().find(|it| *it == BEARER).and_then(|_| said.next())?;
    (!token.is_empty()).then_some(token)
}

/// The token in an `Authorization` header (RFC 6750, 2.1).
fn bearer(said: &str) -> Option<&str> {
    let (scheme, token) = said.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

/// The user of this box at the far end of a socket.
pub(super) fn user(stream: &UnixStream, people: &People) -> io::Result<Person> {
    let uid = stream.peer_cred()?.uid();
    // Read each time: users come and go while the house is open.
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    Ok(person_of(uid, &passwd, people, rustix::process::geteuid().as_raw()))
}

fn person_of(uid: u32, passwd: &str, people: &People, own_uid: u32) -> Person {
    let known = name_of(uid, passwd);
    let role = match known {
        _ if uid == 0 || uid == own_uid => Role::Admin,
        Some(name) => people.role_of(name),
        None => Role::Viewer,
    };
    Person { name: known.map_or_else(|| format!("uid {uid}"), str::to_owned), role }
}

/// The name of a user in the text of `passwd(5)`.
fn name_of(uid: u32, passwd: &str) -> Option<&str> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, number) = (fields.next()?, fields.nth(1)?);
        (number.parse() == Ok(uid)).then_some(name)
    })
}

/// The number of a group in the text of `group(5)`.
pub(super) fn group_id(name: &str, group: &str) -> Option<u32> {
    group.lines().find_map(|line| {
        let mut fields = line.split(':');
        let known = fields.next()? == name;
        known.then(|| fields.nth(1)?.parse().ok()).flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\n\
        anna:x:1000:1000::/home/anna:/bin/sh\nodd line\nben:x:1001:1001::/:/bin/sh\n";

    #[test]
    fn a_user_of_the_box_is_what_the_configuration_says() {
        let people = People { operators: vec!["anna".into()], ..People::default() };
        let person = |uid| {
            let Person { name, role } = person_of(uid, PASSWD, &people, 990);
            (name, role)
        };
        assert_eq!(person(0), ("root".into(), Role::Admin));
        assert_eq!(person(990), ("uid 990".into(), Role::Admin));
        assert_eq!(person(1000), ("anna".into(), Role::Operator));
        assert_eq!(person(1001), ("ben".into(), Role::Viewer));
        assert_eq!(person(4711), ("uid 4711".into(), Role::Viewer));
    }

    #[test]
    fn only_a_bearer_header_holds_a_token() {
        let said = ["Bearer abc", "bearer  abc ", "Bearer ", "Bearer", "Basic abc", ""];
        let found = [Some("abc"), Some("abc"), None, None, None, None];
        assert_eq!(said.map(bearer), found);
    }

    #[test]
    fn a_group_has_a_number() {
        let group = "root:x:0:\nshop:x:1004:anna,ben\nempty\n";
        assert_eq!(group_id("shop", group), Some(1004));
        assert_eq!(group_id("anna", group), None);
        assert_eq!(group_id("empty", group), None);
    }

    #[tokio::test]
    async fn this_process_knows_its_own_user() {
        let (one, _other) = UnixStream::pair().unwrap();
        let person = user(&one, &People::default()).unwrap();
        assert_eq!(person.role, Role::Admin);
    }
}
