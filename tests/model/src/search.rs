//! The search: every state that can be reached, breadth first, so that the first trace to a broken invariant is a
//! shortest one.
//!
//! Of a visited state only a 64-bit hash, its predecessor and the step between them are kept. (Two of a hundred million
//! states share a hash with a probability below one in three thousand.) A trace is found by taking its steps anew.

use std::{
    collections::HashMap,
    fmt,
    hash::{BuildHasherDefault, Hash},
};

use crate::fingerprint::{Identity, fingerprint};

/// A system of states and steps between them.
pub trait Model {
    /// Everything that can make a difference to what may happen.
    type State: Clone + Eq + Hash;
    /// The name of a step.
    type Action: fmt::Display;

    /// Where everything begins.
    fn initial(&self) -> Self::State;

    /// Adds the steps that may be taken from a state, always in the same order.
    fn steps(&self, state: &Self::State, steps: &mut Steps<Self::State, Self::Action>);

    /// The state that stands for all that differ from this one in nothing that matters, such as which of two equal workers
    /// is the first. The state itself, unless a model says otherwise.
    fn representative(&self, state: Self::State) -> Self::State {
        state
    }

    /// The invariant that a state breaks, if any.
    fn broken(&self, state: &Self::State) -> Option<&'static str>;

    /// Whether everything has come to its end: from every state such a one must be within reach without further faults.
    fn is_settled(&self, state: &Self::State) -> bool;
}

/// The steps from one state.
#[derive(Debug)]
pub struct Steps<S, A> {
    taken: Vec<Step<S, A>>,
}

#[derive(Debug)]
struct Step<S, A> {
    action: A,
    is_fault: bool,
    to: S,
}

impl<S: Clone, A> Steps<S, A> {
    /// A step that happens when things go their way.
    pub fn step(&mut self, from: &S, action: A, change: impl FnOnce(&mut S)) {
        self.add(from, action, false, change);
    }

    /// A step that nobody may rely on: a fault, or a whim of the environment.
    pub fn fault(&mut self, from: &S, action: A, change: impl FnOnce(&mut S)) {
        self.add(from, action, true, change);
    }

    fn add(&mut self, from: &S, action: A, is_fault: bool, change: impl FnOnce(&mut S)) {
        let mut to = from.clone();
        change(&mut to);
        self.taken.push(Step { action, is_fault, to });
    }
}

/// What a search found.
#[derive(Debug)]
pub struct Report {
    /// States reached.
    pub states: usize,
    /// Length of the longest of the shortest ways to a state.
    pub depth: usize,
    /// How it ended.
    pub verdict: Verdict,
}

/// How a search ended.
#[derive(Debug)]
pub enum Verdict {
    /// Every state was seen, and nothing is wrong with any.
    Holds,
    /// There were more states than allowed; nothing is wrong with those seen.
    TooMany,
    /// Something is wrong: what, and how it comes about.
    Broken(Counterexample),
}

/// A shortest way into trouble.
#[derive(Debug)]
pub struct Counterexample {
    /// The invariant.
    pub invariant: &'static str,
    /// The steps, one a line.
    pub trace: Vec<String>,
}

impl fmt::Display for Counterexample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}:", self.invariant)?;
        self.trace.iter().enumerate().try_for_each(|(i, step)| writeln!(f, "{:>4}. {step}", i + 1))
    }
}

/// What is said of states from which no way leads to the end.
pub const STRANDED: &str = "stranded: even without further faults, something never comes to its end";

/// Searches all states, at most `most`.
pub fn search<M: Model>(model: &M, most: usize) -> Report {
    let mut search = Search {
        model,
        visited: HashMap::default(),
        origins: Vec::new(),
        ways: Vec::new(),
        settled: Vec::new(),
        level: Vec::new(),
        depth: 0,
    };
    let verdict = search.run(most);
    Report { states: search.origins.len(), depth: search.depth, verdict }
}

type Index = u32;

struct Search<'a, M: Model> {
    model: &'a M,
    visited: HashMap<u64, Index, BuildHasherDefault<Identity>>,
    /// Of each state: the state before, and which of its steps led here.
    origins: Vec<(Index, u16)>,
    /// Steps that are no faults, as (to, from).
    ways: Vec<(Index, Index)>,
    settled: Vec<Index>,
    /// The states that were reached last, and their neighbours are not yet seen.
    level: Vec<(Index, M::State)>,
    depth: usize,
}

impl<M: Model> Search<'_, M> {
    fn run(&mut self, most: usize) -> Verdict {
        let initial = self.model.initial();
        if let (_, Some(invariant)) = self.reach(initial, (0, 0)) {
            return Verdict::Broken(Counterexample { invariant, trace: Vec::new() });
        }
        let mut steps = Steps { taken: Vec::new() };
        while !self.level.is_empty() {
            for (from, state) in std::mem::take(&mut self.level) {
                self.model.steps(&state, &mut steps);
                for (number, step) in steps.taken.drain(..).enumerate() {
                    let (to, broken) = self.reach(self.model.representative(step.to), (from, number as u16));
                    if let Some(invariant) = broken {
                        return Verdict::Broken(Counterexample { invariant, trace: self.trace(to) });
                    }
                    if !step.is_fault {
                        self.ways.push((to, from));
                    }
                }
                if self.origins.len() > most {
                    return Verdict::TooMany;
                }
            }
            self.depth += usize::from(!self.level.is_empty());
        }
        match self.stranded() {
            Some(index) => Verdict::Broken(Counterexample { invariant: STRANDED, trace: self.trace(index) }),
            None => Verdict::Holds,
        }
    }

    /// Notes a state; where it is new, also which invariant it breaks.
    fn reach(&mut self, state: M::State, origin: (Index, u16)) -> (Index, Option<&'static str>) {
        let next = self.origins.len() as Index;
        let index = *self.visited.entry(fingerprint(&state)).or_insert(next);
        if index != next {
            return (index, None);
        }
        self.origins.push(origin);
        if self.model.is_settled(&state) {
            self.settled.push(index);
        }
        let broken = self.model.broken(&state);
        self.level.push((index, state));
        (index, broken)
    }

    /// The first state from which no way without faults leads to a settled one.
    fn stranded(&mut self) -> Option<Index> {
        self.ways.sort_unstable();
        let mut can_settle = vec![false; self.origins.len()];
        let mut reached = std::mem::take(&mut self.settled);
        while let Some(to) = reached.pop() {
            if !std::mem::replace(&mut can_settle[to as usize], true) {
                let first = self.ways.partition_point(|way| way.0 < to);
                let ways_here = self.ways[first..].iter().take_while(|way| way.0 == to);
                reached.extend(ways_here.map(|way| way.1).filter(|from| !can_settle[*from as usize]));
            }
        }
        can_settle.iter().position(|can| !can).map(|index| index as Index)
    }

    /// The names of the steps that lead to a state. They are taken from state to state and not from representative to
    /// representative, so that names mean the same from the first line to the last.
    fn trace(&self, mut index: Index) -> Vec<String> {
        let mut numbers = Vec::new();
        while index != 0 {
            let (from, number) = self.origins[index as usize];
            numbers.push(number);
            index = from;
        }
        let (mut state, mut representative) = (self.model.initial(), self.model.initial());
        let follow = |number: &u16| {
            let to = self.steps(&representative).swap_remove(usize::from(*number)).to;
            representative = self.model.representative(to);
            let leads_there =
                |step: &Step<M::State, M::Action>| self.model.representative(step.to.clone()) == representative;
            let step = self.steps(&state).into_iter().find(leads_there);
            let Step { action, is_fault, to } = step.expect("a state has the steps of its representative");
            state = to;
            if is_fault { format!("{action} (fault)") } else { action.to_string() }
        };
        numbers.iter().rev().map(follow).collect()
    }

    fn steps(&self, state: &M::State) -> Vec<Step<M::State, M::Action>> {
        let mut steps = Steps { taken: Vec::new() };
        self.model.steps(state, &mut steps);
        steps.taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts to three in steps of one; a fault may lead aside, to ten.
    struct Counter {
        worst: u8,
        can_return: bool,
    }

    impl Model for Counter {
        type State = u8;
        type Action = &'static str;

        fn initial(&self) -> u8 {
            0
        }

        fn steps(&self, state: &u8, steps: &mut Steps<u8, &'static str>) {
            match state {
                0..3 => {
                    steps.step(state, "one up", |count| *count += 1);
                    steps.fault(state, "aside", |count| *count = 10);
                }
                10 if self.can_return => steps.step(state, "back", |count| *count = 3),
                _ => {}
            }
        }

        fn broken(&self, state: &u8) -> Option<&'static str> {
            (*state == self.worst).then_some("too far")
        }

        fn is_settled(&self, state: &u8) -> bool {
            *state == 3
        }
    }

    #[test]
    fn every_state_is_reached() {
        let report = search(&Counter { worst: 99, can_return: true }, 100);
        assert_eq!((report.states, report.depth), (5, 2));
        assert!(matches!(report.verdict, Verdict::Holds));
    }

    #[test]
    fn a_broken_invariant_is_shown_by_a_shortest_trace() {
        let Verdict::Broken(found) = search(&Counter { worst: 2, can_return: true }, 100).verdict else { panic!() };
        assert_eq!((found.invariant, found.trace), ("too far", vec!["one up".to_owned(); 2]));
    }

    #[test]
    fn a_state_without_a_way_to_the_end_is_stranded() {
        let Verdict::Broken(found) = search(&Counter { worst: 99, can_return: false }, 100).verdict else { panic!() };
        assert_eq!((found.invariant, found.trace), (STRANDED, vec!["aside (fault)".to_owned()]));
    }

    #[test]
    fn a_search_ends_at_its_bound() {
        assert!(matches!(search(&Counter { worst: 99, can_return: true }, 2).verdict, Verdict::TooMany));
    }
}
