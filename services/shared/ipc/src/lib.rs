//! Role sockets, HTTP server and client, peer identity, descriptor passing.
