//! Tokens: who may come in over the network.

use headstock_config::api::{KnownToken, MakeToken, TokenMade};
use headstock_config::ledger::{Fact, Request, Token};
use headstock_config::people::{Person, Role};

use super::{Desk, Refused};
use crate::authz::{least, may};
use crate::clock::now_ms;

/// Random bytes in a token; written as hexadecimal.
const SECRET: usize = 24;

impl Desk {
    /// Makes a token. The secret is in the answer and nowhere else.
    pub async fn make_token(&self, who: &Person, ask: MakeToken) -> Result<TokenMade, Refused> {
        let MakeToken { name, role } = ask;
        let request = Request::MakeToken { name: name.clone(), role };
        self.book(who, request, async {
            check_name(&name)?;
            let _one_at_a_time = self.inner.one_at_a_time.lock().await;
            if self.ledger().state().tokens.contains_key(&name) {
                return Err(Refused::Exists(name));
            }
            let secret = secret()?;
            let token = Token {
                name: name.clone(),
                role,
                digest: digest(&secret),
                made_ms: now_ms(),
                by: who.name.clone(),
            };
            self.ledger().write(Fact::TokenMade { token }).await?;
            Ok(TokenMade { name, role, token: secret })
        })
        .await
    }

    /// Takes a token back; it is refused from now on.
    pub async fn revoke_token(&self, who: &Person, name: &str) -> Result<(), Refused> {
        let request = Request::RevokeToken { name: name.to_owned() };
        self.book(who, request, async {
            if !self.ledger().state().tokens.contains_key(name) {
                return Err(Refused::UnknownToken(name.to_owned()));
            }
            self.ledger().write(Fact::TokenRevoked { name: name.to_owned() }).await?;
            Ok(())
        })
        .await
    }

    /// All tokens, for those who may make them.
    pub fn tokens(&self, who: &Person) -> Result<Vec<KnownToken>, Refused> {
        let make = Request::MakeToken { name: String::new(), role: Role::Viewer };
        if !may(who.role, &make) {
            return Err(Refused::Forbidden { who: who.name.clone(), need: least(&make) });
        }
        let state = self.ledger().state();
        let known = |token: &Token| KnownToken {
            name: token.name.clone(),
            role: token.role,
            made_ms: token.made_ms,
            by: token.by.clone(),
        };
        Ok(state.tokens.values().map(known).collect())
    }

    /// Whose token this is.
    pub fn bearer(&self, secret: &str) -> Option<Person> {
        let digest = digest(secret);
        let state = self.ledger().state();
        // Digests of secrets nobody can choose: comparing them early-out tells nothing.
        let token = state.tokens.values().find(|token| token.digest == digest)?;
        Some(Person { name: token.name.clone(), role: token.role })
    }
}

fn check_name(name: &str) -> Result<(), Refused> {
    let good = (1..=64).contains(&name.len()) && name.chars().all(|it| it.is_ascii_graphic());
    if good {
        return Ok(());
    }
    Err(Refused::Words(format!("`{name}` is not a token name: 1 to 64 visible ASCII characters")))
}

fn secret() -> Result<String, Refused> {
    let mut bytes = [0; SECRET];
    std::fs::File::open("/dev/urandom")
        .and_then(|mut source| std::io::Read::read_exact(&mut source, &mut bytes))
        .map_err(crate::files::Error::Disk)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn digest(secret: &str) -> String {
    blake3::hash(secret.as_bytes()).to_hex().to_string()
}
