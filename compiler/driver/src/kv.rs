//! The type of the KV cache: as the user says, else as records of a tuning say, else the recipe's.

use crate::args::CompileArgs;
use crate::recipe::{KV_TYPES, kv_type};
use mcv_ir::{Elem, Error, Result};
use mcv_passes::recipe::Recipe;
use mcv_tune::{Records, ThreadRecord};

/// A type and who wants it.
#[derive(Debug, Clone, PartialEq)]
pub struct Kv {
    /// The type.
    pub elem: Elem,
    /// Who: the option, the record, or the recipe.
    pub from: String,
}

/// The type for this compilation.
///
/// # Errors
/// `--kv` names no such type, or records disagree: by file and field.
pub fn choose(args: &CompileArgs, recipe: &Recipe, known: &Records) -> Result<Kv> {
    if let Some(text) = &args.kv {
        let elem = kv_type(text).ok_or_else(|| Error::input(format!("--kv {text}: {KV_TYPES}")))?;
        return Ok(Kv { elem, from: "--kv".into() });
    }
    let file = args.tuning.as_ref().map_or_else(String::new, |path| path.display().to_string());
    let recorded = recorded(&file, known)?;
    Ok(recorded.unwrap_or_else(|| Kv { elem: recipe.kv, from: format!("recipe {}", recipe.name) }))
}

/// What `mcv-tune` chose, of each kind of device the newest; a type that was not chosen from several, or on a simulated
/// device, says nothing.
fn recorded(file: &str, known: &Records) -> Result<Option<Kv>> {
    let mut chosen: Vec<(usize, &ThreadRecord, Elem)> = Vec::new();
    for (index, record) in known.threads.iter().enumerate() {
        let Some(choice) = record.kv_choice.as_ref().filter(|_| !record.soc.starts_with("sim ")) else { continue };
        let field = format!("{file}: threads[{index}].kv_choice.chosen");
        let wrong = || Error::input(format!("{field} is {}; {KV_TYPES} as --kv, or tune again", choice.chosen));
        let elem = kv_type(&choice.chosen).ok_or_else(wrong)?;
        chosen.retain(|(_, earlier, _)| earlier.soc != record.soc);
        chosen.push((index, record, elem));
    }
    let Some((index, first, elem)) = chosen.first().copied() else { return Ok(None) };
    match chosen.iter().find(|(_, _, other)| *other != elem) {
        Some((other, record, rival)) => Err(Error::input(format!(
            "{file}: threads[{index}].kv_choice.chosen is {elem} on {}, threads[{other}].kv_choice.chosen is {rival} on {}; \
             say with --kv which of them this build is for",
            first.soc, record.soc
        ))),
        None => Ok(Some(Kv { elem, from: format!("{file}: threads[{index}].kv_choice.chosen") })),
    }
}

impl Kv {
    /// For people, where a record decided.
    pub fn line(&self, args: &CompileArgs, recipe: &Recipe) -> Option<String> {
        let decided = args.kv.is_none() && self.from.contains("kv_choice");
        let (elem, from, instead) = (&self.elem, &self.from, recipe.kv);
        decided.then(|| format!("KV cache {elem} by {from}; recipe {}: {instead}; --kv overrides both", recipe.name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mcv_tune::record::{EMITTER, KvChoice};
    use mcv_tune::setting::Setting;

    fn record(soc: &str, phase: &str, chosen: Option<&str>) -> ThreadRecord {
        let among = vec!["f16".to_owned(), "f32".to_owned()];
        let choice =
            |chosen: &str| KvChoice { chosen: chosen.into(), among, phases: vec![phase.into()], runs: 12, gain: None };
        ThreadRecord {
            model: "m1".into(),
            soc: soc.into(),
            driver: String::new(),
            level: "portable".into(),
            emitter: EMITTER,
            phase: phase.into(),
            setting: Setting::default_of(2),
            seconds: 1.0,
            default_seconds: 1.0,
            times: vec![],
            runs: 3,
            settled: true,
            temperature: None,
            clocks: vec![],
            hot: false,
            disturbed: 0,
            kv_fixed: chosen.is_none(),
            kv_choice: chosen.map(choice),
            gain: None,
        }
    }

    fn chosen(threads: Vec<ThreadRecord>) -> Result<Option<Elem>> {
        recorded("t.yaml", &Records { records: vec![], threads }).map(|kv| kv.map(|kv| kv.elem))
    }

    #[test]
    fn the_newest_choice_of_a_real_device_counts() {
        let decode = |soc: &str, kv: Option<&str>| record(soc, "decode", kv);
        assert_eq!(chosen(vec![decode("phone", None), record("phone", "vision", None)]).unwrap(), None);
        assert_eq!(chosen(vec![decode("phone", Some("f32"))]).unwrap(), Some(Elem::F32));
        assert_eq!(chosen(vec![decode("phone", Some("f32")), decode("phone", Some("f16"))]).unwrap(), Some(Elem::F16));
        assert_eq!(chosen(vec![decode("sim apple-m1", Some("q8"))]).unwrap(), None);
        let same = vec![decode("one", Some("f32")), decode("two", Some("f32"))];
        assert_eq!(chosen(same).unwrap(), Some(Elem::F32));
    }

    #[test]
    fn what_nobody_can_follow_is_refused_by_file_and_field() {
        let rivals = vec![record("one", "decode", Some("f32")), record("two", "decode", Some("f16"))];
        for (threads, words) in [
            (
                rivals,
                ["t.yaml: threads[0].kv_choice.chosen is f32 on one", "threads[1].kv_choice.chosen is f16 on two"],
            ),
            (vec![record("one", "decode", Some("q8"))], ["t.yaml: threads[0].kv_choice.chosen is q8", "f16 or f32"]),
        ] {
            let why = chosen(threads).unwrap_err().to_string();
            assert!(words.iter().all(|w| why.contains(w)) && why.contains("--kv"), "{why}");
        }
    }
}
