//! Every command with its options. The contract is in `docs/cli.md`.

mod queue;

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use pli_admin::QuotaSetting;
use pli_store::IndexEngine;
use pli_types::{Address, ByteCount};

use crate::config::parse_size;
use crate::texts::Language;

pub use queue::{QueueCommand, QueueWhich, Trace};

/// Pli: a mail server that keeps letters sealed.
#[derive(Debug, Parser)]
#[command(name = "pli", version, about, propagate_version = true, disable_help_subcommand = true)]
pub struct Cli {
    /// Understood by every command.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Understood by every command, before or after its name.
#[derive(Clone, Debug, Default, Args)]
pub struct Global {
    /// The configuration; without it ./pli.toml, then /etc/pli/pli.toml.
    #[arg(long, global = true, env = "PLI_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Answers as JSON.
    #[arg(long, global = true)]
    pub json: bool,
    /// Language of messages; without it the environment's.
    #[arg(long, global = true, value_enum, value_name = "fr|en")]
    pub lang: Option<Language>,
}

impl Global {
    /// The language of messages.
    pub fn language(&self) -> Language {
        self.lang.unwrap_or_else(Language::of_environment)
    }
}

/// Every command.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Makes a ready server in a folder: configuration, keys, certificates, store, domain and two accounts.
    Quickstart(Quickstart),
    /// Serves until SIGTERM or SIGINT; SIGHUP reads the configuration again.
    Serve(Serve),
    /// Accounts.
    #[command(subcommand)]
    Account(AccountCommand),
    /// Shared accounts: mailboxes for several people.
    #[command(subcommand)]
    Shared(SharedCommand),
    /// Groups of accounts, for shared mailboxes.
    #[command(subcommand)]
    Group(GroupCommand),
    /// Passwords of single devices and programs.
    #[command(subcommand)]
    AppPassword(AppPasswordCommand),
    /// Who is logged in: account, protocol, from where, with what, since when, open mailbox, bytes.
    Who,
    /// Ends sessions. Recorded in the audit log.
    Kick {
        /// An address, for all sessions of the account; or a session as `pli who` shows it.
        #[arg(value_name = "WHOM")]
        whom: String,
    },
    /// Aliases.
    #[command(subcommand)]
    Alias(AliasCommand),
    /// Domains that this server takes mail for.
    #[command(subcommand)]
    Domain(DomainCommand),
    /// Quotas.
    #[command(subcommand)]
    Quota(QuotaCommand),
    /// Profiles of the configuration.
    #[command(subcommand)]
    Profile(ProfileCommand),
    /// The outbound queue.
    #[command(subcommand)]
    Queue(QueueCommand),
    /// Where a message went: sessions, verdicts, mailboxes, attempts, the other side's words. Recorded in the audit log.
    Trace(Trace),
    /// The audit log.
    #[command(subcommand)]
    Audit(AuditCommand),
    /// The store.
    #[command(subcommand)]
    Store(StoreCommand),
    /// Keys.
    #[command(subcommand)]
    Key(KeyCommand),
    /// Sends a text message as an account.
    Send(Send),
    /// Whether the server is well.
    Health,
    /// Looks for what is wrong: configuration, ports, certificate, disk, store, clock, DNS.
    Doctor,
    /// The configuration.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Pages that are generated from the code.
    #[command(subcommand, hide = true)]
    Docs(DocsCommand),
}

/// `pli quickstart`
#[derive(Debug, Args)]
pub struct Quickstart {
    /// The folder to make.
    #[arg(long, value_name = "DIR")]
    pub dir: PathBuf,
    /// The domain to take mail for.
    #[arg(long)]
    pub domain: String,
    /// The server's full name.
    #[arg(long)]
    pub hostname: String,
    /// Where to listen.
    #[arg(long, value_name = "IP", default_value = "127.0.0.1")]
    pub listen: Vec<IpAddr>,
    /// Added to each standard port.
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    pub port_offset: u16,
    /// Local part of the administrator's account.
    #[arg(long, value_name = "NAME", default_value = "admin")]
    pub admin: String,
    /// Local part of the second account.
    #[arg(long, value_name = "NAME", default_value = "alice")]
    pub user: String,
    /// Protects the root key by a passphrase, read from standard input.
    #[arg(long)]
    pub passphrase_stdin: bool,
}

/// `pli serve`
#[derive(Debug, Args)]
pub struct Serve {
    /// Reads the root key's passphrase from standard input.
    #[arg(long)]
    pub passphrase_stdin: bool,
}

/// `pli account …`
#[derive(Debug, Subcommand)]
pub enum AccountCommand {
    /// Makes an account; without --password-stdin a password is generated and shown once.
    Add {
        /// Its address.
        #[arg(value_parser = Address::parse)]
        address: Address,
        /// Reads the password from standard input (the first line).
        #[arg(long)]
        password_stdin: bool,
        /// Its profile.
        #[arg(long, default_value = "staff")]
        profile: String,
        /// A quota of its own: 5G, 500M, unlimited.
        #[arg(long, value_parser = parse_quota)]
        quota: Option<QuotaSetting>,
        /// Shown name.
        #[arg(long)]
        name: Option<String>,
        /// fr or en.
        #[arg(long)]
        language: Option<String>,
    },
    /// All accounts.
    List,
    /// One account.
    Show {
        /// Its address.
        #[arg(value_parser = Address::parse)]
        address: Address,
    },
    /// Changes an account: profile, quota, name, language, password.
    Set {
        /// Its address.
        #[arg(value_parser = Address::parse)]
        address: Address,
        /// Reads a new password from standard input (the first line).
        #[arg(long)]
        password_stdin: bool,
        /// New profile, with its rights and quota at once.
        #[arg(long)]
        profile: Option<String>,
        /// 5G, 500M, unlimited, or profile: back to the profile's.
        #[arg(long, value_parser = parse_quota)]
        quota: Option<QuotaSetting>,
        /// Shown name.
        #[arg(long)]
        name: Option<String>,
        /// fr or en.
        #[arg(long)]
        language: Option<String>,
    },
    /// Sets a password; without --password-stdin one is generated and shown once.
    Passwd {
        /// Its address.
        #[arg(value_parser = Address::parse)]
        address: Address,
        /// Reads the password from standard input (the first line).
        #[arg(long)]
        password_stdin: bool,
    },
    /// No login and no submission from now on; mail is still received.
    Suspend {
        /// Its address.
        #[arg(value_parser = Address::parse)]
        address: Address,
    },
    /// Takes a suspended account up again.
    Resume {
        /// Its address.
        #[arg(value_parser = Address::parse)]
        address: Address,
    },
    /// Removes an account with its mail and keys.
    Rm {
        /// Its address.
        #[arg(value_parser = Address::parse)]
        address: Address,
        /// Destroys its key in every copy of the store as well: no backup opens this account any more.
        #[arg(long)]
        erase: bool,
        /// Meant so.
        #[arg(long)]
        yes: bool,
    },
}

/// `pli shared …`
#[derive(Debug, Subcommand)]
pub enum SharedCommand {
    /// Adds a shared account: it has no password, and its members find it below `Shared/`.
    Add {
        /// Its address.
        #[arg(value_parser = Address::parse)]
        address: Address,
        /// Somebody who may use it: an address, or `group:NAME`; may be given several times.
        #[arg(long = "member")]
        members: Vec<String>,
        /// Somebody who has all rights, and may give them; may be given several times.
        #[arg(long = "owner")]
        owners: Vec<String>,
        /// Profile, for its quota.
        #[arg(long, default_value = "staff")]
        profile: String,
        /// Quota instead of the profile's: `10G`, `500M`, `unlimited`, `profile`.
        #[arg(long, value_parser = parse_quota)]
        quota: Option<QuotaSetting>,
        /// Shown name.
        #[arg(long)]
        name: Option<String>,
        /// Language of its mail: `fr` or `en`.
        #[arg(long)]
        language: Option<String>,
    },
    /// All shared accounts.
    List,
    /// One shared account, with its members.
    Show {
        /// Which.
        #[arg(value_parser = Address::parse)]
        address: Address,
    },
    /// Its members.
    #[command(subcommand)]
    Member(MemberCommand),
    /// Removes a shared account with its mail and keys.
    Rm {
        /// Which.
        #[arg(value_parser = Address::parse)]
        address: Address,
        /// Really.
        #[arg(long)]
        yes: bool,
    },
}

/// `pli shared member …`
#[derive(Debug, Subcommand)]
pub enum MemberCommand {
    /// Adds a member, or says anew what he is.
    Add {
        /// Of which shared account.
        #[arg(value_parser = Address::parse)]
        address: Address,
        /// An address, or `group:NAME`.
        member: String,
        /// Has all rights, and may give them.
        #[arg(long)]
        owner: bool,
        /// May send as if he were the account.
        #[arg(long)]
        send_as: bool,
        /// May send in the account's name, named as the sender.
        #[arg(long)]
        send_on_behalf: bool,
    },
    /// Removes a member.
    Rm {
        /// Of which shared account.
        #[arg(value_parser = Address::parse)]
        address: Address,
        /// An address, or `group:NAME`.
        member: String,
    },
}

/// `pli group …`
#[derive(Debug, Subcommand)]
pub enum GroupCommand {
    /// Adds a group, or says anew who is in it.
    Set {
        /// Its name: letters, digits, `-`, `_` and `.`.
        name: String,
        /// Who is in it.
        #[arg(value_parser = Address::parse)]
        members: Vec<Address>,
    },
    /// All groups.
    List,
    /// Removes a group, and whatever was given to it.
    Rm {
        /// Which.
        name: String,
    },
}

/// `pli app-password …`
#[derive(Debug, Subcommand)]
pub enum AppPasswordCommand {
    /// Makes a password for one device, shown once: letters and digits; blanks and dashes typed with it do not count.
    Add {
        /// Whose.
        #[arg(value_parser = Address::parse)]
        address: Address,
        /// What it is for: "phone".
        #[arg(long)]
        label: String,
    },
    /// An account's app passwords, with their last use.
    List {
        /// Whose.
        #[arg(value_parser = Address::parse)]
        address: Address,
    },
    /// Takes one back, and ends the sessions that it opened.
    Revoke {
        /// Whose.
        #[arg(value_parser = Address::parse)]
        address: Address,
        /// Its number.
        #[arg(value_name = "NUMBER")]
        id: u32,
    },
}

/// `pli alias …`
#[derive(Debug, Subcommand)]
pub enum AliasCommand {
    /// Adds or replaces an alias; `*@domain` is a catch-all.
    Add {
        /// The alias.
        #[arg(value_parser = Address::parse)]
        address: Address,
        /// Where its mail goes.
        #[arg(required = true, value_parser = Address::parse)]
        targets: Vec<Address>,
    },
    /// All aliases.
    List,
    /// Removes an alias.
    Rm {
        /// Which.
        #[arg(value_parser = Address::parse)]
        address: Address,
    },
}

/// `pli domain …`
#[derive(Debug, Subcommand)]
pub enum DomainCommand {
    /// Takes mail for a domain.
    Add {
        /// Its name.
        name: String,
    },
    /// All domains.
    List,
    /// Takes no mail for a domain any more.
    Rm {
        /// Its name.
        name: String,
    },
}

/// `pli quota …`
#[derive(Debug, Subcommand)]
pub enum QuotaCommand {
    /// Quota and use of an account, or of all.
    Show {
        /// Whose.
        #[arg(value_parser = Address::parse)]
        address: Option<Address>,
    },
    /// Sets a quota.
    Set {
        /// Whose.
        #[arg(value_parser = Address::parse)]
        address: Address,
        /// 5G, 500M, unlimited, or profile: back to the profile's.
        #[arg(value_parser = parse_quota)]
        quota: QuotaSetting,
    },
    /// Counts the use again.
    Recalculate {
        /// Whose; without it everybody's.
        #[arg(value_parser = Address::parse)]
        address: Option<Address>,
    },
}

/// `pli profile …`
#[derive(Debug, Subcommand)]
pub enum ProfileCommand {
    /// The profiles in force.
    List,
}

/// `pli audit …`
#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// The newest events.
    Tail {
        /// How many.
        #[arg(short = 'n', long, default_value_t = 20)]
        count: u64,
    },
    /// All events as JSON, one a line.
    Export {
        /// From this index on.
        #[arg(long, default_value_t = 0)]
        from: u64,
    },
    /// Reads every entry's bytes again and compares them with the tree and its signed checkpoint.
    Verify,
}

/// `pli store …`
#[derive(Debug, Subcommand)]
pub enum StoreCommand {
    /// Sizes and counts.
    Stat,
    /// Authenticates every frame and compares index, counts and quota with the log. Others work on meanwhile.
    Verify {
        /// As fast as can be; else at 32 MiB a second, which leaves the disk to others.
        #[arg(long)]
        fast: bool,
        /// At this pace: bytes a second, as 10M.
        #[arg(long, value_name = "SIZE", value_parser = parse_rate, conflicts_with = "fast")]
        rate: Option<ByteCount>,
        /// Opens every message of this account too, and compares it with what came in. Recorded in the audit log.
        #[arg(long, value_name = "ADDRESS", value_parser = Address::parse)]
        account: Vec<Address>,
    },
    /// Mends what verify finds, and lists what cannot be mended. All of it when the server is stopped; while it runs, what is safe.
    Repair {
        /// Says what would be done, and does nothing.
        #[arg(long)]
        dry_run: bool,
    },
    /// Looks at mail as it was. Recorded in the audit log.
    At {
        /// When: "2026-11-24 13h", "2026-11-24 13h05" or 2026-11-24T13:05:00Z.
        time: String,
        /// Whose; without it everybody's mailboxes are listed, one account after the other.
        #[arg(long, value_parser = Address::parse)]
        account: Option<Address>,
        /// What of it; list if nothing is said.
        #[command(subcommand)]
        what: Option<AtCommand>,
    },
    /// Puts mailboxes of an account back to what they were. What came later is moved aside, no mail is lost.
    Rewind {
        /// Whose.
        #[arg(value_parser = Address::parse)]
        address: Address,
        /// To when: "2026-11-24 13h", "2026-11-24 13h05" or 2026-11-24T13:05:00Z.
        time: String,
        /// Only this mailbox; without it all that there were.
        #[arg(long, value_name = "NAME")]
        mailbox: Option<String>,
        /// Says what would be done, and does nothing.
        #[arg(long)]
        dry_run: bool,
    },
    /// Removes from the disk what the retention window no longer holds. The server does it by itself each hour. Gives way to `pli store verify`.
    Compact {
        /// Old segments whatever their share of live bytes, after a snapshot of the index.
        #[arg(long)]
        all: bool,
    },
    /// Makes the index again from the segments alone. A running server fills the new one beside the one in use.
    Rebuild {
        /// With another engine: sled or fjall.
        #[arg(long, value_parser = disk_engine)]
        engine: Option<IndexEngine>,
    },
}

/// `pli store at TIME …`
#[derive(Debug, Subcommand)]
pub enum AtCommand {
    /// The mailboxes with their counts.
    List,
    /// The messages of a mailbox: UID, date, size, flags. Nothing of what they say.
    Messages {
        /// Which.
        mailbox: String,
    },
}

/// `pli key …`
#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// Ages of the keys, what is due, how far a rotation is; or the state of one account's key.
    Status {
        /// Whose.
        #[arg(value_parser = Address::parse)]
        address: Option<Address>,
    },
    /// Makes new keys while the server serves; without more words a new version of the root key.
    Rotate {
        /// Which.
        #[command(subcommand)]
        what: Option<Rotate>,
    },
    /// Makes the first root key in the token that `[keys.pkcs11]` names.
    Init,
    /// Writes a root key file with one more version, for a credential, which the server cannot write.
    NextRoot {
        /// The file as it is.
        from: PathBuf,
        /// The file to make.
        to: PathBuf,
    },
}

/// `pli key rotate …`
#[derive(Debug, Subcommand)]
pub enum Rotate {
    /// A new version of the root key, and everything wrapped by it anew.
    Root {
        /// Forgets all older versions at the end: older copies of the store open with older copies of the key only.
        #[arg(long)]
        forget: bool,
    },
    /// A new key for an account, with its epochs sealed to it.
    Account {
        /// Whose.
        #[arg(value_parser = Address::parse)]
        address: Option<Address>,
        /// Everybody's.
        #[arg(long)]
        all: bool,
    },
}

/// `pli send`
#[derive(Debug, Args)]
pub struct Send {
    /// As whom: an account's address.
    #[arg(long, value_parser = Address::parse)]
    pub from: Address,
    /// To whom; several times for several.
    #[arg(long, required = true, value_delimiter = ',', value_parser = Address::parse)]
    pub to: Vec<Address>,
    /// Subject.
    #[arg(long, default_value = "")]
    pub subject: String,
    /// File with the text; without it, or with -, standard input.
    pub file: Option<PathBuf>,
}

/// `pli config …`
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Says whether it is correct, and where not.
    Check,
}

/// `pli docs …`
#[derive(Debug, Subcommand)]
pub enum DocsCommand {
    /// docs/policy.md
    Policy,
    /// docs/cli.md
    Cli,
}

fn disk_engine(name: &str) -> Result<IndexEngine, String> {
    IndexEngine::parse(name)
        .filter(|engine| *engine != IndexEngine::Memory)
        .ok_or_else(|| String::from("sled or fjall"))
}

fn parse_quota(text: &str) -> Result<QuotaSetting, String> {
    match text {
        "unlimited" => Ok(QuotaSetting::Unlimited),
        "profile" => Ok(QuotaSetting::Profile),
        size => parse_size(size).map(|bytes| QuotaSetting::Bytes(ByteCount::new(bytes))),
    }
}

fn parse_rate(text: &str) -> Result<ByteCount, String> {
    parse_size(text).map(ByteCount::new)
}
