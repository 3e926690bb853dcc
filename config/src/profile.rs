//! What is known of common devices on buses: their tags, as files that ship with the program.
//!
//! `profile = "eastron-sdm120"` in a `[[machine]]` declares the tags of that file, as if they had
//! been written out there; a tag of the same name written there replaces the profile's.

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
pub const PROFILES: &[Profile] = &[profile!("eastron-sdm120")];

/// The profile of this name.
pub fn find(name: &str) -> Option<&'static Profile> {
    PROFILES.iter().find(|profile| profile.name == name)
}
