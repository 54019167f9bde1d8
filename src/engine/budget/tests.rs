use std::sync::atomic::AtomicUsize;

use proptest::prelude::*;

use super::*;

const MIB: u64 = 1 << 20;

fn budget_of(bytes: u64) -> Arc<Budget> {
    Budget::new(usize::try_from(bytes).expect("a small number"))
}

#[test]
fn librdkafka_gets_a_quarter_where_a_flow_uses_it() {
    let of = |records_flows| {
        let budget = Budget::divided(96 * MIB, records_flows);
        let account = budget.account().child();
        (budget.total_bytes(), account.usable_bytes(), account.queue_bytes())
    };
    assert_eq!(of(0), (96 * MIB, 72 * MIB, 0));
    assert_eq!(of(1), (72 * MIB, 72 * MIB, 12 * MIB));
    assert_eq!(of(3), (72 * MIB, 72 * MIB, 4 * MIB));
}

/// What a flow takes that nothing is freed of, with this many lanes.
fn stuck(flow: &Account, lanes: usize) -> Vec<Permit> {
    let lanes: Vec<_> = (0..lanes).map(|_| flow.child()).collect();
    lanes.iter().flat_map(|lane| std::iter::from_fn(|| lane.try_reserve(MIB / 4))).collect()
}

/// R7: more budget is not more memory for whoever doesn't ask for it.
#[test]
fn without_the_spare_bytes_a_budget_is_as_large_as_one_that_has_none() {
    let (plain, spare) = (Budget::new(72 << 20), Budget::divided(96 * MIB, 0));
    let [few, many] = [1, 500].map(|lanes| {
        let held = [&plain, &spare].map(|budget| {
            let flows = [budget.account(), budget.account()];
            let taken: Vec<_> = flows.iter().map(|flow| stuck(flow, lanes)).collect();
            (taken.iter().map(Vec::len).collect::<Vec<_>>(), budget.in_flight_bytes())
        });
        assert_eq!(held[0], held[1], "{lanes} lanes");
        held[0].1
    });
    assert!(few < many && many <= 72 * MIB);
}

#[test]
fn a_stuck_flow_with_the_spare_bytes_leaves_enough_to_one_without() {
    let budget = Budget::divided(96 * MIB, 0);
    let (long, short) = (budget.account(), budget.account());
    long.use_spare(true);
    let held = stuck(&long, 500);
    assert!((71 * MIB..=72 * MIB).contains(&long.held_bytes()), "{}", long.held_bytes());
    assert_eq!((long.usable_bytes(), short.free_bytes()), (96 * MIB, long.free_bytes()));
    assert!(!stuck(&short, 1).is_empty(), "it is served");
    assert!(short.child().try_reserve(8 * MIB).is_some());
    drop(held);
    assert_eq!(short.free_bytes(), 72 * MIB);
}

#[test]
fn whoever_gets_the_spare_bytes_is_told_to_try_again() {
    let budget = Budget::divided(4 * MIB, 0);
    let flow = budget.account();
    let calls = Arc::new(AtomicUsize::new(0));
    let seen = calls.clone();
    let _subscription = flow.on_freed(Arc::new(move || {
        seen.fetch_add(1, Ordering::SeqCst);
    }));
    let lane = flow.child();
    let held = lane.try_reserve(3 * MIB / 2).expect("the budget is empty");
    assert!(lane.try_reserve(MIB).is_none(), "half of three");
    flow.use_spare(true);
    assert_eq!(calls.load(Ordering::SeqCst), 1);
    let more = lane.try_reserve(MIB).expect("there is a quarter more");
    flow.use_spare(false);
    assert_eq!((flow.held_bytes(), flow.free_bytes()), (5 * MIB / 2, MIB / 2), "what it holds it keeps");
    drop((held, more));
    assert_eq!((budget.in_flight_bytes(), flow.free_bytes()), (0, 3 * MIB));
}

#[test]
fn a_permit_is_freed_when_it_is_dropped() {
    let budget = budget_of(10 * MIB);
    let lane = budget.account().child();
    let permit = lane.try_reserve(MIB).expect("the budget is empty");
    assert_eq!((budget.in_flight_bytes(), lane.held_bytes()), (MIB, MIB));
    drop(permit);
    assert_eq!((budget.in_flight_bytes(), lane.held_bytes()), (0, 0));
}

#[test]
fn a_permit_grows_and_shrinks() {
    let budget = budget_of(10 * MIB);
    let lane = budget.account().child();
    let mut permit = lane.try_reserve(MIB).expect("the budget is empty");
    assert!(permit.try_grow(2 * MIB));
    assert_eq!(budget.in_flight_bytes(), 3 * MIB);
    permit.resize(MIB / 2);
    assert_eq!(budget.in_flight_bytes(), MIB / 2);
    permit.resize(20 * MIB);
    assert_eq!(budget.in_flight_bytes(), 20 * MIB, "what is in use is counted, fitting or not");
    assert!(!permit.try_grow(1), "an overdrawn budget gives nothing");
}

#[test]
fn a_stuck_lane_leaves_half_and_a_stuck_flow_a_quarter() {
    let budget = budget_of(64 * MIB);
    let flow = budget.account();
    let greedy = flow.child();
    let taken: Vec<_> = std::iter::from_fn(|| greedy.try_reserve(MIB)).collect();
    assert_eq!(taken.len(), 32, "one lane takes half");

    let lanes: Vec<_> = (0..200).map(|_| flow.child()).collect();
    let more: Vec<_> = lanes.iter().filter_map(|lane| lane.try_reserve(MIB / 4)).collect();
    assert!(!more.is_empty(), "the lanes beside a stuck one still get something");
    let free = 64 * MIB - budget.in_flight_bytes();
    assert!((15 * MIB..=16 * MIB).contains(&free), "{free} free");

    let other = budget.account().child();
    assert!(other.try_reserve(8 * MIB).is_some(), "another flow is served");
}

#[test]
fn a_batch_larger_than_the_budget_passes_alone() {
    let budget = budget_of(MIB);
    let (first, second) = (budget.account().child(), budget.account().child());
    let large = first.try_reserve(5 * MIB).expect("the lane holds nothing");
    assert!(first.try_reserve(1).is_none());
    assert!(second.try_reserve(5 * MIB).is_none(), "only one at a time");
    drop(large);
    assert!(second.try_reserve(5 * MIB).is_some());
}

#[test]
fn time_without_credit_is_counted_for_lane_and_flow() {
    let budget = budget_of(MIB);
    let flow = budget.account();
    let lane = flow.child();
    let held = lane.try_reserve(2 * MIB).expect("the lane holds nothing");
    assert_eq!(lane.blocked_time(), Duration::ZERO);
    assert!(lane.try_reserve(1).is_none());
    while lane.blocked_time() < Duration::from_millis(2) {
        std::thread::yield_now();
    }
    drop(held);
    assert!(lane.try_reserve(1).is_some());
    let settled = lane.blocked_time();
    assert!(settled >= Duration::from_millis(2));
    assert_eq!(flow.blocked_time(), settled);
}

#[test]
fn a_plain_thread_is_told_once_per_refusal() {
    let budget = budget_of(MIB);
    let lane = budget.account().child();
    let calls = Arc::new(AtomicUsize::new(0));
    let seen = calls.clone();
    let subscription = budget.on_freed(Arc::new(move || {
        seen.fetch_add(1, Ordering::SeqCst);
    }));
    drop(lane.try_reserve(MIB));
    assert_eq!(calls.load(Ordering::SeqCst), 0, "nobody waits");
    let held = lane.try_reserve(2 * MIB);
    assert!(lane.try_reserve(1).is_none());
    drop(held);
    assert_eq!(calls.load(Ordering::SeqCst), 1);
    drop(subscription);
    let held = lane.try_reserve(2 * MIB);
    assert!(lane.try_reserve(1).is_none());
    drop(held);
    assert_eq!(calls.load(Ordering::SeqCst), 1, "the subscription has ended");
}

/// Many tasks in a budget far too small: any lost wake-up would leave one waiting for ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[expect(clippy::disallowed_methods, reason = "a task of a test, which ends with it")]
async fn every_waiter_is_served() {
    let budget = budget_of(64);
    let mut tasks = Vec::new();
    for flow in 0..4 {
        let flow_account = budget.account();
        for lane in 0..8u64 {
            let account = flow_account.child();
            tasks.push(tokio::spawn(async move {
                for round in 0..200u64 {
                    let permit = account.reserve(1 + (flow * 31 + lane * 7 + round) % 100).await;
                    tokio::task::yield_now().await;
                    drop(permit);
                }
            }));
        }
    }
    tokio::time::timeout(Duration::from_secs(60), async {
        for task in tasks {
            task.await.expect("no task panics");
        }
    })
    .await
    .expect("every reservation succeeds in the end");
    assert_eq!(budget.in_flight_bytes(), 0);
}

#[derive(Clone, Debug)]
enum BudgetStep {
    Reserve { lane: usize, bytes: u64 },
    Grow { permit: usize, bytes: u64 },
    Shrink { permit: usize, bytes: u64 },
    Drop { permit: usize },
    UseSpare { flow: usize, yes: bool },
}

fn step() -> impl Strategy<Value = BudgetStep> {
    prop_oneof![
        4 => (0..6usize, 1..200u64).prop_map(|(lane, bytes)| BudgetStep::Reserve { lane, bytes }),
        2 => (any::<usize>(), 1..50u64).prop_map(|(permit, bytes)| BudgetStep::Grow { permit, bytes }),
        1 => (any::<usize>(), 0..50u64).prop_map(|(permit, bytes)| BudgetStep::Shrink { permit, bytes }),
        2 => any::<usize>().prop_map(|permit| BudgetStep::Drop { permit }),
        1 => (0..2usize, any::<bool>()).prop_map(|(flow, yes)| BudgetStep::UseSpare { flow, yes }),
    ]
}

proptest! {
    /// R7: what is held never exceeds the budget by more than one batch, given to a lane that held nothing; the
    /// accounts always add up; an empty lane of an empty flow is refused only while the budget is overdrawn.
    #[test]
    fn the_budget_holds(
        total in 1..400u64,
        spare in any::<bool>(),
        steps in prop::collection::vec(step(), 1..200),
    ) {
        let budget = if spare { Budget::divided(total, 0) } else { budget_of(total) };
        let mut uses_spare = [false; 2];
        let flows: Vec<_> = (0..2).map(|_| budget.account()).collect();
        let lanes: Vec<_> = (0..6).map(|i| flows[i % 2].child()).collect();
        let mut permits: Vec<(usize, Permit)> = Vec::new();
        for step in steps {
            let used = budget.in_flight_bytes();
            let free = total.saturating_sub(used);
            match step {
                BudgetStep::Reserve { lane, bytes } => {
                    let held = lanes[lane].held_bytes();
                    let flow_held = flows[lane % 2].held_bytes();
                    match lanes[lane].try_reserve(bytes) {
                        Some(permit) => {
                            prop_assert!(used <= total);
                            prop_assert!(bytes <= free || held == 0);
                            prop_assert!(held == 0 || held < free);
                            permits.push((lane, permit));
                        }
                        None => {
                            let usable = flows[lane % 2].usable_bytes();
                            prop_assert!(flow_held > 0 || used > usable, "an empty flow was refused");
                        }
                    }
                }
                BudgetStep::Grow { permit, bytes } if !permits.is_empty() => {
                    let index = permit % permits.len();
                    let (lane, permit) = &mut permits[index];
                    let held = lanes[*lane].held_bytes();
                    if permit.try_grow(bytes) {
                        prop_assert!(bytes <= free || held == 0);
                    }
                }
                BudgetStep::Shrink { permit, bytes } if !permits.is_empty() => {
                    let index = permit % permits.len();
                    let bytes = bytes.min(permits[index].1.bytes());
                    permits[index].1.resize(bytes);
                }
                BudgetStep::UseSpare { flow, yes } => {
                    flows[flow].use_spare(yes);
                    uses_spare[flow] = yes;
                }
                BudgetStep::Drop { permit } if !permits.is_empty() => {
                    permits.swap_remove(permit % permits.len());
                }
                _ => {}
            }
            let sum: u64 = permits.iter().map(|(_, permit)| permit.bytes()).sum();
            prop_assert_eq!(budget.in_flight_bytes(), sum);
            for (index, lane) in lanes.iter().enumerate() {
                let own: u64 = permits.iter().filter(|(l, _)| *l == index).map(|(_, p)| p.bytes()).sum();
                prop_assert_eq!(lane.held_bytes(), own);
            }
            let plain = (0..2).filter(|flow| !uses_spare[*flow]).map(|flow| flows[flow].held_bytes());
            prop_assert_eq!(budget.root.state.lock().used_without_spare, plain.sum::<u64>());
            prop_assert!(sum < total + 200, "overdrawn by more than one batch");
        }
        drop(permits);
        prop_assert_eq!(budget.in_flight_bytes(), 0);
    }
}

#[test]
fn a_share_leaves_half_of_what_is_free() {
    let budget = budget_of(10 * MIB);
    let lane = budget.account().child();
    let first = lane.try_reserve_share(MIB, 32 * MIB).expect("the budget is empty");
    assert_eq!(first.bytes(), 5 * MIB);
    let other = budget.account().child().try_reserve_share(MIB, 2 * MIB).expect("half is free");
    assert_eq!(other.bytes(), 2 * MIB);
    let least =
        budget.account().child().try_reserve_share(4 * MIB, 8 * MIB).expect("the account holds nothing");
    assert_eq!(least.bytes(), 4 * MIB, "the least passes alone, as a large batch does");
    assert!(budget.account().child().try_reserve_share(1, MIB).is_none(), "the budget is overdrawn");
}

#[test]
fn a_permit_is_passed_on() {
    let budget = budget_of(10 * MIB);
    let flow = budget.account();
    let (from, to) = (flow.child(), flow.child());
    let mut permit = from.try_reserve(3 * MIB).expect("the budget is empty");
    let passed = permit.pass_on(2 * MIB, &to);
    assert_eq!((from.held_bytes(), to.held_bytes(), flow.held_bytes()), (MIB, 2 * MIB, 3 * MIB));
    let more = permit.pass_on(4 * MIB, &to);
    assert_eq!((permit.bytes(), more.bytes()), (0, 4 * MIB));
    assert_eq!(budget.in_flight_bytes(), 6 * MIB, "what is in memory is counted, reserved or not");
    drop((permit, passed, more));
    assert_eq!((budget.in_flight_bytes(), flow.held_bytes()), (0, 0));
    let empty = Permit::empty().pass_on(MIB, &to);
    assert_eq!((empty.bytes(), to.held_bytes()), (0, 0), "an empty permit has nothing to do with a budget");
}
