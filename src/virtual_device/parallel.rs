//! The same work on many items, on several cores.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// What `work` makes of each item, in the order of the items, on no more threads than items.
pub fn map<T: Sync, R: Send>(
    items: &[T],
    workers: usize,
    work: impl Fn(usize, &T) -> R + Sync,
) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let run = || {
        let mut made = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(index) else { return made };
            made.push((index, work(index, item)));
        }
    };
    let mut made = Vec::new();
    thread::scope(|scope| {
        let workers = workers.clamp(1, items.len().max(1));
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(run)).collect();
        for worker in workers {
            match worker.join() {
                Ok(part) => made.extend(part),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
    });
    made.sort_by_key(|(index, _)| *index);
    made.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_the_order_of_the_items_from_any_number_of_workers() {
        let items: Vec<usize> = (0..100).collect();
        for workers in [0, 1, 2, 7, usize::MAX] {
            let made = map(&items, workers, |index, item| index + item);
            assert_eq!(made, items.iter().map(|item| item * 2).collect::<Vec<_>>(), "{workers}");
        }
        let none: [u8; 0] = [];
        assert_eq!(map(&none, 2, |_, _| 1), [0; 0]);
    }
}
