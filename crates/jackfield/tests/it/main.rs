//! Jackfield as its users meet it: the real binary, spoken to over HTTP and by its command line.

mod support;
mod calls;
mod upstream;
mod proxy;
mod refresh;
mod world;
mod ssrf;
