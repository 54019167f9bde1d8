//! The world stands still: everything that is due happens until nothing is left to do.

use std::time::Duration;

use mirrormesh::replicator::flow::FlowInput;

use super::ops::World;
use super::process::Process;

impl World {
    /// R9: every selected topic gets its partitions in the end, in the process that claimed the flow last.
    pub fn calm_down(&mut self) {
        self.truth.source.there = true;
        self.truth.target.there = true;
        self.truth.refusing.clear();
        for process in &mut self.processes {
            let goes_on = |process: &Process| process.drain.is_none() && !process.gave_up;
            *process = process.take().filter(goes_on);
            if let Some(process) = process {
                (process.fuse, process.loops, process.refuses_session) = (None, false, false);
            }
        }
        for _ in 0..400 {
            if self.processes.iter().all(Option::is_none) {
                self.start_process(0);
            }
            for which in 0..2 {
                self.go_on(which);
            }
            if self.rests() {
                return;
            }
            let deadlines = self.processes.iter().flatten().filter_map(|process| process.machine.deadline());
            if let Some(at) = deadlines.min() {
                self.advance(self.now.max(at));
            }
        }
        let machines: Vec<_> = self.processes.iter().flatten().map(|process| &process.machine).collect();
        panic!("it does not come to rest: {machines:?}");
    }

    fn go_on(&mut self, which: usize) {
        self.tell_claim(which);
        if self.processes[which].as_ref().is_some_and(|process| process.other_claim || process.gave_up) {
            self.processes[which] = None;
        }
        if self.processes[which].as_ref().is_some_and(|process| process.paused) {
            self.processes[which].iter_mut().for_each(|process| process.paused = false);
            self.tell(which, FlowInput::Resume);
        }
        self.look(which);
        self.ends(which);
        self.claim(which);
        self.question(which);
        self.question(which);
        if self.processes[which].as_ref().is_some_and(|process| process.session.is_some_and(|(_, lost)| lost))
        {
            self.lose_session(which);
        }
        self.close_session(which);
        self.partitions_go_on(which);
        for _ in 0..4 {
            self.store(which, false);
        }
    }

    fn partitions_go_on(&mut self, which: usize) {
        let partitions = self.processes[which].iter().flat_map(|process| process.partitions.keys());
        for source in partitions.cloned().collect::<Vec<_>>() {
            self.partition(which, &source, false, true);
        }
    }

    fn rests(&self) -> bool {
        let mut living = self.processes.iter().flatten();
        let (Some(process), None) = (living.next(), living.next()) else { return false };
        let Some((session, false)) = process.session else { return false };
        process.store.as_ref().is_some_and(|store| self.truth.is_newest(store.token))
            && process.jobs
            && process.questions.is_empty()
            && self.has_what_it_wants(process)
            && process.partitions.values().all(|p| !p.draining && !p.killed && p.lane == Some(session))
    }

    /// A topic that was re-created with fewer partitions keeps the others, which wait for it to grow.
    fn has_what_it_wants(&self, process: &Process) -> bool {
        let wanted = self.truth.wanted();
        wanted.iter().all(|source| process.partitions.contains_key(source))
            && process.partitions.keys().all(|source| wanted.iter().any(|other| other.topic == source.topic))
    }

    /// R1: a drain that has the time leaves nothing behind, whatever becomes of the session meanwhile.
    pub fn drain_with_time(&mut self) {
        let which = usize::from(self.processes[0].is_none());
        let partitions = self.processes[which].iter().flat_map(|process| process.partitions.keys());
        for source in partitions.cloned().collect::<Vec<_>>() {
            self.partition(which, &source, true, false);
        }
        self.drain(which, Duration::from_secs(30));
        if self.random.one_in(2) {
            self.partitions_go_on(which);
        }
        if self.random.one_in(2) {
            self.lose_session(which);
        }
        for _ in 0..200 {
            if self.random.one_in(2) {
                self.partitions_go_on(which);
            }
            self.store(which, false);
            self.close_session(which);
            if self.processes[which].as_ref().is_some_and(|process| process.left_behind.is_some()) {
                break;
            }
        }
        let process = self.processes[which].as_ref().expect("nothing kills it");
        assert_eq!(process.left_behind, Some(0), "R1: the drain had the time: {:?}", process.machine);
        for source in self.truth.wanted() {
            let saved = self.truth.positions.get(&source);
            let owed = process.owed.get(&source).expect("it ended in the drain");
            assert!(saved == Some(owed) || *owed == 0, "R1: {source} owes {owed}, and {saved:?} is saved");
        }
        let last = self.truth.claims.last().expect("the flow was claimed");
        assert!(last.released && last.process == process.id, "the claim is released: {last:?}");
    }
}
