//! CTAPHID (CTAP 2.1, section 11.2): messages cut into reports, a channel for each program, and a word every now and then while somebody
//! has to touch the key. One message at a time; the tests have one program at a time.

use std::time::{Duration, Instant};

use crate::ctap::{Authenticator, Outcome};
use crate::uhid::{Device, REPORT};

const BROADCAST: [u8; 4] = [0xff; 4];
const PING: u8 = 0x81;
const INIT: u8 = 0x86;
const CBOR: u8 = 0x90;
const CANCEL: u8 = 0x91;
const KEEPALIVE: u8 = 0xbb;
const ERROR: u8 = 0xbf;
const INVALID_COMMAND: u8 = 0x01;
/// Understands CBOR, and no messages of U2F.
const CAPABILITIES: u8 = 0x04 | 0x08;
/// Somebody has to touch it.
const UP_NEEDED: u8 = 0x02;
/// How often that is said.
const PACE: Duration = Duration::from_millis(100);

/// Answers for as long as the machine is there.
///
/// # Errors
///
/// When the kernel takes the device away.
pub fn serve(device: &Device, authenticator: &mut Authenticator) -> anyhow::Result<()> {
    let mut channels = 0_u32;
    let mut begun = None;
    loop {
        let Some((channel, command, message)) = receive(device, begun.take())? else {
            continue;
        };
        match command {
            INIT => {
                channels += 1;
                let assigned = if channel == BROADCAST {
                    channels.to_be_bytes()
                } else {
                    channel
                };
                let mut answer = message[..8.min(message.len())].to_vec();
                answer.extend(assigned);
                answer.extend([2, 1, 0, 0, CAPABILITIES]);
                send(device, channel, INIT, &answer)?;
            }
            PING => send(device, channel, PING, &message)?,
            CBOR => match work(device, channel, authenticator, &message)? {
                Worked::Done(answer) => send(device, channel, CBOR, &answer)?,
                Worked::TakenOver(report) => begun = Some(report),
            },
            CANCEL => {}
            _ => send(device, channel, ERROR, &[INVALID_COMMAND])?,
        }
    }
}

/// How a request ended.
enum Worked {
    /// With this answer.
    Done(Vec<u8>),
    /// The program that asked is gone, and another one begins with this report.
    TakenOver([u8; REPORT]),
}

/// Does what is asked, as soon as somebody touches the key where that is needed.
fn work(
    device: &Device,
    channel: [u8; 4],
    authenticator: &mut Authenticator,
    message: &[u8],
) -> anyhow::Result<Worked> {
    let begun = Instant::now();
    let mut blinks = false;
    loop {
        let waited = begun.elapsed();
        match authenticator.ask(message, waited) {
            Outcome::Answer(answer) => {
                if blinks {
                    eprintln!("does not blink any more");
                }
                return Ok(Worked::Done(answer));
            }
            Outcome::Touch => {
                if !blinks {
                    eprintln!("blinks");
                    blinks = true;
                }
                send(device, channel, KEEPALIVE, &[UP_NEEDED])?;
                match device.receive(Some(PACE))? {
                    Some(report) if report[4] == CANCEL => {
                        return Ok(Worked::Done(vec![crate::ctap::KEEPALIVE_CANCEL]));
                    }
                    Some(report) if report[4] == INIT => return Ok(Worked::TakenOver(report)),
                    _ => {}
                }
            }
        }
    }
}

/// A whole message: its channel, its command, its bytes.
type Message = ([u8; 4], u8, Vec<u8>);

/// A message, which may have begun already. None where the reports do not belong together.
fn receive(device: &Device, begun: Option<[u8; REPORT]>) -> anyhow::Result<Option<Message>> {
    let first = match begun {
        Some(report) => report,
        None => match device.receive(None)? {
            Some(report) => report,
            None => return Ok(None),
        },
    };
    let (channel, rest) = first.split_at(4);
    let length = usize::from(u16::from_be_bytes([rest[1], rest[2]]));
    let mut message = rest[3..].to_vec();
    while message.len() < length {
        let Some(report) = device.receive(Some(Duration::from_secs(3)))? else {
            return Ok(None);
        };
        if &report[..4] != channel {
            return Ok(None);
        }
        message.extend(&report[5..]);
    }
    message.truncate(length);
    Ok(Some(([first[0], first[1], first[2], first[3]], rest[0], message)))
}

fn send(device: &Device, channel: [u8; 4], command: u8, message: &[u8]) -> anyhow::Result<()> {
    for report in reports(channel, command, message) {
        device.send(&report)?;
    }
    Ok(())
}

/// A message as reports: the first has command and length, the others are numbered.
fn reports(channel: [u8; 4], command: u8, message: &[u8]) -> Vec<[u8; REPORT]> {
    const FIRST: usize = REPORT - 7;
    let (first, rest) = message.split_at(message.len().min(FIRST));
    let length = u16::try_from(message.len()).unwrap_or(u16::MAX).to_be_bytes();
    let heads = std::iter::once(([&[command], length.as_slice()].concat(), first));
    let others = (0..)
        .zip(rest.chunks(REPORT - 5))
        .map(|(number, part)| (vec![number], part));
    heads
        .chain(others)
        .map(|(head, part)| {
            let mut report = [0; REPORT];
            let bytes = channel.iter().chain(&head).chain(part);
            for (place, byte) in report.iter_mut().zip(bytes) {
                *place = *byte;
            }
            report
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_cut_where_the_reports_end() {
        let message: Vec<u8> = (0..=150).collect();
        let reports = reports([1, 2, 3, 4], CBOR, &message);
        assert_eq!(reports.len(), 3);
        assert_eq!(&reports[0][..8], &[1, 2, 3, 4, CBOR, 0, 151, 0]);
        assert_eq!(&reports[1][..6], &[1, 2, 3, 4, 0, 57]);
        assert_eq!(&reports[2][..6], &[1, 2, 3, 4, 1, 116]);
        assert_eq!(&reports[2][5 + 34..5 + 36], &[150, 0]);
    }
}
