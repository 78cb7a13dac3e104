//! Cost of one operation as a mailbox grows.

use std::time::Instant;

use pli_store::FlagMode;
use pli_types::{AccountId, Action, FlagSet, MailboxId, SystemFlag, Uid};

use crate::corpus::Corpus;
use crate::dice::Dice;
use crate::report::Figures;
use crate::store::{Bench, Opening, Place};
use crate::{Common, Failure, measure};

/// `pli-bench store-growth`
#[derive(Clone, Debug, clap::Args)]
pub struct StoreGrowth {
    #[command(flatten)]
    place: Place,
    /// Sizes of the mailbox at which costs are measured.
    #[arg(long, value_delimiter = ',', default_values_t = [1_000_u64, 10_000, 100_000, 1_000_000])]
    sizes: Vec<u64>,
    /// Operations of each kind.
    #[arg(long, default_value_t = 500)]
    operations: u64,
}

impl StoreGrowth {
    /// Runs the row.
    pub async fn run(&self, common: &Common) -> Result<Figures, Failure> {
        let mut figures = Figures::new("store-growth");
        figures.note("operations", self.operations);
        let folder = self.place.folder()?;
        let bench = Opening::new(&self.place, folder.path())?.create()?;
        let account = bench.account("large").await?;
        let inbox = bench.inbox(account)?;
        // One body's worth: the mailbox is what grows.
        let corpus = Corpus::new(common.seed, 1_000);
        let mut dice = Dice::new(common.seed);
        let mut costs: Vec<[f64; 4]> = Vec::new();
        let mut there = 0;
        for size in &self.sizes {
            bench.fill(account, inbox, size.saturating_sub(there), |number| corpus.get(there + number)).await?;
            // A session has it selected, as is so while mail comes in.
            let permit = bench.permit(Action::Select, Some(account), false);
            let reader = bench.store.read(&permit)?;
            let begun = Instant::now();
            let view = reader.view(inbox)?;
            figures.set(&format!("select_{size}_ms"), measure::ms(begun.elapsed()));
            let keys = bench.keys(account)?;
            let deliver = self.deliver(&bench, account, &corpus).await?;
            let flag = self.flag(&bench, account, inbox, *size, &mut dice).await?;
            let permit = bench.permit(Action::FetchMetadata, Some(account), false);
            let metadata = bench.store.read(&permit)?;
            let snapshot = view.snapshot();
            let mut fetch = Vec::new();
            for _ in 0..self.operations {
                let number = 1 + dice.below(size.saturating_sub(1)) as u32;
                let begun = Instant::now();
                let entry = snapshot.by_number(number).ok_or("a number that is not there")?;
                std::hint::black_box(metadata.summary(&keys, entry.email)?);
                fetch.push(begun.elapsed().as_secs_f64() * 1e6);
            }
            let expunge = self.expunge(&bench, account, inbox, &mut dice).await?;
            let cost = [deliver, flag, measure::median(&mut fetch), expunge];
            for (name, cost) in ["deliver", "flag", "fetch", "expunge"].iter().zip(cost) {
                figures.set(&format!("{name}_{size}_us"), cost);
            }
            costs.push(cost);
            there = u64::from(view.snapshot().messages);
        }
        if let (Some(first), Some(last)) = (costs.first(), costs.last()) {
            let names = ["deliver", "flag", "fetch", "expunge"];
            let mut worst = 0.0_f64;
            for ((name, first), last) in names.iter().zip(first).zip(last) {
                figures.set(&format!("{name}_growth"), last / first);
                worst = worst.max(last / first);
            }
            figures.set("worst_growth", worst);
        }
        bench.store.close();
        Ok(figures)
    }

    async fn deliver(&self, bench: &Bench, account: AccountId, corpus: &Corpus) -> Result<f64, Failure> {
        let mut times = Vec::new();
        for number in 0..self.operations {
            let prepared = bench.store.prepare(corpus.get(number).into())?;
            let begun = Instant::now();
            bench.deliver_prepared(account, prepared).await?;
            times.push(begun.elapsed().as_secs_f64() * 1e6);
        }
        Ok(measure::median(&mut times))
    }

    async fn flag(
        &self,
        bench: &Bench,
        account: AccountId,
        mailbox: MailboxId,
        size: u64,
        dice: &mut Dice,
    ) -> Result<f64, Failure> {
        let flags: FlagSet = [SystemFlag::Flagged].into_iter().collect();
        let mut times = Vec::new();
        for _ in 0..self.operations {
            let uid = Uid::new(1 + dice.below(size) as u32);
            let permit = bench.permit(Action::Store, Some(account), true);
            let begun = Instant::now();
            bench.store.change_flags(permit, mailbox, vec![uid], FlagMode::Add, flags.clone(), None).await?;
            times.push(begun.elapsed().as_secs_f64() * 1e6);
        }
        Ok(measure::median(&mut times))
    }

    /// By UID, as clients that move mail to a bin do.
    async fn expunge(
        &self,
        bench: &Bench,
        account: AccountId,
        mailbox: MailboxId,
        dice: &mut Dice,
    ) -> Result<f64, Failure> {
        let flags: FlagSet = [SystemFlag::Deleted].into_iter().collect();
        let mut times = Vec::new();
        for _ in 0..self.operations / 5 {
            let permit = bench.permit(Action::Select, Some(account), false);
            let snapshot = bench.store.read(&permit)?.view(mailbox)?.snapshot();
            let number = 1 + dice.below(snapshot.messages.into()) as u32;
            let uid = snapshot.by_number(number).ok_or("a number that is not there")?.uid;
            let permit = bench.permit(Action::Store, Some(account), true);
            bench.store.change_flags(permit, mailbox, vec![uid], FlagMode::Add, flags.clone(), None).await?;
            let permit = bench.permit(Action::Expunge, Some(account), true);
            let begun = Instant::now();
            bench.store.expunge(permit, mailbox, Some(vec![uid])).await?;
            times.push(begun.elapsed().as_secs_f64() * 1e6);
        }
        Ok(measure::median(&mut times))
    }
}
