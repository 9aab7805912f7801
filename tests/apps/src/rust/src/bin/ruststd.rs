// SPDX-License-Identifier: BSD-3-Clause
//! ruststd serve PORT | call HOST PORT: std::net, a thread for each caller.
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::{env, io, thread};

fn serve(port: &str) -> io::Result<()> {
    let listener = TcpListener::bind(format!("0.0.0.0:{port}"))?;
    for stream in listener.incoming() {
        let mut stream = stream?;
        thread::spawn(move || -> io::Result<()> {
            let peer = stream.peer_addr()?.ip();
            let mut line = String::new();
            BufReader::new(stream.try_clone()?).read_line(&mut line)?;
            write!(stream, "{peer} {line}")
        });
    }
    Ok(())
}

fn call(host: &str, port: &str) -> io::Result<()> {
    let threads: Vec<_> = (0..50)
        .map(|i| {
            let address = format!("{host}:{port}");
            thread::spawn(move || -> io::Result<String> {
                let mut stream = TcpStream::connect(address)?;
                writeln!(stream, "{i}")?;
                let mut text = String::new();
                stream.read_to_string(&mut text)?;
                let (peer, number) = text.trim().split_once(' ').unwrap();
                assert_eq!(number, i.to_string());
                Ok(peer.to_string())
            })
        })
        .collect();
    let mut peers: Vec<_> = threads
        .into_iter()
        .map(|t| t.join().unwrap())
        .collect::<Result<_, _>>()?;
    let count = peers.len();
    peers.sort();
    peers.dedup();
    println!("{count} {}", peers.join(" "));
    Ok(())
}

fn main() -> io::Result<()> {
    let args: Vec<String> = env::args().collect();
    match args[1].as_str() {
        "serve" => serve(&args[2]),
        _ => call(&args[2], &args[3]),
    }
}
