//! The simulated payment terminal against registers that share no code with it.

#[cfg(test)]
mod by_hand;
#[cfg(test)]
mod byte_ecr;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod independent_ecr;
#[cfg(test)]
mod payment;
#[cfg(test)]
mod process;
