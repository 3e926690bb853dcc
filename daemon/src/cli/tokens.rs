//! Tokens for REST over TCP.

use headstock_config::api::{KnownToken, MakeToken, TokenMade};
use headstock_tui::table::table;
use headstock_tui::view::entries::role;
use headstock_tui::words::moment;
use serde::Serialize;

use super::Call;
use super::args::TokenVerb;
use super::client::encoded;
use super::exit::Exit;
use super::trouble::Trouble;

pub(super) fn token(call: &Call, what: TokenVerb) -> Result<Exit, Trouble> {
    match what {
        TokenVerb::Create { name, role } => {
            let made: TokenMade = call.client.post("auth/tokens", &MakeToken { name, role })?;
            // The token alone, so that a shell can take it up.
            call.show(&made, |it| it.token.clone());
        }
        TokenVerb::List => {
            let tokens: Vec<KnownToken> = call.client.get("auth/tokens")?;
            call.show(&tokens[..], list);
        }
        TokenVerb::Revoke { name } => {
            call.client.delete(&format!("auth/tokens/{}", encoded(&name)))?;
            call.show(&Revoked { revoked: &name }, |_| format!("token `{name}` revoked"));
        }
    }
    Ok(Exit::Done)
}

/// `token revoke --json`.
#[derive(Serialize)]
struct Revoked<'a> {
    revoked: &'a str,
}

fn list(tokens: &[KnownToken]) -> String {
    let row = |it: &KnownToken| {
        [it.name.clone(), role(it.role).to_owned(), moment(it.made_ms), it.by.clone()]
    };
    let rows: Vec<_> = tokens.iter().map(row).collect();
    table(["TOKEN", "ROLE", "MADE", "BY"], &rows)
}
