//! `pli queue …` and `pli trace`.

use clap::{Args, Subcommand};

/// `pli queue …`
#[derive(Debug, Subcommand)]
pub enum QueueCommand {
    /// What waits.
    List {
        /// At most so many.
        #[arg(long, default_value_t = 10_000)]
        limit: usize,
        /// Which ones.
        #[command(flatten)]
        which: QueueWhich,
    },
    /// One entry.
    Show {
        /// Its number.
        id: u64,
    },
    /// Why an entry is still here: what it waits for, and every attempt with the other side's words.
    Why {
        /// Its number.
        id: u64,
    },
    /// Tries at once.
    Retry {
        /// Which ones.
        #[command(flatten)]
        which: QueueWhich,
        /// Says which entries it would be, and does nothing.
        #[arg(long)]
        dry_run: bool,
    },
    /// Ends entries without delivery and without a bounce.
    Drop {
        /// Which ones.
        #[command(flatten)]
        which: QueueWhich,
        /// Says which entries it would be, and does nothing.
        #[arg(long)]
        dry_run: bool,
    },
    /// Keeps entries until they are released.
    Hold {
        /// Which ones.
        #[command(flatten)]
        which: QueueWhich,
        /// Says which entries it would be, and does nothing.
        #[arg(long)]
        dry_run: bool,
    },
    /// Takes held entries up again.
    Release {
        /// Which ones.
        #[command(flatten)]
        which: QueueWhich,
        /// Says which entries it would be, and does nothing.
        #[arg(long)]
        dry_run: bool,
    },
    /// Sends entries another way, at once.
    Reroute {
        /// To this host instead of what routes and DNS say.
        #[arg(long, value_name = "HOST:PORT", required_unless_present = "mx")]
        via: Option<String>,
        /// Where routes and DNS say, again.
        #[arg(long, conflicts_with = "via")]
        mx: bool,
        /// Which ones.
        #[command(flatten)]
        which: QueueWhich,
        /// Says which entries it would be, and does nothing.
        #[arg(long)]
        dry_run: bool,
    },
    /// Tries nothing for a domain until it is thawed.
    Freeze {
        /// The domain of recipients.
        domain: String,
        /// Why, for those who come after.
        #[arg(long, default_value = "")]
        reason: String,
        /// Says how many recipients it would be, and does nothing.
        #[arg(long)]
        dry_run: bool,
    },
    /// Takes a frozen domain up again.
    Thaw {
        /// The domain of recipients.
        domain: String,
        /// Says how many recipients it would be, and does nothing.
        #[arg(long)]
        dry_run: bool,
    },
    /// The domains that are frozen.
    Frozen,
}

/// Which entries of the queue. Several conditions: all of them.
#[derive(Debug, Default, Args)]
pub struct QueueWhich {
    /// Numbers.
    pub ids: Vec<u64>,
    /// From this sender; `<>` for reports.
    #[arg(long, value_name = "ADDRESS", conflicts_with = "ids")]
    pub from: Option<String>,
    /// To this recipient.
    #[arg(long, value_name = "ADDRESS", conflicts_with = "ids")]
    pub to: Option<String>,
    /// To recipients of this domain.
    #[arg(long, conflicts_with = "ids")]
    pub domain: Option<String>,
    /// Whose last error contains this.
    #[arg(long, value_name = "TEXT", conflicts_with = "ids")]
    pub error: Option<String>,
    /// Accepted so long ago or longer: `90`, `15m`, `4h`, `2d`.
    #[arg(long, value_name = "AGE", conflicts_with = "ids")]
    pub older: Option<String>,
    /// Held ones.
    #[arg(long, conflicts_with = "ids")]
    pub held: bool,
    /// All.
    #[arg(long, conflicts_with = "ids")]
    pub all: bool,
}

/// `pli trace`
#[derive(Debug, Args)]
pub struct Trace {
    /// A Message-ID, an address, or a number of the queue.
    #[arg(value_name = "WHAT")]
    pub what: String,
    /// At most so many events; the newest.
    #[arg(long, default_value_t = 200)]
    pub limit: usize,
}
