//! HTTP/1.1 over a [`TouStream`], with hyper at both ends: it takes any stream
//! that reads and writes, whatever runs it.

use core::convert::Infallible;
use core::error::Error;
use core::net::Ipv4Addr;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode, client, header, server};
use smol_hyper::rt::FuturesIo;
use tou_async_io::{TouListener, TouStream};

/// The server's whole business: a greeting, and an echo.
async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let (status, body) = match (method, path.as_str()) {
        (Method::GET, "/") => (StatusCode::OK, "hello".into()),
        (Method::POST, "/echo") => {
            (StatusCode::OK, request.into_body().collect().await?.to_bytes())
        }
        _ => (StatusCode::NOT_FOUND, Bytes::new()),
    };
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    Ok(response)
}

/// Serves every connection in a task of its own.
async fn serve(listener: TouListener) -> Result<Infallible, std::io::Error> {
    loop {
        let (stream, peer) = listener.accept().await?;
        smol::spawn(async move {
            let http = server::conn::http1::Builder::new();
            let connection = http.serve_connection(FuturesIo::new(stream), service_fn(answer));
            if let Err(error) = connection.await {
                eprintln!("{peer}: {error}");
            }
        })
        .detach();
    }
}

async fn run() -> Result<(), Box<dyn Error>> {
    let listener = TouListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let addr = listener.local_addr()?;
    let _server = smol::spawn(serve(listener));

    let stream = TouStream::connect(addr).await?;
    let (mut client, connection) = client::conn::http1::handshake(FuturesIo::new(stream)).await?;
    smol::spawn(
        async move { connection.await.unwrap_or_else(|error| eprintln!("client: {error}")) },
    )
    .detach();
    let mut ask = async |method: Method, path: &str, body: Vec<u8>| {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, addr.to_string())
            .body(Full::new(Bytes::from(body)))?;
        client.ready().await?;
        let response = client.send_request(request).await?;
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        Ok::<_, Box<dyn Error>>((status, body))
    };

    // Three requests, one connection.
    let (status, body) = ask(Method::GET, "/", Vec::new()).await?;
    assert_eq!((status, &body[..]), (StatusCode::OK, &b"hello"[..]));
    let (status, body) = ask(Method::POST, "/echo", vec![b'x'; 1_000_000]).await?;
    assert!(status == StatusCode::OK && body == vec![b'x'; 1_000_000]);
    let (status, _) = ask(Method::GET, "/nothing", Vec::new()).await?;
    assert_eq!(status, StatusCode::NOT_FOUND);
    println!("three answers from {addr}, {} octets echoed", body.len());
    Ok(())
}

/// Runs until the client has its answers.
pub fn main() -> Result<(), Box<dyn Error>> {
    smol::block_on(run())
}
