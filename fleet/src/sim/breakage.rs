//! Faults of our own making: each breaks one thing that the field does right, so that tests can
//! show that the checks see it. Nothing else uses them.

/// One thing that is done wrong on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Breakage {
    /// The aggregator's store forgets which devices were accepted.
    ForgottenAccepted,
    /// The aggregator's clock loses a second in half a minute.
    SlowClock,
    /// The aggregator's store keeps the sum of an earlier write.
    StaleSums,
    /// The aggregator's store loses the sums of open rounds.
    LostSums,
    /// After a restart, the aggregator counts each update once, whatever its windows.
    OtherWeight,
    /// After a restart, the aggregator takes longer updates than devices were told to send.
    OtherClip,
    /// After a restart, the aggregator cuts values to a smaller magnitude than devices were told.
    OtherLargest,
    /// After a restart, the aggregator reads codes by twice the step that devices were told.
    OtherStep,
    /// The aggregator's sums are in another scale than the operator's settings lead to.
    OtherScale,
    /// The aggregator goes on from an old backup after a kill.
    OldBackup,
    /// Devices hear verdicts before the sum is written.
    EarlyVerdicts,
    /// The aggregator hangs in the middle of a round: it runs and does nothing.
    HungAggregator,
    /// The aggregator's timer fires again at once, for ever.
    BusyTimer,
    /// The aggregator hears of no device.
    DeafAggregator,
    /// Some devices hear neither plans nor verdicts, and their timers never fire.
    StuckDevices,
    /// Devices say their state once a connection: not when somebody changes it, nor when they are asked.
    SaidOnce,
    /// Some devices have another version than they should.
    OtherBits,
    /// Devices write their state into one slot instead of two.
    OneSlot,
    /// A device's messages lose their last byte.
    ShortUpdates,
    /// The aggregator is told less than what arrived.
    ShortMessages,
}
