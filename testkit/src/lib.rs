pub mod browser;
pub mod foreign;
pub mod html;
pub mod postgres;
