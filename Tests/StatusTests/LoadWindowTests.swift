import Testing

@testable import Status

@Suite struct `The load of a lane` {
    private func lane(_ label: String = "data-0", busy: Double) -> LaneSample {
        LaneSample(label: label, jobCount: 0, busySeconds: busy, lagSeconds: 0)
    }

    @Test func `is its share of the time since the start, at first`() {
        var window = LoadWindow(time: 0)
        #expect(window.sampled([lane(busy: 1)], at: 4) == [0.25])
    }

    @Test func `is its share of the last seconds, later`() {
        var window = LoadWindow(time: 0)
        _ = window.sampled([lane(busy: 0)], at: 100)
        _ = window.sampled([lane(busy: 0)], at: 106)
        #expect(window.sampled([lane(busy: 5)], at: 110) == [0.5])
        #expect(window.sampled([lane(busy: 5)], at: 116) == [0.5])
        #expect(window.sampled([lane(busy: 5)], at: 122) == [0])
    }

    @Test func `does not jump when two ask at the same moment`() {
        var window = LoadWindow(time: 0)
        _ = window.sampled([lane(busy: 5)], at: 10)
        #expect(window.sampled([lane(busy: 5)], at: 10) == [0.5])
        #expect(window.sampled([lane(busy: 5.001)], at: 10.001).allSatisfy { $0 < 0.51 })
    }

    @Test func `stays within 0 and 1, whatever the counters say`() {
        var window = LoadWindow(time: 0)
        #expect(window.sampled([lane(busy: 7)], at: 0) == [0])
        #expect(window.sampled([lane(busy: 7)], at: 1) == [1])
        _ = window.sampled([lane(busy: 7)], at: 10)
        _ = window.sampled([lane(busy: 7)], at: 20)
        #expect(window.sampled([lane(busy: 3)], at: 21) == [0])
    }

    @Test func `has a name of its own, whatever its label`() {
        let lanes = [lane("a", busy: 1), lane("b", busy: 2), lane("a", busy: 3), lane("a", busy: 4)]
        #expect(LaneSample.distinct(lanes).map(\.label) == ["a", "b", "a-2", "a-3"])
        #expect(LaneSample.distinct(lanes).map(\.busySeconds) == [1, 2, 3, 4])
    }

    @Test func `begins at nothing for a lane that is new`() {
        var window = LoadWindow(time: 0)
        _ = window.sampled([lane(busy: 1)], at: 10)
        #expect(window.sampled([lane(busy: 1), lane("data-1", busy: 2)], at: 20)[1] == 0.2)
    }
}
