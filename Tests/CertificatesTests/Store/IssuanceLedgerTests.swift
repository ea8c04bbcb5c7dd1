import Foundation
import TestSupport
import Testing

@testable import Certificates

@Suite struct `The record of issuances and refusals` {
    @Test func `comes back after a restart`() throws {
        let state = try TemporaryDirectory()
        var ledger = IssuanceLedger(stateDirectory: state.path)
        #expect(try ledger.load() == nil)
        try ledger.record([1, 2.5], of: "database")
        try ledger.record([7], of: "node")
        try ledger.recordRefusal(ofToken: "aa")
        try ledger.recordRefusal(ofToken: "aa")
        var again = IssuanceLedger(stateDirectory: state.path)
        #expect(try again.load() == nil)
        #expect(again.issuances(of: "database") == [1, 2.5] && again.issuances(of: "node") == [7])
        #expect(again.issuances(of: "other") == [])
        #expect(again.refusals(ofToken: "aa") == 2 && again.refusals(ofToken: "bb") == 0)
        let attributes = try FileManager.default.attributesOfItem(atPath: state.file("issuances.json"))
        #expect(attributes[.posixPermissions] as? Int == 0o600)
    }

    @Test(arguments: ["nonsense", "", "{\"schema\":2}", "{\"schema\":1,\"issued\":3,\"refusals\":{}}"])
    func `that is damaged is put aside, and begun anew`(text: String) throws {
        let state = try TemporaryDirectory()
        for name in ["issuances.json", "issuances.json-1"] {
            try state.write(text, to: "issuances.json")
            var ledger = IssuanceLedger(stateDirectory: state.path)
            #expect(try ledger.load()?.place == state.file("quarantine/\(name)"))
            #expect(try state.read("quarantine/\(name)") == Array(text.utf8))
            try ledger.record([1], of: "node")
            #expect(try ledger.load() == nil)
        }
    }

    @Test func `keeps few tokens`() throws {
        let state = try TemporaryDirectory()
        var ledger = IssuanceLedger(stateDirectory: state.path)
        for number in 0..<200 { try ledger.recordRefusal(ofToken: "\(number)") }
        #expect(try state.read("issuances.json").count < 2000)
        #expect(ledger.refusals(ofToken: "199") == 1)
    }
}
