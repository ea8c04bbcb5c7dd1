import Foundation
import TestSupport
import Testing

@testable import nodeguard_plane

@Suite struct `The URI of a token` {
    @Test func `names one token, its module, and where the PIN is`() throws {
        let uri = try TokenAddress(
            "pkcs11:token=plane%20keys;serial=01%3B;slot-id=7?module-path=/usr/lib/m.so&pin-source=file:/run/pin")
        #expect(uri.wanted == [.token: "plane keys", .serial: "01;"] && uri.slot == 7)
        #expect(uri.module == "/usr/lib/m.so" && uri.pinSource == .file("/run/pin") && uri.pinFile == "/run/pin")
        #expect(uri.name == "pkcs11:token=plane%20keys;serial=01%3B;slot-id=7")
        let sources: [(String, TokenAddress.PINSource)] = [
            ("/p", .file("/p")), ("file:///p", .file("/p")), ("credential:pin", .credential("pin")),
        ]
        for (text, source) in sources {
            let uri = try TokenAddress("pkcs11:manufacturer=A;model=B;serial=1?module-path=/m&pin-source=\(text)")
            #expect(uri.pinSource == source)
        }
        #expect(try TokenAddress("pkcs11:slot-id=0?module-path=/m").pinSource == nil)
    }

    @Test(arguments: [
        ("/usr/lib/m.so", "is no URI"), ("pkcs11:token=a b?module-path=/m", "is no URI"),
        ("pkcs11:token=a", "names no module"), ("pkcs11:token=a?module-path=m.so", "names no module"),
        ("pkcs11:token=a?module-path=/m&pin-value=1234", "holds a PIN"),
        ("pkcs11:token=a;object=key?module-path=/m", "'object', which means nothing"),
        ("pkcs11:model=a?module-path=/m", "names no one token"), ("pkcs11:?module-path=/m", "names no one token"),
        ("pkcs11:token=a;token=b?module-path=/m", "stands twice"),
        ("pkcs11:token=%4?module-path=/m", "is no attribute"),
        ("pkcs11:token=%00?module-path=/m", "is no attribute"), ("pkcs11:token=%FF?module-path=/m", "is no attribute"),
        ("pkcs11:token?module-path=/m", "is no attribute"), ("pkcs11:slot-id=x?module-path=/m", "is no number"),
        ("pkcs11:token=a?module-path=/m&pin-source=pin", "names no file"),
        ("pkcs11:token=a?module-path=/m&pin-source=credential:../pin", "is no name of a credential"),
    ])
    func `is refused with the reason where it is not one`(text: String, reason: String) {
        let problem = #expect(throws: PlaneProblem.self) { try TokenAddress(text) }
        #expect(problem?.description.contains(reason) == true, "\(problem?.description ?? "")")
        #expect(problem?.description.contains("1234") == false)
    }

    @Test func `stands in the state folder for every verb`() throws {
        let folder = try temporaryDirectory()
        #expect(try TokenAddress.named(in: folder.path) == nil)
        let uri = try TokenAddress("pkcs11:token=a?module-path=/m")
        try uri.write(in: folder.path)
        #expect(try TokenAddress.named(in: folder.path) == uri)
        let mode = try FileManager.default.attributesOfItem(atPath: folder.file("hsm"))[.posixPermissions] as? Int
        #expect(mode == 0o600)
        try folder.write("", to: "hsm")
        #expect(throws: PlaneProblem.self) { try TokenAddress.named(in: folder.path) }
    }
}
