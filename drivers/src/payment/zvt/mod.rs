//! ZVT, the protocol between an electronic cash register (ECR) and a German payment terminal (PT).

pub mod codec;
