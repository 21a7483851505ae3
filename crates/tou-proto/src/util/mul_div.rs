//! A fraction of a number, whatever their sizes.

/// `value * numerator / denominator`, rounded down; the largest number if that is more.
/// The denominator is not zero.
pub(crate) fn mul_div(value: u64, numerator: u64, denominator: u64) -> u64 {
    match value.checked_mul(numerator) {
        // Nearly always, and in one instruction.
        Some(product) => product / denominator,
        None => {
            let product = u128::from(value) * u128::from(numerator);
            u64::try_from(product / u128::from(denominator)).unwrap_or(u64::MAX)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_may_be_larger_than_what_holds_them() {
        assert_eq!(mul_div(7, 10, 4), 17);
        assert_eq!(mul_div(u64::MAX, 10, 20), u64::MAX / 2);
        assert_eq!(mul_div(u64::MAX, 10, 9), u64::MAX);
    }
}
