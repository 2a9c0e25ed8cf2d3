//! The step of `holdfast setup` that says what the machine is for.

use anyhow::bail;
use holdfast_contract::profile::Profile;

use crate::output::Output;
use crate::terminal::ask;

/// Shows the profiles and asks for one. Nothing is kept, because this version has one.
///
/// # Errors
///
/// When one is wanted that cannot be had, or there is none of that name.
pub(super) fn choose(output: Output) -> anyhow::Result<()> {
    for profile in Profile::ALL {
        let missing = profile
            .missing()
            .map(|what| format!(" (not in this version, which lacks {what})"))
            .unwrap_or_default();
        output.line(format!("  {:<9} {}{missing}", profile.name(), profile.meaning()))?;
    }
    let current = Profile::current();
    let chosen = chosen(&ask(&format!("\nProfile [{}]: ", current.name()))?)?;
    output.line(format!("Profile: {}, {}.", chosen.name(), chosen.meaning()))
}

/// The profile that was typed.
fn chosen(typed: &str) -> anyhow::Result<Profile> {
    let typed = typed.trim();
    if typed.is_empty() {
        return Ok(Profile::current());
    }
    let Some(profile) = Profile::named(typed) else {
        let names = Profile::ALL.map(Profile::name).join(", ");
        bail!("there is no profile \"{typed}\": {names}");
    };
    if let Some(missing) = profile.missing() {
        bail!(
            "the profile \"{typed}\" needs {missing}, which this version does not have; the profile stays {}",
            Profile::current().name()
        );
    }
    Ok(profile)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "these are tests")]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_had_is_refused_with_what_it_lacks() {
        assert_eq!(chosen("").unwrap(), Profile::Offline);
        assert_eq!(chosen(" offline ").unwrap(), Profile::Offline);
        assert!(
            chosen("research")
                .unwrap_err()
                .to_string()
                .contains("the airlock")
        );
        assert!(
            chosen("full-lab")
                .unwrap_err()
                .to_string()
                .contains("tool firewall")
        );
        assert!(
            chosen("everything")
                .unwrap_err()
                .to_string()
                .contains("offline, research, full-lab")
        );
    }
}
