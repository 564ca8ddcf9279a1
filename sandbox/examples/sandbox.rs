//! Runs the sandbox until it is interrupted: `cargo run -p jackfield-sandbox --example sandbox [address]`.

use jackfield_sandbox::{Options, Sandbox};

#[tokio::main]
#[allow(clippy::print_stdout, reason = "the address is what this program is for")]
async fn main() -> std::io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:0".to_owned());
    let listener = tokio::net::TcpListener::bind(address).await?;
    let running = Sandbox::start(Options::default(), listener)?;
    println!("{}", running.url);
    tokio::signal::ctrl_c().await?;
    running.shutdown().await;
    Ok(())
}
