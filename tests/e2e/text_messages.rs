//! Text messages on their way: real programs, real HTTP endpoints.
