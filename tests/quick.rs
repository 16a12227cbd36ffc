//! Tests without Burn and without a broker: seconds.

mod quick {
    mod rounds;
    mod vectors;
}
