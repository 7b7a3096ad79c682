//! A recorded event socket through the call model and the hooks, without a switch: dry, or for real.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::task::JoinHandle;
use tracing::warn;

use super::{Base, StartError, complain, rules, tracker_config};
use crate::call::{Accounts, Fact, Snapshot, Tracker, Wanted};
use crate::config::Config;
use crate::delivery::DeliveryHandle;
use crate::esl::{Event, EventError, Frame, Kind};
use crate::hook::{Hook, Index, Router};
use crate::store::{Intake, Store, StoreError, accounts, deliveries, hooks, look};
use crate::time::{Clock, Timestamp};
use crate::timeline::{Notes, Scribe};
use crate::trigger::TriggerSet;

/// How often it is looked whether all is sent.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A fact of a recording, and the hooks that want it.
#[derive(Debug)]
pub struct Played {
    /// The fact.
    pub fact: Fact,
    /// Those that match it, with what would keep them from being sent anything.
    pub hooks: Vec<Match>,
}

/// A hook that wants a fact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Match {
    /// Its id.
    pub id: Arc<str>,
    /// Its name.
    pub name: String,
    /// Whether it is switched off: then the event is recorded for it and not sent.
    pub is_off: bool,
}

/// Plays recorded frames, in order.
pub struct Replay {
    tracker: Tracker,
    router: Router,
    index: Arc<Index>,
    accounts: Arc<Accounts>,
    facts: Vec<Fact>,
    now: Timestamp,
    outlet: Option<Outlet>,
}

/// Where facts go for real.
struct Outlet {
    store: Store,
    delivery: DeliveryHandle,
    scribe: Option<Scribe>,
    clock: Clock,
    sending: JoinHandle<()>,
    shutdown_timeout: Duration,
}

impl Replay {
    /// One that only says what would be sent, by the hooks and accounts of the configured database. That is
    /// not changed, and a running daemon is not disturbed; without a database there are no hooks.
    ///
    /// # Errors
    /// The database is there and cannot be read.
    pub fn dry(config: &Config) -> Result<Self, StartError> {
        let (hooks, accounts) = read(&config.store.path)?;
        let index = Arc::new(Index::new(hooks));
        let accounts = Arc::new(Accounts::new(rules(config), accounts));
        Ok(Self::new(config, index, accounts, None))
    }

    /// One that records and sends, as the daemon would; which must not be running on the same database.
    ///
    /// # Errors
    /// What stands in the way; nothing is left running.
    pub async fn for_real(config: &Config) -> Result<Self, StartError> {
        let clock = Clock::system();
        let Base {
            store,
            index,
            dispatcher,
            inputs,
            delivery,
            registry,
            ..
        } = Base::open(config, &clock).await?;
        let accounts = registry.accounts();
        let mut scribe = config.events.timeline.then(Scribe::default);
        if let Some(scribe) = &mut scribe {
            scribe.learn(&index.all());
        }
        let outlet = Outlet {
            store,
            delivery,
            scribe,
            clock,
            sending: tokio::spawn(dispatcher.run(inputs)),
            shutdown_timeout: config.delivery.shutdown_timeout_ms.0,
        };
        Ok(Self::new(config, index, accounts, Some(outlet)))
    }

    fn new(
        config: &Config,
        index: Arc<Index>,
        accounts: Arc<Accounts>,
        outlet: Option<Outlet>,
    ) -> Self {
        let mut tracker = Tracker::new(tracker_config(config));
        let (triggers, switch_events) = index.wanted();
        tracker.want(Wanted {
            triggers: triggers.union(TriggerSet::all()),
            switch_events,
        });
        Self {
            tracker,
            router: Router::new(Arc::clone(&index)),
            index,
            accounts,
            facts: Vec::new(),
            now: Timestamp::default(),
            outlet,
        }
    }

    /// How many hooks there are.
    pub fn hooks(&self) -> usize {
        self.index.len()
    }

    /// Legs that have begun and not ended so far.
    pub fn live_legs(&self) -> usize {
        self.tracker.live_legs()
    }

    /// When the event in a frame happened, by the switch's clock; `None` where the frame holds none.
    pub fn time_of(frame: &Frame) -> Option<Timestamp> {
        let event = Event::from_frame(frame).ok()?;
        event.number("Event-Date-Timestamp").map(Timestamp)
    }

    /// Plays a frame. One that is neither an event nor a list of channels says nothing.
    ///
    /// # Errors
    /// An event that cannot be read; the next frame can be played all the same.
    pub async fn play(&mut self, frame: &Frame) -> Result<Vec<Played>, EventError> {
        match frame.kind {
            Kind::EventPlain | Kind::EventJson => {
                let event = Event::from_frame(frame)?;
                let accounts = Arc::clone(&self.accounts);
                let place = self.tracker.on_event(&event, &accounts, &mut self.facts);
                if let Some(at) = event.number("Event-Date-Timestamp") {
                    self.now = Timestamp(at);
                }
                Ok(self.tell(place.map(|place| (&event, place))).await)
            }
            Kind::ApiResponse => Ok(self.reconcile(&frame.body).await),
            _ => Ok(Vec::new()),
        }
    }

    /// The answer to `show channels as json`, where it is that.
    async fn reconcile(&mut self, answer: &Bytes) -> Vec<Played> {
        let Ok(snapshot) = Snapshot::parse(None, answer) else {
            return Vec::new();
        };
        self.tracker.asks_for_channels();
        let accounts = Arc::clone(&self.accounts);
        self.tracker
            .reconcile(&snapshot, self.now, &accounts, &mut self.facts);
        self.tell(None).await
    }

    async fn tell(&mut self, seen: Option<(&Event, crate::call::Place)>) -> Vec<Played> {
        let mut intake = Intake::default();
        let mut played = Vec::with_capacity(self.facts.len());
        let scribe = self.outlet.as_ref().and_then(|out| out.scribe.as_ref());
        let mut notes = scribe.map(|scribe| scribe.begin(seen));
        for fact in self.facts.drain(..) {
            let record = self.router.route(&fact, &self.accounts);
            let deliveries = record.iter().flat_map(|record| &record.deliveries);
            let hooks = deliveries.map(|delivery| Match {
                id: Arc::clone(&delivery.hook_id),
                name: match &delivery.ad_hoc {
                    Some(hook) => hook.settings.name.clone(),
                    None => self
                        .index
                        .get(&delivery.account_id, &delivery.hook_id)
                        .map_or_else(String::new, |hook| hook.settings.name.clone()),
                },
                is_off: delivery.skipped,
            });
            let hooks: Vec<Match> = hooks.collect();
            if let Some(notes) = &mut notes {
                notes.add(&fact, hooks.len());
            }
            played.push(Played { fact, hooks });
            intake.records.extend(record);
        }
        intake.steps = notes.map(Notes::finish).unwrap_or_default();
        if let Some(outlet) = &self.outlet
            && !(intake.records.is_empty() && intake.steps.is_empty())
        {
            // A file can wait, a switch could not.
            while let Err(refused) = outlet.store.offer(intake) {
                outlet.store.room_for(&refused).await;
                intake = refused;
            }
        }
        played
    }

    /// Waits until nothing is due that was not tried; retries are left to the daemon.
    ///
    /// # Errors
    /// The store's.
    pub async fn sent(&self) -> Result<(), StoreError> {
        let Some(outlet) = &self.outlet else {
            return Ok(());
        };
        // Behind everything that was handed in.
        outlet.store.write(|_| Ok(())).await?;
        loop {
            let now = outlet.clock.now();
            let queues = outlet.store.read(deliveries::queues).await?;
            if queues.iter().all(|(_, earliest)| *earliest > now) {
                return Ok(());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Ends: requests under way are waited for, the rest stays in the database for the daemon. How many
    /// deliveries wait there.
    ///
    /// # Errors
    /// The store's.
    pub async fn close(self) -> Result<u64, StoreError> {
        let Some(outlet) = self.outlet else {
            return Ok(0);
        };
        outlet.delivery.stop();
        let sending = tokio::time::timeout(outlet.shutdown_timeout, outlet.sending);
        if sending.await.is_err() {
            warn!("requests are still under way; the daemon will make them again");
        }
        let waiting = outlet
            .store
            .read(|conn| {
                let queues = deliveries::queues(conn)?.into_iter();
                queues
                    .map(|(queue, _)| deliveries::pending(conn, queue))
                    .sum()
            })
            .await?;
        outlet.store.close().await?;
        Ok(waiting)
    }
}

/// The hooks and accounts of a database, if there is one.
fn read(path: &Path) -> Result<(Vec<Hook>, Vec<crate::call::Account>), StoreError> {
    if !path.exists() {
        return Ok(Default::default());
    }
    look(path, |conn| {
        let (hooks, unreadable) = hooks::all(conn)?;
        complain(&unreadable);
        Ok((hooks, accounts::directory(conn)?))
    })
}
