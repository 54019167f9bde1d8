//! The engine of the simulation: what is fetched, written, acknowledged, stored, and lost on the way.

use super::*;

impl World {
    pub(super) fn fetch(&mut self, most: usize, epoch_known: bool) {
        let Some(process) = &mut self.process else { return };
        let Some((offset, epoch)) = process.fetch else { return };
        let resolved = process.machine.position().map(|position| position.source_topic_id);
        let diverges =
            self.source.epoch_end(epoch).is_some_and(|end| end.epoch < epoch || end.end_offset < offset);
        let inside = (self.source.start..=self.source.end).contains(&offset);
        if resolved != Some(self.source.topic_id) || diverges || !inside {
            process.fetch = None;
            self.tell(PartitionInput::SourceMoved);
            return;
        }
        let records: Vec<(i64, Record)> = self.source.read(offset).take(most).collect();
        let next = records.last().map_or(self.source.end, |(last, _)| last + 1);
        if next == offset {
            return;
        }
        let leader_epoch = match records.last() {
            Some((last, _)) => self.source.epoch_at(*last),
            None if epoch_known => self.source.epoch_at(next - 1),
            None => -1,
        };
        let info = BatchInfo {
            source_base: offset,
            source_next: next,
            records: records.len() as u32,
            bytes: records.len() * 10_000_000,
            leader_epoch,
            max_timestamp_ms: -1,
        };
        process.fetch = Some((next, epoch));
        let mut out = Vec::new();
        process.machine.handle(self.now, PartitionInput::Fetched(info), &mut out);
        let generation = process.machine.generation();
        let mut answers = 0;
        for output in out {
            match output {
                PartitionOutput::Write => {
                    answers += 1;
                    assert!(info.records > 0, "an empty batch is not written");
                    let Some(process) = &mut self.process else { panic!("the process stopped on a fetch") };
                    process.pipeline.push_back(Request { generation, info, records: records.clone() });
                }
                PartitionOutput::Discard => answers += 1,
                other => self.obey(other),
            }
        }
        assert_eq!(answers, 1, "a fetched batch is answered exactly once");
    }

    /// The broker takes the oldest request.
    pub(super) fn apply(&mut self) {
        let Some(process) = &mut self.process else { return };
        if process.pipeline.is_empty() {
            return;
        }
        if process.out_of_sequence {
            process.out_of_sequence = false;
            self.fail_writes(WriteErrorClass::Session, "out of order sequence");
            return;
        }
        let Some(request) = process.pipeline.pop_front() else { return };
        // Writes name the topic by its name: a new one takes them before anyone has noticed.
        let noticed = process.knows.is_some_and(|knows| knows[1].0 == self.target.incarnation);
        self.ledger.writing(noticed);
        let segments = append(&mut self.target, &mut self.ledger, &request);
        process.acks.push_back(Ack {
            generation: request.generation,
            source_next: request.info.source_next,
            segments,
        });
    }

    /// The answer to the oldest applied request arrives.
    pub(super) fn ack(&mut self) {
        let Some(process) = &mut self.process else { return };
        let Some(ack) = process.acks.pop_front() else { return };
        if ack.generation == process.machine.generation() && !process.opening {
            let target_next = ack.segments.last().map(Segment::target_next);
            self.tell(PartitionInput::Acknowledged {
                source_next: ack.source_next,
                target_next,
                segments: ack.segments,
            });
        }
    }

    pub(super) fn store(&mut self) {
        if let Some(position) = self.saving.pop_front() {
            self.maps.saved();
            self.stored = Some(position);
            self.tell(PartitionInput::PositionSaved);
        }
    }

    /// The store answers with an error, or not in time; the record may be there all the same.
    pub(super) fn store_fails(&mut self, stored: bool) {
        if let Some(position) = self.saving.pop_front() {
            // The map is written first.
            self.maps.not_saved(if stored { usize::MAX } else { self.some() });
            if stored {
                self.stored = Some(position);
            }
            let fault = Fault::new(FaultKind::PositionStore, "the position was not stored", "");
            self.tell(PartitionInput::PositionFailed(fault));
        }
    }

    /// Nothing of the oldest request is written, nor anything after it.
    pub(super) fn fail_writes(&mut self, class: WriteErrorClass, what: &str) {
        let Some(process) = &mut self.process else { return };
        if process.pipeline.is_empty() {
            return;
        }
        process.pipeline.clear();
        // Answers that were given before arrive before.
        while self.process.as_ref().is_some_and(|process| !process.acks.is_empty()) {
            self.ack();
        }
        let fault = Fault::new(FaultKind::Other, what, "");
        if self.process.as_ref().is_some_and(|process| !process.opening) {
            self.tell(PartitionInput::WriteFailed { class, fault });
        }
    }

    /// Connections break: applied requests stay unanswered, others may arrive later or never.
    pub(super) fn lose_session(&mut self, arrive: usize) {
        let Some(process) = &mut self.process else { return };
        process.acks.clear();
        process.fetch = None;
        let arrive = if std::mem::take(&mut process.out_of_sequence) { 0 } else { arrive };
        self.zombies.extend(process.pipeline.drain(..).take(arrive));
        self.tell(PartitionInput::SessionLost("connection reset".to_owned()));
    }

    pub(super) fn zombie_arrives(&mut self) {
        if let Some(request) = self.zombies.pop_front() {
            let known = self.stored.as_ref().map(|position| position.target_topic_id);
            self.ledger.writing(known == Some(self.target.topic_id));
            append(&mut self.target, &mut self.ledger, &request);
        }
    }
}

fn append(target: &mut Log, ledger: &mut Ledger, request: &Request) -> Vec<Segment> {
    let mut segments: Vec<Segment> = Vec::new();
    for &(source_base, record) in &request.records {
        let target_base = target.append(Some(record));
        ledger.delivered(record.id);
        match segments.last_mut() {
            Some(last) if last.source_next() == source_base => last.count += 1,
            _ => segments.push(Segment { source_base, target_base, count: 1 }),
        }
    }
    segments
}
