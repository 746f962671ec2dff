//! Records that ship with this program (`targets/soc/priors`): what won on one device is tried first on the next. They
//! choose what is measured first, never what wins. Each file says where its records come from.

use crate::record::{Records, from_yaml};
use mcv_ir::{Error, Result};
use serde::Deserialize;
use std::fmt;

/// Files that ship, by name.
pub const SHIPPED: [(&str, &str); 5] = [
    ("host", include_str!("../../targets/soc/priors/host.yaml")),
    ("snapdragon8g3", include_str!("../../targets/soc/priors/snapdragon8g3.yaml")),
    ("snapdragon8elite", include_str!("../../targets/soc/priors/snapdragon8elite.yaml")),
    ("dimensity9300", include_str!("../../targets/soc/priors/dimensity9300.yaml")),
    ("apple-m1", include_str!("../../targets/soc/priors/apple-m1.yaml")),
];

/// How records came to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// On the device that they name.
    Measured,
    /// On the simulator of `SIMULATOR.md`: they know the shape of the device, not its speed.
    Simulated,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Origin::Measured => "measured",
            Origin::Simulated => "simulated",
        })
    }
}

/// A file of priors.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Priors {
    /// How its records came to be.
    pub origin: Origin,
    /// Where and how, for people.
    pub about: String,
    /// The records.
    pub records: Records,
}

impl Priors {
    /// Reads a file's text.
    ///
    /// # Errors
    /// Another form, or records of another emitter version: by file and field.
    pub fn parse(name: &str, text: &str) -> Result<Priors> {
        let priors: Priors = from_yaml(name, text)?;
        priors.records.check(name)?;
        match priors.about.trim().is_empty() {
            true => Err(Error::input(format!("{name}: about is empty; say where the records were made"))),
            false => Ok(priors),
        }
    }
}

/// All records that ship; what is stale is left out, with a reason that goes to `tell`.
pub fn shipped(tell: &mut dyn FnMut(&str)) -> Records {
    let mut records = Records::default();
    for (name, text) in SHIPPED {
        match Priors::parse(&format!("priors/{name}.yaml"), text) {
            Ok(priors) => records.merge(priors.records),
            Err(why) => tell(&format!("{why}; going on without")),
        }
    }
    records
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::EMITTER;

    #[test]
    fn what_ships_is_read_labelled_and_of_today() {
        for (name, text) in SHIPPED {
            let priors = Priors::parse(name, text).expect("a file of ours");
            let origin = if name == "host" { Origin::Measured } else { Origin::Simulated };
            assert_eq!(priors.origin, origin, "{name}");
            assert!(priors.about.contains(&origin.to_string()), "{name}: {}", priors.about);
            let threads = priors.records.threads.iter().map(|r| r.phase.as_str()).collect::<Vec<_>>();
            assert_eq!(threads, ["decode", "prefill", "vision"], "{name}");
        }
        let mut notes = Vec::new();
        let all = shipped(&mut |note| notes.push(note.to_owned()));
        assert!(notes.is_empty() && all.threads.len() == 3 * SHIPPED.len() && !all.records.is_empty(), "{notes:?}");
    }

    #[test]
    fn stale_and_foreign_files_are_refused_with_a_reason() {
        let (name, text) = SHIPPED[0];
        let now = format!("emitter: {EMITTER}");
        for (bad, word) in [
            (text.replace(&now, "emitter: 99"), "emitter is 99"),
            (text.replace("origin: measured", "origin: guessed"), "guessed"),
            (text.replace("tile_m: ", "tile_m: 0 #"), "zero or endless"),
            ("origin: measured\nabout: ' '\nrecords: {}\n".into(), "about is empty"),
            ("records: []".into(), "host"),
            ("\u{0}".into(), "host"),
        ] {
            let why = Priors::parse(name, &bad).expect_err("refused").to_string();
            assert!(why.contains(word), "{word}: {why}");
        }
    }
}
