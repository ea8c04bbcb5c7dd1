import FoundationEssentials

/// A C2SP tlog-checkpoint: which log, how many leaves, and the root of their tree.
package struct Checkpoint: Sendable, Equatable {
    package let origin: String
    package let size: UInt64
    package let root: [UInt8]

    package init(origin: String, tree: MerkleTree) {
        self.origin = origin
        size = tree.size
        root = tree.root
    }

    package init(parsing text: String) throws(SignedNote.Flaw) {
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        guard lines.count == 4, lines[3].isEmpty, !lines[0].isEmpty, let size = UInt64(lines[1]),
            String(size) == lines[1], let root = SignedNote.decode(lines[2]),
            root.count == MerkleTree.hashSize
        else { throw SignedNote.Flaw(description: "the checkpoint is not origin, size and root") }
        origin = String(lines[0])
        self.size = size
        self.root = Array(root)
    }

    package var text: String { "\(origin)\n\(size)\n\(Data(root).base64EncodedString())\n" }
}
