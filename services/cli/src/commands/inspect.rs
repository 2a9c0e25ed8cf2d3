//! `holdfast inspect`: the scanner, without a running suite.

use crate::args::InspectArguments;
use crate::output::Output;

/// Inspects each file in a jailed worker. 0 when all may be admitted, 1 when one is refused, 2 when one could not be inspected.
pub async fn run(_output: Output, _arguments: InspectArguments) -> anyhow::Result<u8> {
    anyhow::bail!("not built yet")
}
