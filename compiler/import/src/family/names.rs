//! Names of 4.6's checkpoints as those that the other versions use.

/// Beginning of a name in the checkpoint, and of the same name here.
pub const PREFIXES: &[(&str, &str)] = &[
    ("model.language_model.", "llm.model."),
    ("lm_head.", "llm.lm_head."),
    ("model.vision_tower.", "vpm."),
    ("model.merger.", "merger."),
];
