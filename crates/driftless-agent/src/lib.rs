//! An agent of a learned world: it sees what the world's network makes of a frame, and chooses the next action.
//!
//! The agent is four small heads on the tokens of the pass that writes the world's cache: a policy, a value, the
//! reward and whether the episode goes on. The world is not changed by it, and neither are its dreams. It is
//! trained by `driftless-train`, first on recorded play, then on what the world dreams under its own actions
//! (Hafner et al., *Training Agents Inside of Scalable World Models*, 2025).
//!
//! Frame t leads to the features h_t, from which the policy draws a_{t+1}, the action that leads to frame t+1.
//! Reward and continuation are read from the frame that they came with: r_{t+1} and c_{t+1} from h_{t+1}.
//!
//! - [`Agent`] plays: [`AgentPlayer`] draws an action for a sampler's last frame, [`imagine`] lets a game run, and a
//!   [`Planner`] tries actions in the dream before every move.
//! - [`network`] and [`objective`] are what training needs: the heads as tensors, and the losses.

mod agent;
pub mod config;
mod error;
mod features;
mod imagination;
pub mod network;
pub mod objective;
mod plain;
mod planner;
mod player;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod two_hot;

pub use agent::{Agent, AgentPolicy, Decision, scale_of};
pub use config::AgentConfig;
pub use error::{Error, Result};
pub use features::{FeatureShape, Pooling};
pub use imagination::{Dream, Trajectory, imagine};
pub use plain::PlainHead;
pub use planner::{PlanSettings, Planner};
pub use player::AgentPlayer;
pub use two_hot::{TwoHot, symexp, symlog};
