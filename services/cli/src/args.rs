//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use holdfast_contract::vault::PanicLevel;

use crate::up::Options;

/// Run untrusted AI models behind guards that can refuse.
#[derive(Debug, Parser)]
#[command(
    name = "holdfast",
    version,
    max_term_width = 100,
    after_help = "Exit codes: 0 done, 1 the answer is no (refused, not verified), 2 could not be done, 3 the suite does \
                  not run.\n\nExample:\n  holdfast up                      start the suite here\n  holdfast import model.gguf       \
                  in another terminal: bring in a model\n  holdfast chat                    talk to it"
)]
pub struct Arguments {
    /// State directory of a suite started with `holdfast up` [default: /var/lib/holdfast-evaluation as root, else
    /// ~/.local/state/holdfast]
    #[arg(long, global = true, value_name = "DIR")]
    pub state: Option<PathBuf>,
    /// Print JSON instead of text
    #[arg(long, global = true)]
    pub json: bool,
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// What can be done.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start the suite in evaluation mode and keep it running until Ctrl-C
    #[command(after_help = "Example:\n  holdfast up --state /srv/holdfast --listen 127.0.0.1:8480")]
    Up(UpArguments),
    /// Show each service, how it is confined, the posture and the ledger's head
    #[command(after_help = "Example:\n  holdfast status --json")]
    Status,
    /// Hand in a model file: upload, inspection, admission
    #[command(
        after_help = "Examples:\n  holdfast import ~/Downloads/model.gguf\n  holdfast import --disarm ~/Downloads/model.pt"
    )]
    Import(ImportArguments),
    /// List, show and remove admitted models
    #[command(after_help = "Example:\n  holdfast models\n  holdfast models show guide")]
    Models(ModelsArguments),
    /// Talk to a model, or ask one question
    #[command(after_help = "Example:\n  holdfast chat\n  holdfast chat --model guide \"What is a verdict?\"")]
    Chat(ChatArguments),
    /// Read and verify the ledger
    #[command(after_help = "Example:\n  holdfast ledger log --limit 20\n  holdfast ledger verify")]
    Ledger(LedgerArguments),
    /// Show the vault, or change the keys that open it
    #[command(after_help = "Example:\n  holdfast vault\n  holdfast vault recovery-key")]
    Vault(VaultArguments),
    /// Go through what a new appliance needs once: a recovery key, with proof that it was noted, and a passphrase if wanted
    #[command(after_help = "Example:\n  holdfast setup")]
    Setup,
    /// Lock the vault: its key leaves the kernel, and whoever works with files in it waits
    #[command(after_help = "Example:\n  holdfast lock")]
    Lock,
    /// Unlock the vault with this machine's TPM, or with a recovery key, a passphrase or a security key
    #[command(
        after_help = "Example:\n  holdfast unlock\n  holdfast unlock --secret\n  holdfast unlock --security-key"
    )]
    Unlock {
        /// Ask for the recovery key or the passphrase (a line of standard input, without a terminal)
        #[arg(long)]
        secret: bool,
        /// Use the security key that is plugged in: touch it when it blinks. Its PIN is asked for where it wants one
        #[arg(long, conflicts_with = "secret")]
        security_key: bool,
    },
    /// Lock the vault, remove the TPM's key, or destroy every key: counted down, read back, recorded
    #[command(
        after_help = "Levels:\n  1, lock        the key leaves the kernel; the TPM gives it back (holdfast unlock)\n  \
                      2, remove-tpm  and the TPM's key is removed; another key opens the vault\n  \
                      3, erase       every key is destroyed, and the machine turns itself off\n\n\
                      Examples:\n  holdfast panic\n  holdfast panic 3 --phrase \"erase everything\"\n  holdfast panic --call-off"
    )]
    Panic(PanicArguments),
    /// Inspect files without a running suite and without admitting anything
    #[command(
        after_help = "Exit codes: 0 all may be admitted, 1 one is refused, 2 one could not be inspected.\n\n\
                      Examples:\n  holdfast inspect --json model.gguf downloads/\n  \
                      holdfast inspect --sarif models/ > findings.sarif\n  \
                      holdfast inspect --disarm model.safetensors model.pt\n  \
                      holdfast inspect --policy policies/inspect.toml models/\n  \
                      holdfast inspect --explain HF-TPL-002"
    )]
    Inspect(InspectArguments),
    /// Check the shipped units and configuration
    #[command(after_help = "Example:\n  holdfast check")]
    Check(CheckArguments),
    /// Make the keys and the set-up token that are missing
    #[command(hide = true)]
    Credentials {
        /// Where they are kept
        directory: PathBuf,
    },
    /// Say at the appliance's own screen where the page is, and how to set it up
    #[command(hide = true)]
    Welcome {
        /// Where keys and the set-up token are kept
        directory: PathBuf,
        /// Address of the page
        #[arg(long, default_value = "127.0.0.1:8480")]
        page: SocketAddr,
    },
    /// Become a service; for `holdfast up` only
    #[command(hide = true)]
    Executor,
}

/// Arguments of `up`.
#[derive(Debug, Args)]
pub struct UpArguments {
    /// Address of the page [default: as in its socket unit, 127.0.0.1:8480]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// Source tree with units and shipped files [default: found by itself]
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// Show every line of the log
    #[arg(long, short)]
    verbose: bool,
    /// Let every daemon try what it must not be able to do, then end
    #[arg(long, hide = true)]
    prove_confinement: bool,
}

impl UpArguments {
    /// As the supervisor takes them.
    pub fn options(self, state: PathBuf, json: bool) -> Options {
        Options {
            state,
            listen: self.listen,
            root: self.root,
            json,
            verbose: self.verbose,
            prove: self.prove_confinement,
        }
    }
}

/// Arguments of `import`.
#[derive(Debug, Args)]
pub struct ImportArguments {
    /// The file
    pub file: PathBuf,
    /// Name for people [default: the file's name]
    #[arg(long)]
    pub name: Option<String>,
    /// Do nothing when the same bytes are admitted already
    #[arg(long)]
    pub if_absent: bool,
    /// Bring in the tensors of a PyTorch checkpoint as safetensors, without running anything; other models come in as they are
    #[arg(long, conflicts_with = "if_absent")]
    pub disarm: bool,
}

/// Arguments of `models`.
#[derive(Debug, Args)]
pub struct ModelsArguments {
    /// What to do with the models [default: list]
    #[command(subcommand)]
    pub command: Option<ModelsCommand>,
}

/// What can be done with models.
#[derive(Debug, Subcommand)]
pub enum ModelsCommand {
    /// List the admitted models
    List,
    /// Show a model with its report
    Show {
        /// Name or digest
        model: String,
    },
    /// Remove a model from the store
    Remove {
        /// Name or digest
        model: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

/// Arguments of `chat`.
#[derive(Debug, Args)]
pub struct ChatArguments {
    /// One question; without it a conversation starts
    pub question: Option<String>,
    /// Name or digest of the model [default: the only one, or the guide]
    #[arg(long, short)]
    pub model: Option<String>,
    /// Instructions for the model
    #[arg(long)]
    pub system: Option<String>,
    /// 0 always takes the likeliest word, higher is more varied
    #[arg(long, default_value_t = 0.0)]
    pub temperature: f32,
    /// The most tokens of one answer
    #[arg(long)]
    pub max_tokens: Option<u32>,
}

/// Arguments of `ledger`.
#[derive(Debug, Args)]
pub struct LedgerArguments {
    /// What to do with the ledger
    #[command(subcommand)]
    pub command: LedgerCommand,
}

/// What can be done with the ledger.
#[derive(Debug, Subcommand)]
pub enum LedgerCommand {
    /// Show the most recent entries
    Log {
        /// How many
        #[arg(long, default_value_t = 50)]
        limit: u64,
        /// The first entry to show, instead of the most recent
        #[arg(long)]
        from: Option<u64>,
    },
    /// Show the signed checkpoint
    Checkpoint,
    /// Check every entry, hash and signature, with the public key alone
    Verify {
        /// The ledger's directory [default: that of the suite]
        #[arg(long, value_name = "DIR")]
        directory: Option<PathBuf>,
        /// File with the public key [default: that of the suite]
        #[arg(long, value_name = "FILE")]
        public_key: Option<PathBuf>,
        /// An earlier checkpoint that the ledger must extend
        #[arg(long, value_name = "FILE")]
        since: Option<PathBuf>,
    },
    /// Show the proof that an entry is in the ledger
    Proof {
        /// The entry's index
        index: u64,
    },
}

/// Arguments of `vault`.
#[derive(Debug, Args)]
pub struct VaultArguments {
    /// What to do with the vault [default: status]
    #[command(subcommand)]
    pub command: Option<VaultCommand>,
}

/// What can be done with the vault.
#[derive(Debug, Subcommand)]
pub enum VaultCommand {
    /// Show how it is and what opens it
    Status,
    /// Make a recovery key, show it once, and have it typed in again
    RecoveryKey {
        /// Do not ask for it; it counts once it was confirmed
        #[arg(long)]
        no_proof: bool,
    },
    /// Prove that you have the recovery key that was made last; one from before stops working
    ConfirmRecoveryKey,
    /// Set a passphrase that opens the vault, or remove it
    Passphrase {
        /// Remove it
        #[arg(long)]
        remove: bool,
    },
    /// Enrol the FIDO2 security key that is plugged in, or remove all of them
    #[command(
        after_help = "It has to be plugged in when the machine starts. Touch it each time it blinks, twice in all."
    )]
    SecurityKey {
        /// Ask for its PIN, now and each time it opens the vault; without this the touch is enough
        #[arg(long, conflicts_with = "remove")]
        pin: bool,
        /// Remove every security key
        #[arg(long)]
        remove: bool,
    },
    /// Seal the vault anew to this machine's TPM as it booted now, for example after a firmware update
    Seal {
        /// Open it with the security key that is plugged in, instead of the recovery key or the passphrase
        #[arg(long)]
        security_key: bool,
    },
    /// Make a new vault where the old one cannot be opened any more; what was in it is lost
    Create {
        /// The phrase that confirms it, instead of being asked
        #[arg(long)]
        phrase: Option<String>,
    },
}

/// Arguments of `panic`.
#[derive(Debug, Args)]
pub struct PanicArguments {
    /// How far to go [default: lock]
    #[arg(conflicts_with = "call_off")]
    pub level: Option<Level>,
    /// The phrase that confirms levels 2 and 3, instead of being asked
    #[arg(long, requires = "level")]
    pub phrase: Option<String>,
    /// Call off the countdown that runs
    #[arg(long)]
    pub call_off: bool,
}

/// How far a panic goes.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Level {
    /// The key leaves the kernel
    #[value(alias = "1")]
    Lock,
    /// And the TPM's key is removed
    #[value(alias = "2")]
    RemoveTpm,
    /// Every key is destroyed
    #[value(alias = "3")]
    Erase,
}

impl From<Level> for PanicLevel {
    fn from(level: Level) -> Self {
        match level {
            Level::Lock => Self::Lock,
            Level::RemoveTpm => Self::RemoveTpm,
            Level::Erase => Self::Erase,
        }
    }
}

/// Arguments of `inspect`.
#[derive(Debug, Args)]
pub struct InspectArguments {
    /// The files, and directories with everything in them; what is one model together is compared
    #[arg(required_unless_present = "explain")]
    pub files: Vec<PathBuf>,
    /// Print one SARIF 2.1.0 document, for code-scanning sites
    #[arg(long, conflicts_with = "json")]
    pub sarif: bool,
    /// Refuse what this policy does not accept, beyond what the inspection refuses
    #[arg(long, value_name = "FILE", conflicts_with_all = ["disarm", "explain"])]
    pub policy: Option<PathBuf>,
    /// Search also for the YARA rules in this file, or in the .yar and .yara files of this directory
    #[arg(long, value_name = "PATH", conflicts_with = "explain")]
    pub rules: Vec<PathBuf>,
    /// Write the tensors of one PyTorch checkpoint to a new safetensors file, without running anything
    #[arg(long, value_name = "NEW-FILE", conflicts_with_all = ["sarif", "explain"])]
    pub disarm: Option<PathBuf>,
    /// Say what a finding means, by its id
    #[arg(long, value_name = "ID", conflicts_with_all = ["files", "sarif"])]
    pub explain: Option<String>,
}

/// Arguments of `check`.
#[derive(Debug, Args)]
pub struct CheckArguments {
    /// Source tree with units and configuration [default: found by itself]
    #[arg(long, value_name = "DIR")]
    pub root: Option<PathBuf>,
}
