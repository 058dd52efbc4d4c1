//! The bare card program: `SCardTransmit` and nothing else. A process of its own, because
//! libpcsclite looks only once for the service it speaks with.

use std::{
    ffi::CString,
    io::{self, BufRead, Write},
    time::{Duration, Instant},
};

use pcsc::{Context, Protocols, ReaderState, Scope, ShareMode, State};

use crate::{Outcome, apdu::APDU};

/// The virtual card is on its way when this starts.
const INSERTED_WITHIN: Duration = Duration::from_secs(10);

/// For each line with a number: that many APDUs, and a line with how long each took, in
/// nanoseconds.
pub(crate) fn serve(reader: &str) -> Outcome<()> {
    let context = Context::establish(Scope::System)?;
    let reader = CString::new(reader)?;
    let mut states = [ReaderState::new(reader.clone(), State::UNAWARE)];
    while !states[0].event_state().contains(State::PRESENT) {
        context.get_status_change(INSERTED_WITHIN, &mut states)?;
        states[0].sync_current_state();
    }
    let card = context.connect(&reader, ShareMode::Exclusive, Protocols::ANY)?;
    let mut buffer = [0; pcsc::MAX_BUFFER_SIZE];
    let mut stdout = io::stdout().lock();
    for line in io::stdin().lock().lines() {
        let count: usize = line?.trim().parse()?;
        let mut took = Vec::with_capacity(count);
        for _ in 0..count {
            let began = Instant::now();
            let answer = card.transmit(&APDU, &mut buffer)?;
            took.push(u64::try_from(began.elapsed().as_nanos())?);
            if !answer.ends_with(&[0x90, 0]) {
                return Err(format!("the card answered {answer:02x?}").into());
            }
        }
        serde_json::to_writer(&mut stdout, &took)?;
        writeln!(stdout)?;
        stdout.flush()?;
    }
    let _ = card.disconnect(pcsc::Disposition::ResetCard);
    Ok(())
}
