import Reports

enum TestClock {
    static var seconds: Int64 { Timestamp.now.seconds }
}
