import Testing

@testable import IO

@Suite struct `A network` {
    @Test(arguments: [
        ("10.0.0.0/8", "10.255.0.1:1", "11.0.0.0:1"), ("192.0.2.64/26", "192.0.2.127:1", "192.0.2.128:1"),
        ("192.0.2.7", "192.0.2.7:9", "192.0.2.6:9"), ("0.0.0.0/0", "255.1.2.3:1", "[2001:db8::1]:1"),
        ("2001:db8::/32", "[2001:db8:ffff::1]:1", "[2001:db9::1]:1"), ("::/0", "[::1]:1", "127.0.0.1:1"),
        ("2001:db8::/33", "[2001:db8:7fff::]:1", "[2001:db8:8000::]:1"), ("::1", "[::1]:5", "[::2]:5"),
        ("10.0.0.0/8", "[::ffff:10.1.2.3]:1", "[::ffff:11.1.2.3]:1"), ("10.0.0.0/8", "10.0.0.0:1", "unix:/10"),
    ])
    func `has those whose first bits are its own`(text: String, inside: String, outside: String) throws {
        let network = try #require(IPNetwork(text))
        #expect(network.contains(try #require(SocketAddress(inside))))
        #expect(!network.contains(try #require(SocketAddress(outside))))
        #expect(IPNetwork(network.description) == network)
    }

    @Test(arguments: [
        "", "/", "/8", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/+8", "10.0.0.1/8", "10.0.0/8", "a/8",
        "10.0.0.0/8/8", "::/129", "2001:db8::1/32", "[::1]/128", "10.0.0.0:80/8", "localhost", "unix:/a", "10.0.0.0/ 8",
        "10.0.0.0/99999999999999999999",
    ])
    func `is not made of anything else`(text: String) { #expect(IPNetwork(text) == nil) }
}
