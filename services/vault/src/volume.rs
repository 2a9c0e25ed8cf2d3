//! Asking the privileged program that has the device, and the one that turns the machine off: a connection for each request.

use std::path::{Path, PathBuf};
use std::time::Duration;

use holdfast_contract::Problem;
use holdfast_contract::problem::ProblemKind;
use holdfast_contract::vault::{
    MAX_SECURITY_KEYS, Secret, SecurityKeyTrouble, TURN_OFF, Volume, VolumeAnswer, VolumeRequest,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use zeroize::Zeroizing;

/// The longest answer, in bytes.
const MAX_ANSWER_BYTES: u64 = 16 << 10;
/// A request that derives keys and asks the TPM. TPMs are slow, emulated machines slower.
const DEADLINE: Duration = Duration::from_secs(90);
/// Sealing asks what the firmware will measure at the next boot before.
const SEAL_DEADLINE: Duration = Duration::from_secs(150);
/// A security key waits half a minute for each touch; enrolling takes two.
const TOUCH_DEADLINE: Duration = Duration::from_secs(150);
/// Making a volume writes a file system and seals a key besides.
const CREATE_DEADLINE: Duration = Duration::from_mins(10);

/// The program that turns the machine off waits at most five seconds for the ledger's disk.
const OFF_DEADLINE: Duration = Duration::from_secs(30);

/// The ways to the two privileged programs.
#[derive(Debug, Clone)]
pub struct VolumeClient {
    volume: PathBuf,
    off: PathBuf,
}

/// What came back.
#[derive(Debug)]
pub struct Done {
    /// How it is now.
    pub volume: Volume,
    /// The recovery key that was made.
    pub recovery_key: Option<Secret>,
    /// How far the TPM's counter is, where it was moved on.
    pub counter: Option<u64>,
}

impl VolumeClient {
    /// The programs behind the sockets in `directory`. Nothing is connected yet.
    pub fn new(directory: &Path) -> Self {
        Self {
            volume: directory.join("volume.sock"),
            off: directory.join("off.sock"),
        }
    }

    /// The sockets.
    pub fn sockets(&self) -> [&Path; 2] {
        [&self.volume, &self.off]
    }

    /// Asks for one thing.
    ///
    /// # Errors
    ///
    /// `Denied` when a secret does not fit or the TPM refuses, `Internal` when it could not be done, `Unavailable` or `Deadline` when there is
    /// no answer.
    pub async fn ask(&self, request: &VolumeRequest) -> Result<Done, Problem> {
        let deadline = match request {
            VolumeRequest::Create { .. } => CREATE_DEADLINE,
            VolumeRequest::EnrolTpm { .. } => SEAL_DEADLINE,
            VolumeRequest::EnrolTpmWithSecurityKey { .. } => TOUCH_DEADLINE + SEAL_DEADLINE,
            request if request.waits_for_a_touch() => TOUCH_DEADLINE,
            _ => DEADLINE,
        };
        let answer = tokio::time::timeout(deadline, self.converse(request))
            .await
            .map_err(|_| {
                Problem::new(ProblemKind::Deadline, "the vault's device did not answer in time")
            })??;
        match answer {
            VolumeAnswer::Done {
                volume,
                recovery_key,
                counter,
            } => Ok(Done {
                volume,
                recovery_key,
                counter,
            }),
            VolumeAnswer::WrongSecret => Err(Problem::new(
                ProblemKind::Denied,
                "the key or passphrase does not open the vault",
            )
            .next("Look for typing errors; capitals and dashes do not matter in a recovery key.")),
            VolumeAnswer::TpmRefused { why } => Err(Problem::new(
                ProblemKind::Denied,
                format!("the TPM does not give the vault's key: {why}"),
            )
            .next("If the firmware or its settings were changed on purpose, open the vault with its recovery key and seal it anew.")),
            VolumeAnswer::SecurityKey { trouble } => Err(of_no_use(trouble)),
            VolumeAnswer::Failed { why } => Err(Problem::new(ProblemKind::Internal, why)),
        }
    }

    /// Turns the machine off. Where that works there is nobody left to return to.
    ///
    /// # Errors
    ///
    /// `Internal` with the reason when it could not be turned off, `Unavailable` or `Deadline` when there is no answer.
    pub async fn turn_off(&self) -> Result<(), Problem> {
        let asked = tokio::time::timeout(OFF_DEADLINE, exchange(&self.off, TURN_OFF.as_bytes(), 1 << 10));
        let answer = asked
            .await
            .map_err(|_| Problem::new(ProblemKind::Deadline, "the machine is still on"))?
            .map_err(|error| {
                Problem::new(
                    ProblemKind::Unavailable,
                    format!("the program that turns the machine off does not answer: {error}"),
                )
            })?;
        if answer.is_empty() {
            return Ok(());
        }
        Err(Problem::new(
            ProblemKind::Internal,
            String::from_utf8_lossy(&answer).into_owned(),
        ))
    }

    async fn converse(&self, request: &VolumeRequest) -> Result<VolumeAnswer, Problem> {
        let mut text = Zeroizing::new(Vec::with_capacity(8 << 10));
        serde_json::to_writer(&mut *text, request)
            .map_err(|error| Problem::new(ProblemKind::Internal, format!("write the request: {error}")))?;
        let answer = exchange(&self.volume, &text, MAX_ANSWER_BYTES)
            .await
            .map_err(|error| {
                Problem::new(
                    ProblemKind::Unavailable,
                    format!("the program that has the vault's device does not answer: {error}"),
                )
            })?;
        serde_json::from_slice(&answer).map_err(|_| {
            Problem::new(
                ProblemKind::Unavailable,
                "the program that has the vault's device ended without an answer; its log has the cause",
            )
        })
    }
}

/// Sends one request and reads the answer up to its end, of which at most `limit` bytes are taken.
async fn exchange(socket: &Path, request: &[u8], limit: u64) -> std::io::Result<Zeroizing<Vec<u8>>> {
    let mut stream = UnixStream::connect(socket).await?;
    stream.write_all(request).await?;
    stream.shutdown().await?;
    // The capacity is fixed first: growing would leave copies of a recovery key behind.
    let mut answer = Zeroizing::new(Vec::with_capacity(32 << 10));
    stream.take(limit).read_to_end(&mut answer).await?;
    Ok(answer)
}

/// What is wrong with a security key, and what helps.
fn of_no_use(trouble: SecurityKeyTrouble) -> Problem {
    use SecurityKeyTrouble as Trouble;
    let too_many = format!("{MAX_SECURITY_KEYS} security keys are enrolled, and no more may be");
    let (kind, detail, next) = match trouble {
        Trouble::NonePluggedIn => (
            ProblemKind::Conflict,
            "no security key is plugged in",
            "USB devices that are plugged in while the machine runs are not let in: plug the key in, and start the machine again.",
        ),
        Trouble::SeveralPluggedIn => (
            ProblemKind::Conflict,
            "several security keys are plugged in",
            "Leave only the one that is to be enrolled.",
        ),
        Trouble::NotCapable => (
            ProblemKind::Conflict,
            "this security key cannot open a disk: it lacks FIDO2's extension hmac-secret, or it does not ask to be touched",
            "A FIDO2 key with hmac-secret is needed; keys for U2F only are too old.",
        ),
        Trouble::NoneEnrolled => (
            ProblemKind::Conflict,
            "no security key was enrolled for this vault",
            "Open it with what there is, then `holdfast vault security-key`.",
        ),
        Trouble::TooMany => (
            ProblemKind::Conflict,
            too_many.as_str(),
            "Remove them and enrol those that are in use.",
        ),
        Trouble::OtherKey => (
            ProblemKind::Denied,
            "the security key that is plugged in was not enrolled for this vault",
            "Use another one, the recovery key or the passphrase.",
        ),
        Trouble::PinRequired => (
            ProblemKind::Denied,
            "the security key asks for its PIN",
            "Give the PIN too.",
        ),
        Trouble::NoPin => (
            ProblemKind::Conflict,
            "the security key has no PIN yet, so it cannot ask for one",
            "Set its PIN on another machine with its maker's program, or enrol it without a PIN.",
        ),
        Trouble::WrongPin => (
            ProblemKind::Denied,
            "the security key's PIN is wrong",
            "The key counts: after three wrong ones it has to be without power, after eight in all it never takes a PIN again.",
        ),
        Trouble::PinBlocked => (
            ProblemKind::Denied,
            "the security key takes no PIN any more",
            "Start the machine again with the key plugged in. If it still takes none, it is blocked for good: use the recovery key or the passphrase.",
        ),
        Trouble::NotTouched => (
            ProblemKind::Denied,
            "nobody touched the security key in time",
            "Try again, and touch it when it blinks.",
        ),
    };
    Problem::new(kind, detail).next(next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_somebody_may_have_guessed_is_denied() {
        use SecurityKeyTrouble as Trouble;
        assert_eq!(of_no_use(Trouble::WrongPin).kind, ProblemKind::Denied);
        assert_eq!(of_no_use(Trouble::OtherKey).kind, ProblemKind::Denied);
        for trouble in [
            Trouble::NonePluggedIn,
            Trouble::SeveralPluggedIn,
            Trouble::NotCapable,
        ] {
            assert_eq!(of_no_use(trouble).kind, ProblemKind::Conflict);
        }
    }

    #[test]
    fn a_missing_key_says_when_it_has_to_be_plugged_in() {
        let problem = of_no_use(SecurityKeyTrouble::NonePluggedIn);
        assert!(
            problem
                .next
                .unwrap_or_default()
                .contains("start the machine again")
        );
    }
}
