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

    /// Frames that the agent dreams before each of its moves, if it can plan.
    pub fn set_planned_frames(&mut self, frames: usize) {
        if let Some(planner) = self.agent.as_mut().and_then(AgentPlayer::planner_mut) {
            planner.set_budget(frames);
        }
    }

    /// What it thought belongs to another frame.
    pub(super) fn forget_thoughts(&mut self) {
        self.decision = None;
        if let Some(planner) = self.agent.as_mut().and_then(AgentPlayer::planner_mut) {
            planner.forget();
        }
    }

    /// What the agent would do next, the same however often it is asked. `None` without one, before the first
    /// frame that it sees, and after a snapshot was restored, until the next frame.
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
    use std::num::NonZeroUsize;
    use std::sync::Arc;

    use driftless_agent::testing::agent;
    use driftless_agent::{AgentPlayer, AgentPolicy, PlanSettings};
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

    /// It plans as long as it has frames to dream, and the game goes on as without it.
    #[test]
    fn agent_plans_within_its_budget() {
        let config = small_config();
        let params = SamplerParams::default();
        let new = || {
            let engine = cpu_sampler(&world(&config));
            let mut world = LearnedWorld::new(engine, vec![clip(&config, 3)].into());
            let agent = Arc::new(agent(&config, 3));
            let player = AgentPlayer::new(agent, AgentPolicy::Trained, 1);
            let settings = PlanSettings {
                budget: 0,
                ..PlanSettings::default()
            };
            let player = player.with_planner(settings, NonZeroUsize::MIN, 1);
            world.set_agent(Some(player)).unwrap();
            world.start(0, &params).unwrap();
            world
        };
        let (mut planning, mut drawing) = (new(), new());
        planning.set_planned_frames(40);
        let planned = planning.decide().unwrap().unwrap();
        let drawn = drawing.decide().unwrap().unwrap();
        // Two candidates, of which one is the best.
        assert!(planned.probabilities.contains(&1.0), "{planned:?}");
        assert!(drawn.probabilities.iter().all(|p| *p < 1.0), "{drawn:?}");
        for world in [&mut planning, &mut drawing] {
            world.step(2.into(), &params).unwrap();
        }
        assert!(planning.snapshot().unwrap() == drawing.snapshot().unwrap());
        planning.set_planned_frames(0);
        let drawn = planning.decide().unwrap().unwrap();
        assert!(drawn.probabilities.iter().all(|p| *p < 1.0), "{drawn:?}");
    }
}
