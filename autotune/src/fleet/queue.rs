//! What is left to do, shared by all devices: phases of each kind of device, and before them the type of its KV cache.

use super::Plan;
use crate::device::{Device, Hello};
use crate::record::KvChoice;
use mcv_ir::{Error, Result};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Phases that share the KV cache.
pub const CACHED: [&str; 2] = ["prefill", "decode"];

/// A piece of work for a device of a kind.
#[derive(Debug, Clone)]
pub enum Task {
    /// Choose the type of KV cache, by these of the phases; all of them are then tuned with it.
    Kv {
        /// The kind.
        soc: String,
        /// All phases that are wanted.
        phases: Vec<String>,
    },
    /// Tune a phase.
    Phase {
        /// The kind.
        soc: String,
        /// Which.
        phase: String,
        /// The type of KV cache and why, where there was a choice.
        kv: Option<KvChoice>,
    },
}

impl Task {
    fn soc(&self) -> &str {
        match self {
            Task::Kv { soc, .. } | Task::Phase { soc, .. } => soc,
        }
    }
}

impl std::fmt::Display for Task {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        match self {
            Task::Kv { soc, .. } => write!(f, "{soc}: the type of KV cache is not chosen"),
            Task::Phase { soc, phase, .. } => write!(f, "{soc} {phase} is not tuned"),
        }
    }
}

/// Work that waits, and kinds of devices whose type of KV cache is being chosen: their phases come then.
pub struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    tasks: Vec<Task>,
    choosing: Vec<String>,
}

impl Queue {
    /// All that there is to do.
    ///
    /// # Errors
    /// No device, devices with different models, or a phase that the model does not have.
    pub fn new(devices: &[Box<dyn Device>], plan: &Plan) -> Result<Self> {
        let state = State { tasks: tasks(devices, plan)?, choosing: vec![] };
        Ok(Queue { state: Mutex::new(state), changed: Condvar::new() })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next task for a kind; none when nothing is left and nothing can come.
    pub fn take(&self, soc: &str) -> Option<Task> {
        let mut state = self.lock();
        loop {
            if let Some(at) = state.tasks.iter().position(|t| t.soc() == soc) {
                let task = state.tasks.remove(at);
                if let Task::Kv { soc, .. } = &task {
                    state.choosing.push(soc.clone());
                }
                return Some(task);
            }
            if !state.choosing.iter().any(|s| s == soc) {
                return None;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Another device of that kind may take it up.
    pub fn give_back(&self, task: Task) {
        let soc = task.soc().to_owned();
        self.put(&soc, vec![task]);
    }

    /// The phases of a kind, with the type of KV cache that was chosen.
    pub fn chosen(&self, soc: &str, phases: &[String], kv: &KvChoice) {
        let task = |phase: &String| Task::Phase { soc: soc.into(), phase: phase.clone(), kv: Some(kv.clone()) };
        self.put(soc, phases.iter().map(task).collect());
    }

    fn put(&self, soc: &str, tasks: Vec<Task>) {
        let mut state = self.lock();
        state.tasks.extend(tasks);
        state.choosing.retain(|s| s != soc);
        self.changed.notify_all();
    }

    /// What nobody did.
    pub fn left(self) -> Vec<Task> {
        self.state.into_inner().unwrap_or_else(PoisonError::into_inner).tasks
    }
}

fn tasks(devices: &[Box<dyn Device>], plan: &Plan) -> Result<Vec<Task>> {
    let mut tasks: Vec<Task> = Vec::new();
    let first = devices.first().ok_or_else(|| Error::input("no device"))?.hello();
    for device in devices {
        let hello = device.hello();
        if hello.model != first.model {
            return Err(Error::input(format!("{} holds another model: {}", device.name(), hello.model)));
        }
        if let Some(unknown) = plan.phases.iter().find(|p| !hello.phases.contains(p)) {
            let have = hello.phases.join(", ");
            return Err(Error::input(format!("--phases: the model has no phase {unknown}; it has {have}")));
        }
        if tasks.iter().all(|t| t.soc() != hello.soc) {
            tasks.extend(of_kind(hello, plan));
        }
    }
    Ok(tasks)
}

fn of_kind(hello: &Hello, plan: &Plan) -> Vec<Task> {
    let wanted = hello.phases.iter().filter(|p| plan.phases.is_empty() || plan.phases.contains(p));
    let (soc, phases): (_, Vec<String>) = (hello.soc.clone(), wanted.cloned().collect());
    match hello.kv.len() > 1 && phases.iter().any(|p| CACHED.contains(&p.as_str())) {
        true => vec![Task::Kv { soc, phases }],
        false => phases.into_iter().map(|phase| Task::Phase { soc: soc.clone(), phase, kv: None }).collect(),
    }
}
