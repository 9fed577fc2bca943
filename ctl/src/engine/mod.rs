//! stub for compile
use crate::{failure::Failure, flags::Args};
pub(crate) mod daemon {
    pub(crate) fn exec_requested(_t: &[String]) -> Option<Result<(), crate::failure::Failure>> {
        None
    }
}
pub(crate) fn up(_a: &Args) -> Result<(), Failure> {
    Err(Failure::new("not yet"))
}
pub(crate) fn down(_a: &Args) -> Result<(), Failure> {
    Err(Failure::new("not yet"))
}
