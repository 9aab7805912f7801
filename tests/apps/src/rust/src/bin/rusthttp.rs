// SPDX-License-Identifier: BSD-3-Clause
//! rusthttp serve PORT | call URL: a hyper server, a reqwest client, on tokio.
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use std::{convert::Infallible, env};

type Fault = Box<dyn std::error::Error + Send + Sync>;

async fn serve(port: &str) -> Result<(), Fault> {
    let listener = tokio::net::TcpListener::bind(format!("0.0.0.0:{port}")).await?;
    loop {
        let (stream, peer) = listener.accept().await?;
        tokio::spawn(async move {
            let seen = service_fn(move |_: Request<Incoming>| async move {
                let text = format!("seen {}\n", peer.ip());
                Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(text))))
            });
            let _ = http1::Builder::new()
                .serve_connection(TokioIo::new(stream), seen)
                .await;
        });
    }
}

async fn call(url: &str) -> Result<(), Fault> {
    let client = reqwest::Client::new();
    let tasks: Vec<_> = (0..50)
        .map(|_| {
            let request = client.get(url);
            tokio::spawn(async move { request.send().await?.text().await })
        })
        .collect();
    let mut answers = Vec::new();
    for task in tasks {
        answers.push(task.await??.trim().to_string());
    }
    let count = answers.len();
    answers.sort();
    answers.dedup();
    println!("{count} {}", answers.join(" "));
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Fault> {
    let args: Vec<String> = env::args().collect();
    match args[1].as_str() {
        "serve" => serve(&args[2]).await,
        _ => call(&args[2]).await,
    }
}
