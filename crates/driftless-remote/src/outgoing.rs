//! What is to be said to the server: not more than it takes, and of what replaces another, the newest.

use std::collections::VecDeque;
use std::mem::discriminant;
use std::time::Instant;

use driftless_serve::RateLimit;
use driftless_serve::protocol::Request;

/// Requests a second, in the long run and at once: less than a server allows, since the two measure time on their
/// own.
const PER_SECOND: f64 = 120.0;
const BURST: f64 = 120.0;
/// Requests that wait, the oldest of which is forgotten.
const MOST: usize = 128;

/// Requests that wait to be sent.
pub struct Outgoing {
    queue: VecDeque<Request>,
    rate: RateLimit,
}

impl Outgoing {
    /// Nothing waits.
    pub fn new(now: Instant) -> Self {
        Self {
            queue: VecDeque::new(),
            rate: RateLimit::new(PER_SECOND, BURST, now),
        }
    }

    /// Adds a request, which may replace one that still waits.
    pub fn push(&mut self, request: Request) {
        match request {
            Request::Settings { values } => return self.add_settings(values),
            // A key that was pressed and released in between counts, but no more.
            Request::Hold { .. } => {
                let holds = self.queue.iter().rev();
                let last = holds.take_while(|r| matches!(r, Request::Hold { .. }));
                if last.count() >= 2 {
                    self.queue.pop_back();
                }
            }
            Request::Step {}
            | Request::Reset { .. }
            | Request::NewBranch {}
            | Request::DeleteBranch { .. }
            | Request::RestoreBranch {} => {}
            _ => {
                let kind = discriminant(&request);
                self.queue.retain(|waiting| discriminant(waiting) != kind);
            }
        }
        if self.queue.len() == MOST {
            self.queue.pop_front();
        }
        self.queue.push_back(request);
    }

    fn add_settings(&mut self, values: serde_json::Map<String, serde_json::Value>) {
        let waiting = self.queue.iter_mut().find_map(|request| match request {
            Request::Settings { values } => Some(values),
            _ => None,
        });
        match waiting {
            Some(waiting) => waiting.extend(values),
            None => self.queue.push_back(Request::Settings { values }),
        }
    }

    /// The next request, if it may be sent now.
    pub fn next(&mut self, now: Instant) -> Option<Request> {
        if self.queue.is_empty() || !self.rate.allows(now) {
            return None;
        }
        self.queue.pop_front()
    }

    /// Whether a request waits until it may be sent.
    pub fn is_waiting(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Adds a request that comes before all that wait.
    pub fn push_first(&mut self, request: Request) {
        self.queue.push_front(request);
    }

    /// Forgets what only concerned a link that is broken: what is held, what was drawn, and steps, which are asked
    /// for again if they were not made.
    pub fn forget_link(&mut self) {
        self.queue.retain(|request| {
            !matches!(
                request,
                Request::Hold { .. }
                    | Request::Ack { .. }
                    | Request::Latency { .. }
                    | Request::Step {}
            )
        });
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use serde_json::json;

    fn sent(requests: Vec<Request>) -> Vec<Request> {
        let now = Instant::now();
        let mut outgoing = Outgoing::new(now);
        requests.into_iter().for_each(|r| outgoing.push(r));
        std::iter::from_fn(|| outgoing.next(now)).collect()
    }

    fn hold(action: u32) -> Request {
        Request::hold(&action.into(), action)
    }

    fn settings(value: &serde_json::Value) -> Request {
        let values = value.as_object().unwrap().clone();
        Request::Settings { values }
    }

    #[test]
    fn newest_wish_wins() {
        let seek = |index| Request::Seek { branch: 0, index };
        let ack = |frame| Request::Ack { frame };
        let asked = vec![
            seek(1),
            ack(1),
            seek(2),
            ack(2),
            Request::Step {},
            Request::Step {},
        ];
        let expected = [seek(2), ack(2), Request::Step {}, Request::Step {}];
        assert_eq!(sent(asked), expected);
        let asked = vec![
            settings(&json!({"steps": 2, "churn": 0.1})),
            settings(&json!({"steps": 4})),
        ];
        assert_eq!(sent(asked), [settings(&json!({"steps": 4, "churn": 0.1}))]);
    }

    #[test]
    fn short_presses_are_kept() {
        assert_eq!(sent(vec![hold(1), hold(2), hold(3)]), [hold(1), hold(3)]);
        let between = vec![hold(1), Request::Step {}, hold(2), hold(3)];
        assert_eq!(sent(between.clone()), between);
    }

    #[test]
    fn rate_is_limited() {
        let start = Instant::now();
        let mut outgoing = Outgoing::new(start);
        let mut sent = 0;
        for ms in 0..10_000 {
            outgoing.push(hold(ms));
            let now = start + Duration::from_millis(ms.into());
            sent += usize::from(outgoing.next(now).is_some());
        }
        assert!((1310..=1330).contains(&sent), "{sent}");
        assert!(outgoing.is_waiting());
        outgoing.forget_link();
        assert!(!outgoing.is_waiting());
    }
}
