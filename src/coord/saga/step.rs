//! What a step or a compensation is given.

use crate::txn::Txn;

/// What a step of a saga, or a compensation, is given when it is run.
///
/// # Examples
/// See [`SagaDef`](crate::SagaDef).
pub struct SagaStep<'a, 's> {
    pub(super) tx: &'a mut Txn<'s>,
    pub(super) saga: &'a str,
    pub(super) id: &'a str,
    pub(super) step: &'a str,
    pub(super) input: &'a [u8],
    pub(super) args: &'a [u8],
    pub(super) attempt: u32,
    pub(super) in_doubt: bool,
    pub(super) idempotency_key: &'a str,
}

impl<'a, 's> SagaStep<'a, 's> {
    /// The transaction, on the saga's branch, whose commit is the end of the step: what is written here
    /// and the note that the step is done are there together or not at all.
    pub fn txn(&mut self) -> &mut Txn<'s> {
        self.tx
    }

    /// The name of the saga.
    #[must_use]
    pub fn saga(&self) -> &'a str {
        self.saga
    }

    /// The id that it was started with.
    #[must_use]
    pub fn id(&self) -> &'a str {
        self.id
    }

    /// The name of the step; of a compensation, of the step that it takes back.
    #[must_use]
    pub fn step(&self) -> &'a str {
        self.step
    }

    /// The input that the saga was started with.
    #[must_use]
    pub fn input(&self) -> &'a [u8] {
        self.input
    }

    /// What a compensation was registered with by [`Txn::compensate`]; empty for others.
    #[must_use]
    pub fn args(&self) -> &'a [u8] {
        self.args
    }

    /// How often it was begun, this time included. A transaction that is run again because it lost a
    /// race is not counted.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// Of a compensation: whether it is not known if the step had its effect, because it failed or was
    /// cut off. Only steps that say they have effects [`outside`](crate::SagaDef::outside) are compensated
    /// in doubt.
    #[must_use]
    pub fn in_doubt(&self) -> bool {
        self.in_doubt
    }

    /// The same for each try of this step of this saga, and for nothing else: 32 hexadecimal digits.
    #[must_use]
    pub fn idempotency_key(&self) -> &'a str {
        self.idempotency_key
    }
}
