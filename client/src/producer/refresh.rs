//! Learns the shard map anew when a shard refuses because the map has changed.
//!
//! One worker asks for all. The shards whose keys go elsewhere are paused until nothing of them is under way; then, in one
//! step, the new map holds and their waiting records go where it says, ahead of records that are sent later. So the
//! records of a key keep their order across a split or a merge.

use std::sync::Arc;
use std::time::Duration;

use tidemill_wire::ShardIndex;
use tidemill_wire::message::{ErrorCode, Failure};

use super::{Shared, worker};
use crate::route::Route;
use crate::{Admin, ClientError, ProtocolError, SendError};

impl Shared {
    /// Sorts out why `shard`, which is paused, refused with `cause`; resumes it.
    pub(super) async fn refresh(self: &Arc<Self>, shard: ShardIndex, cause: &Failure) {
        let _turn = self.refreshing.lock().await;
        if !self.lock().queue(shard).is_paused {
            // Whoever had the turn before has solved it.
            return;
        }
        tracing::debug!(%shard, %cause, "shard map is asked for anew");
        match self.ask().await {
            Ok(route) if self.lock().stays(shard, &route) => self.try_again(shard, cause).await,
            Ok(route) => self.go_over(route).await,
            Err(error) if error.code() == Some(ErrorCode::UnknownStream) => {
                let freed = self.lock().die(&SendError::Refused(into_failure(error, cause)));
                self.free(freed);
            }
            Err(error) => self.give_up(shard, &SendError::Unreachable(error)),
        }
    }

    /// The stream's shards now. Another stream of the same name is not this stream.
    async fn ask(&self) -> Result<Route, ClientError> {
        let (id, name) = {
            let state = self.lock();
            (state.description().id, state.description().name.clone())
        };
        let description = Admin::new(Arc::clone(&self.pool)).describe_stream(&name).await?;
        if description.id != id {
            let text = format!("stream {name} was deleted, and another one has its name");
            return Err(ClientError::Refused(Failure::new(ErrorCode::UnknownStream, text)));
        }
        Route::new(description).map_err(|error| self.pool.protocol(ProtocolError::Routing(error)))
    }

    /// The map still names the shard: the refusal was of the moment, or the map is late.
    async fn try_again(&self, shard: ShardIndex, cause: &Failure) {
        let pause = self.lock().queue(shard).retry.again(Duration::ZERO, self.pool.chance());
        match pause {
            Some(pause) => {
                tokio::time::sleep(pause).await;
                self.lock().resume(&[shard]);
            }
            None => self.give_up(shard, &SendError::Refused(cause.clone())),
        }
    }

    async fn go_over(self: &Arc<Self>, route: Route) {
        let moving = self.lock().pause_moving(&route);
        loop {
            let landed = self.landed.notified();
            tokio::pin!(landed);
            // Registered before the look, so that a landing in between is not missed.
            landed.as_mut().enable();
            let is_quiet = {
                let mut state = self.lock();
                !moving.iter().any(|shard| state.queue(*shard).is_under_way())
            };
            if is_quiet {
                break;
            }
            landed.await;
        }
        let (unserved, freed) = self.lock().adopt(route, &moving);
        self.free(freed);
        for shard in unserved {
            worker::serve(Arc::clone(self), shard);
        }
    }

    fn give_up(&self, shard: ShardIndex, error: &SendError) {
        let freed = {
            let mut state = self.lock();
            let freed = state.fail_waiting(shard, error);
            state.resume(&[shard]);
            freed
        };
        self.free(freed);
    }
}

fn into_failure(error: ClientError, otherwise: &Failure) -> Failure {
    match error {
        ClientError::Refused(failure) => failure,
        _ => otherwise.clone(),
    }
}
