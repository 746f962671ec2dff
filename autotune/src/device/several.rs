//! Artifacts of one model that differ in the type of their KV cache, on one device: a run goes to the artifact whose type
//! it asks for. One of them is open at a time, so that arenas and caches of two are never in memory together.

use super::{Agent, Device, Hello, KernelText, Rested, Sample};
use crate::setting::Setting;
use mcv_ir::{Error, Result};
use std::path::{Path, PathBuf};

/// An agent for each artifact, one of them at work.
pub struct Several {
    agents: Vec<Agent>,
    hello: Hello,
    open: usize,
    /// Phases that ran since it was opened.
    warm: Vec<String>,
}

impl Several {
    /// Starts an agent on each artifact, hears what it is, and closes it.
    ///
    /// # Errors
    /// One can't be started, two have one type, or they differ in more than that: by file and field.
    pub fn open(files: &[PathBuf], start: &dyn Fn(&Path) -> Result<Agent>) -> Result<Self> {
        let heard = |file: &PathBuf| start(file).map(closed);
        let agents = files.iter().map(heard).collect::<Result<Vec<Agent>>>()?;
        let hellos: Vec<&Hello> = agents.iter().map(Agent::hello).collect();
        let hello = together(&hellos)?;
        Ok(Several { agents, hello, open: 0, warm: vec![] })
    }

    fn place(&self, kv: &str) -> Option<usize> {
        self.hello.kv.iter().position(|known| known == kv)
    }

    fn switch(&mut self, to: usize) {
        if self.open != to {
            self.agents[self.open].close();
            self.open = to;
            self.warm.clear();
        }
    }
}

impl Device for Several {
    fn name(&self) -> String {
        self.agents[self.open].name()
    }

    fn hello(&self) -> &Hello {
        &self.hello
    }

    fn hello_of(&self, kv: &str) -> Hello {
        self.place(kv).map_or_else(|| self.hello.clone(), |at| self.agents[at].hello().clone())
    }

    /// Runs without a type, of the vision tower, go to the artifact that is open. A phase's first run after opening pays
    /// for pages and caches, and is made twice.
    fn measure(&mut self, phase: &str, setting: &Setting) -> Result<Sample> {
        let to = match &setting.kv {
            None => self.open,
            Some(kv) => self.place(kv).ok_or_else(|| Error::bug(format!("no artifact with a KV cache of {kv}")))?,
        };
        self.switch(to);
        if self.agents[to].process().is_none() {
            self.warm.clear();
        }
        if !self.warm.iter().any(|w| w == phase) {
            self.agents[to].measure(phase, setting)?;
            self.warm.push(phase.to_owned());
        }
        self.agents[to].measure(phase, setting)
    }

    fn rest(&mut self, seconds: f64) -> Rested {
        self.agents[self.open].rest(seconds)
    }
}

fn closed(mut agent: Agent) -> Agent {
    agent.close();
    agent
}

/// What all of them say together, the first's type first.
fn together(hellos: &[&Hello]) -> Result<Hello> {
    let (first, others) = hellos.split_first().ok_or_else(|| Error::bug("no artifact"))?;
    let mut all = Hello { kv: vec![own_type(first)?], ..(*first).clone() };
    for other in others {
        let (kv, name) = (own_type(other)?, other.file.display());
        if let Some(at) = all.kv.iter().position(|known| *known == kv) {
            let twin = hellos[at].file.display();
            let remedy = "compile one of them with another --kv, or leave it away";
            return Err(Error::input(format!("{name}: its KV cache holds {kv}, as that of {twin}; {remedy}")));
        }
        alike(first, other)?;
        all.kv.push(kv);
        all.model = format!("{}+{}", all.model, other.model);
        let new = |k: &&KernelText| !all.kernels.iter().any(|known| known.text == k.text && known.unit == k.unit);
        let more: Vec<KernelText> = other.kernels.iter().filter(new).cloned().collect();
        all.kernels.extend(more);
    }
    Ok(all)
}

fn own_type(hello: &Hello) -> Result<String> {
    match (&hello.kv[..], hello.parts.is_empty()) {
        ([kv], false) => Ok(kv.clone()),
        (types, _) => Err(Error::input(format!(
            "{}: its agent tells {} types of KV cache{}; several artifacts need one each, told by an mcv-bench of this \
             version",
            hello.file.display(),
            types.len(),
            if hello.parts.is_empty() { " and no parts" } else { "" }
        ))),
    }
}

/// Refuses what differs in more than the type.
fn alike(a: &Hello, b: &Hello) -> Result<()> {
    let absent = || "absent".to_owned();
    let value = |of: &Hello, field: &String| of.parts.get(field).cloned().unwrap_or_else(absent);
    let differ = a.parts.keys().chain(b.parts.keys()).filter(|f| a.parts.get(*f) != b.parts.get(*f));
    // What people can read says more than a digest.
    let Some(field) = differ.min_by_key(|f| value(a, f).len()) else { return Ok(()) };
    Err(Error::input(format!(
        "{}: {field} is {}, in {} it is {}; several artifacts must be one model that differs in the type of its KV cache \
         only, as mcv-compile --kv makes them",
        b.file.display(),
        value(b, field),
        a.file.display(),
        value(a, field)
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hello(file: &str, kv: &str, parts: &[(&str, &str)]) -> Hello {
        let kernel = |text: String| KernelText { text, unit: "cpu".into(), symbol: None };
        Hello {
            model: format!("digest of {file}"),
            soc: "two cores".into(),
            cores: vec![],
            phases: vec![],
            level: "portable".into(),
            units: vec![],
            gpu: None,
            kv: kv.split_whitespace().map(str::to_owned).collect(),
            parts: parts.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
            file: file.into(),
            temperature: None,
            family: String::new(),
            levels: vec![],
            kernels: vec![kernel("matmul".into()), kernel(format!("store {kv}"))],
        }
    }

    #[test]
    fn types_and_kernels_are_put_together() {
        let parts = [("recipe", "q4"), ("weights/llm.bin", "5e")];
        let (a, b) = (hello("a.mcv", "f16", &parts), hello("b.mcv", "f32", &parts));
        let all = together(&[&a, &b]).expect("twins");
        assert_eq!(
            (&all.kv[..], &all.model[..]),
            (&["f16".into(), "f32".into()][..], "digest of a.mcv+digest of b.mcv")
        );
        let kernels: Vec<&str> = all.kernels.iter().map(|k| k.text.as_str()).collect();
        assert_eq!(kernels, ["matmul", "store f16", "store f32"]);
    }

    #[test]
    fn others_are_refused_by_file_and_field() {
        let parts = [("recipe", "q4"), ("weights/llm.bin", "5e")];
        let a = hello("a.mcv", "f16", &parts);
        for (b, words) in [
            (hello("b.mcv", "f16", &parts), ["b.mcv: its KV cache holds f16", "that of a.mcv"]),
            (hello("b.mcv", "f32", &[("recipe", "q8"), parts[1]]), ["b.mcv: recipe is q8", "in a.mcv it is q4"]),
            (hello("b.mcv", "f32", &[parts[0], ("weights/llm.bin", "77")]), ["b.mcv: weights/llm.bin is 77", "5e"]),
            (hello("b.mcv", "f32", &parts[..1]), ["b.mcv: weights/llm.bin is absent", "5e"]),
            (hello("b.mcv", "", &parts), ["b.mcv: its agent tells 0 types", "one each"]),
            (hello("b.mcv", "f32", &[]), ["b.mcv: its agent tells 1 types", "and no parts"]),
        ] {
            let why = together(&[&a, &b]).expect_err("refused").to_string();
            assert!(words.iter().all(|w| why.contains(w)), "{why}");
        }
    }
}
