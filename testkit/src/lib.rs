pub mod browser;
pub mod foreign;
pub mod html;
pub mod mail;
pub mod postgres;

/// The client of the tests: another one than the one that is tested.
pub use reqwest;
