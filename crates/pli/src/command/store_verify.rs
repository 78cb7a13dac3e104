//! `pli store verify`

use pli_admin::Request;
use pli_types::{Address, ByteCount};

use super::audit::show_report;
use crate::cli::Global;
use crate::failure::{DATA, FOUND, Failure};
use crate::link::with;
use crate::progress;

/// Runs it: 0, or 1 where something was found.
pub fn run(global: &Global, fast: bool, rate: Option<ByteCount>, accounts: &[Address]) -> Result<u8, Failure> {
    let request = Request::StoreVerify { fast, rate, accounts: accounts.to_vec() };
    let answer = with(global, async |link| link.call_telling(request, progress::bar(global)).await);
    progress::end(global);
    match answer {
        Ok(report) => {
            show_report(global, &report);
            Ok(0)
        }
        // The report of damage comes as the failure's text.
        Err(failure) if failure.code == DATA => match serde_json::from_str(&failure.message) {
            Ok(report) => {
                show_report(global, &report);
                Ok(FOUND)
            }
            Err(_) => Err(failure),
        },
        Err(failure) => Err(failure),
    }
}
