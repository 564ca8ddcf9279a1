//! Jackfield as its users meet it: the real binary, spoken to over HTTP and by its command line.

mod support;
