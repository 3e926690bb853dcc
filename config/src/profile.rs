//! What is known of common devices on buses: their tags, as files that ship with the program.
//!
//! `profile = "eastron-sdm120"` in a `[[machine]]` declares the tags of that file, as if they had
//! been written out there; a tag of the same name written there replaces the profile's.

use serde::Serialize;

/// A profile: its name in the configuration, and its text.
#[derive(Clone, Copy, Debug)]
pub struct Profile {
    /// Its name.
    pub name: &'static str,
    /// TOML: `about`, `source`, `confidence`, `[bus]` and one `[[tag]]` for each tag.
    pub text: &'static str,
}

/// A profile from the folder `config/profiles`.
macro_rules! profile {
    ($name:literal) => {
        Profile { name: $name, text: include_str!(concat!("../profiles/", $name, ".toml")) }
    };
}

/// Every profile there is.
pub const PROFILES: &[Profile] = &[
    profile!("delta-vfd"),
    profile!("eastron-sdm120"),
    profile!("eastron-sdm630"),
    profile!("eastron-sdm72"),
    profile!("huanyang-gt"),
    profile!("huanyang-hy"),
    profile!("omron-e5cc"),
    profile!("pzem-004t"),
    profile!("relays-8"),
    profile!("xy-md02"),
];

/// What a profile says about itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Card {
    /// Its name in the configuration.
    pub name: &'static str,
    /// The device.
    pub about: String,
    /// Where its registers are told.
    pub source: String,
    /// How sure that is: `tried`, `documented`, `second-hand`.
    pub confidence: String,
}

impl Profile {
    /// What it says about itself; texts are empty where it does not say.
    pub fn card(&self) -> Card {
        let table: toml::Table = self.text.parse().unwrap_or_default();
        let said = |key: &str| table.get(key).and_then(toml::Value::as_str).unwrap_or_default();
        Card {
            name: self.name,
            about: said("about").to_owned(),
            source: said("source").to_owned(),
            confidence: said("confidence").to_owned(),
        }
    }
}

/// The profile of this name.
pub fn find(name: &str) -> Option<&'static Profile> {
    PROFILES.iter().find(|profile| profile.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_profile_says_what_it_is_and_how_far_it_can_be_trusted() {
        for profile in PROFILES {
            let card = profile.card();
            assert!(!card.about.is_empty() && !card.source.is_empty(), "{card:?}");
            let words = ["tried", "documented", "second-hand"];
            assert!(words.contains(&card.confidence.as_str()), "{card:?}");
        }
        assert!(PROFILES.is_sorted_by_key(|it| it.name));
    }
}
