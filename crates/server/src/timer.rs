//! The timer of the connections with clients. A head has to come in time, for every request anew, and hyper makes and drops
//! a timer for each. To put a timer off costs next to nothing, to enter it and take it out again is work: so those that were
//! dropped are kept for the next.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// Timers kept by one thread, which has one runtime.
const KEPT: usize = 256;

thread_local! {
    static STOCK: RefCell<Vec<Pin<Box<tokio::time::Sleep>>>> = const { RefCell::new(Vec::new()) };
}

/// A timer for connections that stay on the thread of their runtime.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Timer;

/// None only after it was dropped.
struct Kept(Option<Pin<Box<tokio::time::Sleep>>>);

impl Kept {
    fn until(deadline: Instant) -> Self {
        let deadline = deadline.into();
        let kept = STOCK.with_borrow_mut(Vec::pop).map(|mut sleep| {
            sleep.as_mut().reset(deadline);
            sleep
        });
        Self(Some(kept.unwrap_or_else(|| Box::pin(tokio::time::sleep_until(deadline)))))
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        let Some(sleep) = self.0.take() else { return };
        // Where the thread ends there is no next.
        let _ = STOCK.try_with(|stock| {
            let mut stock = stock.borrow_mut();
            if stock.len() < KEPT {
                stock.push(sleep);
            }
        });
    }
}

impl Future for Kept {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        self.0.as_mut().map_or(Poll::Pending, |sleep| sleep.as_mut().poll(context))
    }
}

impl hyper::rt::Sleep for Kept {}

impl hyper::rt::Timer for Timer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn hyper::rt::Sleep>> {
        Box::pin(Kept::until(Instant::now() + duration))
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn hyper::rt::Sleep>> {
        Box::pin(Kept::until(deadline))
    }

    fn reset(&self, sleep: &mut Pin<Box<dyn hyper::rt::Sleep>>, deadline: Instant) {
        *sleep = self.sleep_until(deadline);
    }
}
