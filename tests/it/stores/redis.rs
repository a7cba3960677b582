use crate::support::server;

#[test]
fn the_servers_come_up() {
    for start in [server::redis, server::memcached, server::postgres, server::mariadb] {
        let Some(mut server) = start() else { return };
        let dir = server.dir.clone();
        server.kill();
        assert!(std::net::TcpStream::connect(server.address()).is_err());
        server.restart();
        drop(server);
        assert!(!dir.exists());
    }
}
