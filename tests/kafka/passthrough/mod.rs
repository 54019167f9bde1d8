//! The passthrough engine between real clusters.

mod link;
mod reading;
<<<<<<< HEAD
=======
mod rig;
>>>>>>> sink4
mod sink;
mod source;
