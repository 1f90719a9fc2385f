//! The same release, keys and time give the same metadata, wherever and whenever they are signed.

use jiff::{SignedDuration, Timestamp};

use super::{Bench, release};
use crate::release::repository::{Expiry, State, Terms, View};

#[tokio::test]
async fn the_same_release_at_the_same_time_gives_the_same_files_in_another_store() {
    let (bench, other) = (Bench::new().await, Bench::new().await);
    let stamp = Timestamp::now() - SignedDuration::from_hours(24);
    let new = || vec![release("1.0.0"), release("1.1.0")];
    let plan = bench.plan_at(stamp, new()).await.unwrap();
    let state = State::load(&other.store, &bench.root, View::Live, Timestamp::now()).await.unwrap();
    let terms = Terms { now: stamp, expiry: Expiry::default(), plain_channel: "stable" };
    assert_eq!(state.publish(&bench.keys.publish, new(), terms).await.unwrap(), plan);

    // A fraction of a second is no other time, and a second is.
    let within = stamp.round(jiff::Unit::Second).unwrap();
    let within = if within > stamp { within - SignedDuration::from_secs(1) } else { within };
    assert_eq!(bench.plan_at(within, new()).await.unwrap(), plan);
    let later = bench.plan_at(stamp + SignedDuration::from_secs(1), new()).await.unwrap();
    assert_ne!(later, plan);
}
