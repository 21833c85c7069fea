//! A start from the checkpoint: the segments that it lists are taken as it says, and only those behind them are read.
//!
//! Promises that the checkpoint counts only where each segment that it needs is there as it lists it, and where nothing but the log behind them is
//! there beside: then it says what their owner tables would say. In all other cases a start reads everything.

use super::{Checkpoint, FileOf, Piece, Recovered, Survey, Taken, survey};
use crate::{config::LaneConfig, env::Env, lane::checkpoint};

/// Surveys the files with the checkpoint at hand; nothing if that does not fit them.
pub(super) async fn survey_by_checkpoint<E: Env>(
    env: &E,
    config: &LaneConfig,
) -> Option<(Checkpoint, Survey<FileOf<E>>)> {
    let fitting = async {
        let checkpoint = checkpoint::read(env, config).await.map_err(|error| error.to_string())?;
        let checkpoint = checkpoint.ok_or("it is not whole")?;
        // Whatever is wrong is told by the survey without a checkpoint, if that meets it as well.
        let survey = survey(env, config, Some(&checkpoint)).await.map_err(|error| error.to_string())?;
        if !fits(&checkpoint, &survey) {
            return Err("the segments have changed since".to_owned());
        }
        Ok((checkpoint, survey))
    };
    match fitting.await {
        Ok(found) => Some(found),
        Err(reason) => {
            let lane = config.lane.0;
            tracing::info!(
                lane,
                reason,
                "the checkpoint of the index is of no use: all owner tables are read"
            );
            None
        }
    }
}

fn fits<F>(checkpoint: &Checkpoint, survey: &Survey<F>) -> bool {
    let end = checkpoint.listed.values().map(|listed| listed.place.last).max().unwrap_or(0);
    let all = || survey.pieces.iter().chain(&survey.compacted);
    let is_right = |piece: &Piece<F>| {
        let place = piece.segment.covers;
        match piece.listed {
            Some(listed) => {
                place.map_or(listed.place.first == piece.segment.id, |place| place == listed.place)
            }
            None => place.is_none() && piece.segment.id > end,
        }
    };
    let found = all().filter(|piece| piece.listed.is_some_and(|listed| listed.spans > 0)).count();
    let needed = checkpoint.listed.values().filter(|listed| listed.spans > 0).count();
    found == needed && all().all(is_right)
}

/// Takes in the owners of a checkpoint that fits.
pub(super) fn take<'a, E: Env>(
    recovered: &mut Recovered<E>,
    checkpoint: Checkpoint,
    pieces: impl Iterator<Item = &'a Piece<FileOf<E>>>,
) where
    FileOf<E>: 'a,
{
    let trailers =
        pieces.filter(|piece| piece.listed.is_some()).filter_map(|piece| piece.segment.trailer.get());
    let rows = trailers.map(|trailer| u64::from(trailer.owner_count)).sum();
    recovered.checkpoint = Some(Taken::of(&checkpoint, rows));
    for (id, owner) in checkpoint.owners {
        recovered.owners.get_or_insert_with(id, || owner);
    }
}
