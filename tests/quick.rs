//! Tests without Burn and without a broker: seconds.

mod quick {
    mod rounds;
    mod tidy;
    mod vectors;
}
