//! Calling services: a call is made ready once (key → permit → binding → credential), then served from memory; [`inject`] places the
//! credential, [`egress`] is the one door out.

pub(crate) mod concealed;
pub mod egress;
pub(crate) mod inject;
pub mod invoke;
pub mod proxy;
pub(crate) mod ready;
pub mod record;
