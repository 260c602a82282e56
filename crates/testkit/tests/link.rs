//! The breakable link.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

use snaphook_testkit::Link;

/// A server that sends back what it gets.
fn echo() -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let address = listener.local_addr().expect("it is bound");
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || std::io::copy(&mut stream.try_clone().expect("it is open"), &mut &stream));
        }
    });
    address
}

fn said(stream: &mut TcpStream, text: &str) -> std::io::Result<String> {
    stream.write_all(text.as_bytes())?;
    let mut back = vec![0; text.len()];
    stream.read_exact(&mut back)?;
    Ok(String::from_utf8_lossy(&back).into_owned())
}

#[test]
fn a_link_carries_breaks_and_is_mended() {
    let link = Link::to(echo());
    let connect = || TcpStream::connect(link.address()).expect("the link listens");
    let (mut one, mut two) = (connect(), connect());
    assert_eq!(said(&mut one, "hello").expect("it is whole"), "hello");
    assert_eq!(said(&mut two, "you").expect("it is whole"), "you");
    link.cut();
    assert!(said(&mut one, "hello").is_err() && said(&mut two, "you").is_err());
    assert_eq!(said(&mut connect(), "again").expect("a new one is whole"), "again");
    link.take_down();
    assert!(said(&mut connect(), "again").is_err());
    link.mend();
    assert_eq!(said(&mut connect(), "again").expect("it is mended"), "again");
}

#[test]
fn a_link_replaces_what_a_client_sends() {
    let link = Link::replacing(echo(), &[("LISTEN ", "LISTEM ")]);
    let mut stream = TcpStream::connect(link.address()).expect("the link listens");
    assert_eq!(said(&mut stream, "LISTEN a; LISTEN b; UNLISTEN").expect("it is whole"), "LISTEM a; LISTEM b; UNLISTEN");
}
