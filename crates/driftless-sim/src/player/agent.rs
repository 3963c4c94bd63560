//! An agent beside the person who plays a learned world.

use driftless_agent::{AgentPlayer, Decision};

use super::LearnedWorld;
use crate::Result;

impl LearnedWorld {
    /// Lets an agent look on, from the next frame on, or sends it away.
    ///
    /// # Errors
    /// Returns an error if the backend does not tell what an agent sees; the CPU engine does.
    pub fn set_agent(&mut self, agent: Option<AgentPlayer>) -> Result<()> {
        self.engine.record_tokens(agent.is_some())?;
        (self.agent, self.decision) = (agent, None);
        Ok(())
    }

    /// What the agent would do next, the same however often it is asked. `None` without one, before the first frame that it sees, and after a
    /// snapshot was restored, until the next frame.
    ///
    /// # Errors
    /// Returns an error if the agent is of another world.
    pub fn decide(&mut self) -> Result<Option<Decision>> {
        if let Some(agent) = &mut self.agent
            && self.decision.is_none()
            && self.engine.tokens().is_some()
        {
            self.decision = Some(agent.decide(&mut self.engine)?);
        }
        Ok(self.decision.clone())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use driftless_agent::testing::agent;
    use driftless_agent::{AgentPlayer, AgentPolicy};
    use driftless_data::Action;
    use driftless_engine::SamplerParams;
    use driftless_engine::testing::{clip, cpu_sampler, small_config, world};

    use crate::{LearnedWorld, Player};

    /// Whoever takes over, the agent goes on looking; what it thinks does not change the frames.
    #[test]
    fn agent_sees_every_frame_and_changes_none() {
        let config = small_config();
        let params = SamplerParams::default();
        let new = || LearnedWorld::new(cpu_sampler(&world(&config)), vec![clip(&config, 3)].into());
        let (mut watched, mut alone) = (new(), new());
        let player = AgentPlayer::new(Arc::new(agent(&config, 3)), AgentPolicy::Trained, 1);
        watched.set_agent(Some(player)).unwrap();
        assert_eq!(watched.decide().unwrap(), None);
        watched.start(0, &params).unwrap();
        alone.start(0, &params).unwrap();
        for frame in 0..6 {
            let decision = watched.decide().unwrap().unwrap();
            assert_eq!(watched.decide().unwrap().unwrap(), decision);
            assert_eq!(watched.scripted_action().unwrap(), decision.action);
            assert_eq!(decision.probabilities.len(), 3);
            let action = if frame % 2 == 0 { decision.action } else { 1 };
            watched.step(action.into(), &params).unwrap();
            alone.step(action.into(), &params).unwrap();
        }
        let snapshot = watched.snapshot().unwrap();
        assert!(snapshot == alone.snapshot().unwrap());
        watched.restore(&snapshot).unwrap();
        assert_eq!(watched.decide().unwrap(), None);
        assert_eq!(watched.scripted_action(), Some(Action::IDLE));
        assert_eq!(alone.scripted_action(), None);
        watched.step(0.into(), &params).unwrap();
        assert!(watched.decide().unwrap().is_some());
        watched.set_agent(None).unwrap();
        watched.step(0.into(), &params).unwrap();
        assert_eq!(watched.decide().unwrap(), None);
    }
}
