//! ARC: what those who handled the message before us say that they saw. RFC 8617.

use crate::dkim::DkimResult;
use crate::dkim::canon::{Canon, push_field};
use crate::dkim::key::{Algorithm, look_up};
use crate::dkim::sign::{SignError, Signer, push_folded};
use crate::dkim::verify::{Bodies, Signature, push_own};
use crate::dns::{Dns, fold};
use crate::message::{Field, Message};
use crate::tags::{Tags, to_base64};

/// RFC 8617 §4.2.1.
const SETS_MAX: u32 = 50;
/// Seals verified; a longer chain costs a look-up and a public-key operation for each and convinces nobody.
const SEALS_CHECKED_MAX: u32 = 10;

/// State of a chain. RFC 8617 §4.4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChainState {
    /// There is none.
    None,
    /// It holds.
    Pass,
    /// It does not, and never will again.
    Fail,
}

impl ChainState {
    /// As `cv=` has it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Pass => "pass",
            Self::Fail => "fail",
        }
    }
}

/// A chain's state with its reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArcOutcome {
    /// The state.
    pub state: ChainState,
    /// Sets in the chain.
    pub sets: u32,
    /// `d=` of the newest seal, if the chain holds.
    pub sealer: Option<String>,
    /// Why, in words.
    pub reason: String,
}

struct Set<'a> {
    results: Field<'a>,
    signature: Field<'a>,
    seal: Field<'a>,
    seal_tags: Tags,
    signature_tags: Tags,
}

/// Verifies a message's chain. RFC 8617 §5.2.
pub async fn verify(dns: &dyn Dns, message: &Message<'_>, bodies: &mut Bodies, now_s: u64) -> ArcOutcome {
    let failed = |sets: u32, reason: String| ArcOutcome { state: ChainState::Fail, sets, sealer: None, reason };
    let sets = match sets(message) {
        Ok(sets) if sets.is_empty() => {
            return ArcOutcome { state: ChainState::None, sets: 0, sealer: None, reason: String::from("no chain") };
        }
        Ok(sets) => sets,
        Err(reason) => return failed(0, reason.to_owned()),
    };
    let count = u32::try_from(sets.len()).unwrap_or(u32::MAX);
    let Some(newest) = sets.last() else { return failed(0, String::from("no chain")) };
    if count > SEALS_CHECKED_MAX {
        return failed(count, String::from("the chain is too long"));
    }
    for (nth, set) in sets.iter().enumerate() {
        let wanted = if nth == 0 { "none" } else { "pass" };
        if set.seal_tags.get("cv") != Some(wanted) {
            return failed(count, format!("seal {} does not say cv={wanted}", nth + 1));
        }
    }
    let signature = match Signature::read(&newest.signature_tags, now_s) {
        Ok(signature) if signature.names.iter().any(|name| name == "arc-seal") => {
            return failed(count, String::from("the message signature signs seals"));
        }
        Ok(signature) => signature,
        Err(reason) => return failed(count, format!("message signature {count}: {reason}")),
    };
    let (result, reason, _) = signature.check(dns, message, newest.signature.raw, bodies, None).await;
    if result != DkimResult::Pass {
        return failed(count, format!("message signature {count}: {reason}"));
    }
    for upto in (1..=sets.len()).rev() {
        if let Err(reason) = seal_holds(dns, sets.get(..upto).unwrap_or_default()).await {
            return failed(count, format!("seal {upto}: {reason}"));
        }
    }
    let sealer = newest.seal_tags.get("d").map(fold);
    let reason = format!("{count} sealed, last by {}", sealer.as_deref().unwrap_or("?"));
    ArcOutcome { state: ChainState::Pass, sets: count, sealer, reason }
}

/// The sets in order, if they are whole. RFC 8617 §4.2, §5.2 step 3.
fn sets<'a>(message: &Message<'a>) -> Result<Vec<Set<'a>>, &'static str> {
    let of = |name: &str| -> Result<Vec<(u32, Field<'a>, Tags)>, &'static str> {
        let results = name.eq_ignore_ascii_case("ARC-Authentication-Results");
        message
            .named(name)
            .map(|field| {
                // The results are no list of tags after the first part.
                let text = if results {
                    field.value().split(|b| *b == b';').next().unwrap_or_default()
                } else {
                    field.value()
                };
                let tags = Tags::parse(text)?;
                let instance = tags.number("i")?.and_then(|i| u32::try_from(i).ok());
                let instance = instance.filter(|i| (1..=SETS_MAX).contains(i)).ok_or("an instance that is none")?;
                Ok((instance, *field, tags))
            })
            .collect()
    };
    let (results, signatures, seals) =
        (of("ARC-Authentication-Results")?, of("ARC-Message-Signature")?, of("ARC-Seal")?);
    if results.len() != seals.len() || signatures.len() != seals.len() {
        return Err("a set is not whole");
    }
    let mut sets = Vec::with_capacity(seals.len());
    for instance in 1..=u32::try_from(seals.len()).unwrap_or(SETS_MAX) {
        let one = |list: &[(u32, Field<'a>, Tags)]| {
            let mut with = list.iter().filter(|(i, _, _)| *i == instance);
            match (with.next(), with.next()) {
                (Some((_, field, tags)), None) => Ok((*field, tags.clone())),
                (None, _) => Err("a set is missing"),
                (Some(_), Some(_)) => Err("a set stands twice"),
            }
        };
        let (results, _) = one(&results)?;
        let (signature, signature_tags) = one(&signatures)?;
        let (seal, seal_tags) = one(&seals)?;
        sets.push(Set { results, signature, seal, seal_tags, signature_tags });
    }
    Ok(sets)
}

/// Verifies the last seal of these sets. RFC 8617 §5.1.1.
async fn seal_holds(dns: &dyn Dns, sets: &[Set<'_>]) -> Result<(), String> {
    let Some(last) = sets.last() else { return Err(String::from("no seal")) };
    let tags = &last.seal_tags;
    if tags.get("h").is_some() || tags.get("bh").is_some() || tags.get("c").is_some() {
        // RFC 8617 §4.1.3
        return Err(String::from("it holds tags that are not a seal's"));
    }
    let algorithm = Algorithm::parse(tags.get("a"))?;
    let value = tags.base64("b").ok_or("no b=, or not base64")?;
    let (domain, selector) = (tags.get("d").ok_or("no d=")?, tags.get("s").ok_or("no s=")?);
    let key = look_up(dns, selector, &fold(domain), algorithm).await.map_err(|(_, reason)| reason)?;
    if key.verifies(&seal_data(sets), &value) { Ok(()) } else { Err(String::from("it does not hold")) }
}

fn seal_data(sets: &[Set<'_>]) -> Vec<u8> {
    let mut data = Vec::with_capacity(4096);
    for (nth, set) in sets.iter().enumerate() {
        push_field(&mut data, set.results.raw, Canon::Relaxed);
        push_field(&mut data, set.signature.raw, Canon::Relaxed);
        if nth + 1 == sets.len() {
            push_own(&mut data, set.seal.raw, Canon::Relaxed);
        } else {
            push_field(&mut data, set.seal.raw, Canon::Relaxed);
        }
    }
    data
}

/// A new set for a message that is sent on, to be put before it. `results` is what stands in Authentication-Results, the
/// server's name first; `state` is what [`verify`] found. `None` where no set may be added: the chain is broken already and
/// says so (RFC 8617 §5.1), or full.
pub fn seal(
    signer: &Signer,
    raw: &[u8],
    results: &str,
    state: ChainState,
    now_s: u64,
) -> Result<Option<String>, SignError> {
    let message = Message::parse(raw);
    let highest = message
        .named("ARC-Seal")
        .filter_map(|field| Tags::parse(field.value()).ok()?.number("i").ok()??.try_into().ok())
        .max()
        .unwrap_or(0_u32);
    if highest >= SETS_MAX || state == ChainState::Fail || (state == ChainState::None) != (highest == 0) {
        return Ok(None);
    }
    let instance = highest + 1;
    let (algorithm, domain, selector) = (signer.algorithm().name(), signer.domain(), signer.selector());
    let aar = format!("ARC-Authentication-Results: i={instance}; {results}\r\n");
    let tags = format!("i={instance}; a={algorithm}; c=relaxed/relaxed; d={domain};\r\n\ts={selector}; t={now_s};");
    let ams = signer.field("ARC-Message-Signature", &tags, &message)?;
    let mut seal = format!(
        "ARC-Seal: i={instance}; a={algorithm}; cv={}; d={domain};\r\n\ts={selector}; t={now_s};\r\n\tb=",
        state.name()
    );
    let mut data = Vec::with_capacity(4096);
    for set in sets(&message).unwrap_or_default() {
        for field in [set.results, set.signature, set.seal] {
            push_field(&mut data, field.raw, Canon::Relaxed);
        }
    }
    push_field(&mut data, aar.as_bytes(), Canon::Relaxed);
    push_field(&mut data, ams.as_bytes(), Canon::Relaxed);
    push_own(&mut data, seal.as_bytes(), Canon::Relaxed);
    let value = to_base64(&signer.sign_bytes(&data)?);
    push_folded(&mut seal, &value);
    Ok(Some(format!("{seal}{ams}{aar}")))
}
