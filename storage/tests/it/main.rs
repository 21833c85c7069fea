//! The lane log from outside: on the real disk, and in the simulator under a reference model.

mod checkpoint;
mod clock;
mod compact;
mod damage;
mod fixture;
mod flip;
mod flush;
mod full;
mod image;
mod inspect;
mod keys;
mod lane;
mod losses;
mod model;
mod owners;
mod record;
mod repair;
mod rot;
mod seeds;
mod sift;
mod simulate;
mod sink;
mod spans;
mod superseded;
mod turns;
mod workload;
