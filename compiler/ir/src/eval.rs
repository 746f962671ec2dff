//! Placeholder.
/// Values on the host.
pub struct HostTensor;
/// Placeholder.
pub struct Machine;
