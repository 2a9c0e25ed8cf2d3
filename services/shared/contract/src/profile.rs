//! What a machine is for: how much of it may speak to the world outside, and act. Chosen in `holdfast setup`.

use serde::{Deserialize, Serialize};

/// What a machine is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Profile {
    /// Models answer, and nothing leaves the machine.
    Offline,
    /// Besides, what the operator approved may be searched for and fetched through the airlock.
    Research,
    /// Besides, agents use tools, each call through the tool firewall.
    FullLab,
}

impl Profile {
    /// From the least to the most that is allowed.
    pub const ALL: [Self; 3] = [Self::Offline, Self::Research, Self::FullLab];

    /// The profile of every machine of this version. There is nothing yet that another one would turn on.
    pub const fn current() -> Self {
        Self::Offline
    }

    /// Its name, as it is typed and in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Offline => "offline",
            Self::Research => "research",
            Self::FullLab => "full-lab",
        }
    }

    /// What it means, in a sentence.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Offline => "models answer, and nothing leaves the machine",
            Self::Research => "besides, what you approve is searched for and fetched through the airlock",
            Self::FullLab => "besides, agents use tools, each call through the tool firewall",
        }
    }

    /// What this version lacks for it; none where it can be had.
    pub const fn missing(self) -> Option<&'static str> {
        match self {
            Self::Offline => None,
            Self::Research => Some("the airlock"),
            Self::FullLab => Some("the airlock and the tool firewall"),
        }
    }

    /// The profile of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|profile| profile.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_wire_and_the_current_one_can_be_had() {
        for profile in Profile::ALL {
            assert_eq!(Profile::named(profile.name()), Some(profile));
            assert_eq!(
                serde_json::to_string(&profile).ok(),
                Some(format!("{:?}", profile.name()))
            );
        }
        assert_eq!(Profile::named("Offline"), None);
        assert_eq!(Profile::current().missing(), None);
    }
}
