//! Whatever happens, the map's answers hold in the model.

use proptest::prelude::*;

use super::checks::{check, check_safety};
use super::world::MapWorld;

/// What may happen.
#[derive(Clone, Debug)]
enum Happening {
    Produce(Vec<i64>),
    Mark(i64),
    Foreign(usize),
    Mirror(usize),
    WriteOnly(usize),
    Save,
    DieSaving(usize),
    FailToSave(usize),
    Restart(Option<usize>),
    TruncateSource(i64),
    LoseTarget(i64, usize),
    RecreateSource,
    RecreateTarget(usize),
    CompactSource(u64),
    ExpireSource(i64),
    ExpireTarget(i64),
    Shed,
    ForgetMap,
}

fn happening() -> impl Strategy<Value = Happening> {
    use Happening::*;
    prop_oneof![
        12 => prop::collection::vec(prop_oneof![3 => Just(0..1_i64), 1 => Just(0..4)].prop_flat_map(|gap| gap), 1..12)
            .prop_map(Produce),
        4 => (1..3_i64).prop_map(Mark),
        3 => (1..4_usize).prop_map(Foreign),
        16 => (1..10_usize).prop_map(Mirror),
        4 => (1..6_usize).prop_map(WriteOnly),
        6 => Just(Save),
        2 => (0..6_usize).prop_map(DieSaving),
        2 => (0..6_usize).prop_map(FailToSave),
        3 => prop::option::of(0..6_usize).prop_map(Restart),
        2 => (1..30_i64).prop_map(TruncateSource),
        2 => (1..30_i64, 0..4_usize).prop_map(|(lost, foreign)| LoseTarget(lost, foreign)),
        1 => Just(RecreateSource),
        1 => (0..3_usize).prop_map(RecreateTarget),
        1 => (2..5_u64).prop_map(CompactSource),
        2 => (1..40_i64).prop_map(ExpireSource),
        1 => (1..40_i64).prop_map(ExpireTarget),
        1 => Just(Shed),
        1 => Just(ForgetMap),
    ]
}

fn happen(world: &mut MapWorld, happening: &Happening) {
    match happening {
        Happening::Produce(gaps) => world.produce(gaps),
        Happening::Mark(offsets) => world.mark(*offsets),
        Happening::Foreign(records) => world.foreign(*records),
        Happening::Mirror(records) => {
            world.write(*records);
            world.acknowledge();
        }
        Happening::WriteOnly(records) => world.write(*records),
        Happening::Save => {
            world.save(usize::MAX);
        }
        Happening::DieSaving(records) => {
            if !world.save(*records) {
                world.restart(None);
            }
        }
        Happening::FailToSave(records) => world.fail_to_save(*records),
        Happening::Restart(dies) => world.restart(*dies),
        Happening::TruncateSource(offsets) => world.truncate_source(*offsets),
        Happening::LoseTarget(records, foreign) => world.lose_target(*records, *foreign),
        Happening::RecreateSource => world.recreate_source(),
        Happening::RecreateTarget(foreign) => world.recreate_target(*foreign),
        Happening::CompactSource(multiple) => world.compact_source(*multiple),
        Happening::ExpireSource(offsets) => world.expire_source(*offsets),
        Happening::ExpireTarget(records) => world.expire_target(*records),
        Happening::ForgetMap => world.forget_map(),
        Happening::Shed => {
            let before = world.map.interval_count();
            let (was, begin) = (world.map.shed(), world.map.begin);
            assert_eq!(before - world.map.interval_count(), world.map.take_shed());
            assert!(was || begin == world.map.begin);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4 * ProptestConfig::default().cases, ..ProptestConfig::default() })]

    /// R5: no answer lies past the record that it is about, nor past the end of the target's log.
    #[test]
    fn answers_hold_whatever_happens(
        source_start in 0..3_i64,
        foreign in 0..3_usize,
        story in prop::collection::vec(happening(), 1..60),
    ) {
        let mut world = MapWorld::new(source_start, foreign);
        for event in &story {
            happen(&mut world, event);
            check(&world);
            check_safety(&world, &world.loaded());
        }
    }
}
