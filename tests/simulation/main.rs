//! The partition against random worlds: everything that may happen to two clusters, a position store and the
//! process between them, in any order, with a crash possible at every step. The real state machine, resume rule and
//! tail matching run; brokers, clients and clocks are models.
//!
//! What a model assumes, because no mirror could do without: a fetch notices another incarnation of its topic
//! (topic ids and epochs in fetches), requests of a dead session that arrive at all arrive before the target's tail
//! is found standing still, and an idempotent producer's request that follows lost ones is refused.

mod checks;
mod flow;
mod log;
mod maps;
mod ops;
mod world;

use proptest::prelude::*;
use proptest::test_runner::Config;

use ops::{Scenario, Script};
use world::World;

fn run(scenario: Scenario, script: Script) {
    let mut world = World::new(scenario);
    for op in script.0 {
        world.step(op);
    }
    world.calm_down();
    checks::at_rest(&world);
    maps::are_true(&world);
}

proptest! {
    #![proptest_config(Config { failure_persistence: None, ..Config::default() })]

    /// R1, R2, R3, R4, R10 and R11, that the offset map is true, and that it always comes to rest (R9: no partition waits for ever).
    #[test]
    fn invariants_hold_whatever_happens(scenario in ops::scenario(), script in ops::script()) {
        run(scenario, script);
    }
}
